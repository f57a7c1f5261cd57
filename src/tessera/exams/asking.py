"""Asking: questions about pictures, by kind, with controls that never see the picture."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from torch import Tensor

from tessera.document import Image, Text
from tessera.exams.base import Case, Report, rates
from tessera.exams.ceiling import read_right
from tessera.scoring.grouped import mean
from tessera.world import QuestionKind, Scene, Tile, World, question_kinds

SHOWN = 6  # answers of each kind on the sheet
LEARNED = 200  # training questions of each kind that references know, however few are asked


class Asking:
    """`each` questions of every kind of the level; an answer is right when it is the word expected, but for white space.

    References: `blind`, the commonest answer of the kind in training; `chance`, one over the number of its answers there;
    `ceiling`, who reads the picture by the oracle and is wrong wherever that misreads anything.
    """

    name, want = "questions", Text

    def __init__(self, world: World, each: int, split: str = "test"):
        kinds = question_kinds(world.level)
        self.world, self.each = world, each
        asked = [(kind, *world.asked(kind, i, split)) for kind in kinds for i in range(each)]
        self.scenes = [scene for _, scene, _ in asked]
        self.asked = [(kind, world.picture(scene), question) for kind, scene, question in asked]
        self.learned = answers_learned(world)
        self.cases = [Case((Image(picture), Text(q.text)), f"{kind.value} {i}") for i, (kind, picture, q) in enumerate(self.asked)]

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        found = rates("questions", self.right(answers), self.kinds)
        ceiling = rates("questions", read_right(self.world, self.scenes), self.kinds).scores
        references = {f"questions.{name}": beside | {"ceiling": ceiling[f"questions.{name}"].value} for name, beside in self.unseen.items()}
        shown = [i for i in range(len(self.kinds)) if i % self.each < SHOWN]
        tiles = [self._tile(i, answers[i].strip()) for i in shown]
        scores = {"questions.blind" if name.endswith("overall") else name: score for name, score in self._blind.scores.items()}
        return found | Report(scores, references, tiles={"questions": tiles})

    @property
    def kinds(self) -> list[str]:
        """The kind of each question, by name."""
        return [kind.value for kind, _, _ in self.asked]

    @cached_property
    def unseen(self) -> dict[str, dict[str, float]]:
        """What those get who do not see the picture, by kind and `overall`."""
        chance = {kind.value: 1 / len(said) for kind, said in self.learned.items()}
        chance["overall"] = mean([chance[kind] for kind in self.kinds])
        return {name: {"chance": value, "blind": self._blind.scores[f"questions.blind.{name}"].value} for name, value in chance.items()}

    @cached_property
    def _blind(self) -> Report:
        common = [self.learned[kind].most_common(1)[0][0] for kind, _, _ in self.asked]
        return rates("questions.blind", self.right(common), self.kinds)

    def right(self, answers: Sequence[str]) -> list[bool]:
        """Case by case."""
        return [answer.strip() == q.answer for (_, _, q), answer in zip(self.asked, answers, strict=True)]

    def _tile(self, i: int, answer: str) -> Tile:
        _, picture, question = self.asked[i]
        right = answer == question.answer
        return Tile(picture, (question.text, answer if right else f"{answer} [{question.answer}]"), right)


def answers_learned(world: World) -> dict[QuestionKind, Counter[str]]:
    """How often each answer was right in training, of some questions of each kind."""
    return {kind: Counter(world.asked(kind, i, "train")[1].answer for i in range(LEARNED)) for kind in question_kinds(world.level)}


class Control:
    """The same questions with a picture that cannot help: how much an answer owes to its picture is what is lost.

    `blank` shows a picture with nothing in it, `shuffled` the picture of the question half an exam further on. References are those of
    `Asking` who do not see the picture either.
    """

    want = Text

    def __init__(self, asking: Asking, name: str):
        self.asking, self.name = asking, f"questions.{name}"
        pictures = [picture for _, picture, _ in asking.asked]
        others = {"blank": [asking.world.picture(Scene(()))] * len(pictures), "shuffled": _turned(pictures)}[name]
        self.cases = [Case((Image(other), case.prompt[1]), case.scene) for other, case in zip(others, asking.cases, strict=True)]

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case; the whole is named as the control itself."""
        found = rates(self.name, self.asking.right(answers), self.asking.kinds)
        references = {f"{self.name}.{name}": beside for name, beside in self.asking.unseen.items()}
        whole = lambda of: {name.removesuffix(".overall"): one for name, one in of.items()}
        return Report(whole(found.scores), whole(references), whole(found.right))


def _turned(pictures: list[Tensor]) -> list[Tensor]:
    half = len(pictures) // 2
    return pictures[half:] + pictures[:half]
