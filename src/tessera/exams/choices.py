"""Choices: questions with options to choose from, in every order of the options."""

from collections.abc import Iterable, Sequence

from tessera.document import Image, Text
from tessera.exams.asking import answers_learned
from tessera.exams.base import Case, Report, shares_of_mean
from tessera.exams.ceiling import read_right
from tessera.scoring import rate
from tessera.scoring.answers import letter
from tessera.scoring.grouped import Rotation, group_accuracy, grouped_all, mean, rotations
from tessera.world import QuestionKind, Tile, World

OPTIONS, LETTERS = 4, "ABCD"
SHOWN = 6  # questions of each kind on the sheet, in the first order of their options


def by_language(words: Iterable[str]) -> list[list[str]]:
    """Words in English and words in Chinese apart, each sorted; nothing for a language that none is of."""
    apart = [sorted(word for word in words if word.isascii() is ours) for ours in (True, False)]
    return [some for some in apart if some]


class Choices:
    """`each` questions of every kind that has enough answers, with four to choose from, asked in all four rotations of these.

    An answer names an option by its letter or its words. `choices.hit` asks that all rotations are right, as CircularEval of MMBench
    does (Liu et al. 2024, arXiv:2307.06281), `first` the first alone, `mean` is over all; `unparsed` are those that name no
    option, or two. The wrong options are answers to other questions of the kind.

    References: `chance` draws a letter each time; `blind` takes the option that is the commonest answer in training; `ceiling` reads
    the picture by the oracle.
    """

    name, want = "choices", Text

    def __init__(self, world: World, each: int, split: str = "test"):
        self.world, self.each, self.learned = world, each, answers_learned(world)
        kinds = [kind for kind, said in self.learned.items() if all(len(words) >= OPTIONS for words in by_language(said))]
        asked = [(kind, *world.asked(kind, i, split), i) for kind in kinds for i in range(each)]
        self.kinds, self.scenes = [kind for kind, *_ in asked], [scene for _, scene, *_ in asked]
        self.questions = [question.text for *_, question, _ in asked]
        self.asked: list[Rotation] = []
        for n, (kind, _, question, i) in enumerate(asked):
            options = self._options(kind, question.answer, i, split)
            self.asked += rotations(n, options, options.index(question.answer))
        self.of = [n for n in range(len(asked)) for _ in range(OPTIONS)]  # the question of each case
        pictures = [Image(world.picture(scene)) for scene in self.scenes]
        self.cases = [Case((pictures[n], Text(self._text(i))), str(n)) for i, n in enumerate(self.of)]

    def _options(self, kind: QuestionKind, answer: str, index: int, split: str) -> list[str]:
        """The answer among others, in any order."""
        dice = self.world.dice(f"choices {kind.value}", index, split)
        (known,) = (words for words in by_language({*self.learned[kind], answer}) if answer in words)
        others = [word for word in known if word != answer]
        return dice.sample([answer, *dice.sample(others, OPTIONS - 1)], OPTIONS)

    def _text(self, case: int) -> str:
        options = " ".join(f"{name}. {option}" for name, option in zip(LETTERS, self.asked[case].options, strict=True))
        return f"{self.questions[self.of[case]]} {options}"

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        named = [letter(answer, one.options) for answer, one in zip(answers, self.asked, strict=True)]
        right = [name == one.answer for name, one in zip(named, self.asked, strict=True)]
        lost = [name is None for name in named]
        cases = {"choices.hit": list(grouped_all(right, self.of).values()), "choices.first": right[::OPTIONS], "choices.mean": right}
        scores = {name: rate(ok) for name, ok in cases.items()}
        scores["choices.mean"] = rate(right, clusters=self.of, unparsed=sum(lost))
        scores["choices.unparsed"] = rate(lost, clusters=self.of)
        clusters, ratios = dict.fromkeys(("choices.mean", "choices.unparsed"), self.of), {"choices.unparsed": shares_of_mean(lost)}
        return Report(scores, self._references(), cases, {"choices": self._tiles(answers, right)}, clusters, ratios)

    def _references(self) -> dict[str, dict[str, float]]:
        common = [max(one.options, key=self.learned[self.kinds[n]].__getitem__) for n, one in zip(self.of, self.asked, strict=True)]
        blind = [one.options[LETTERS.index(one.answer)] == word for one, word in zip(self.asked, common, strict=True)]
        seen = mean(read_right(self.world, self.scenes))
        guess = {"hit": OPTIONS**-OPTIONS, "first": 1 / OPTIONS, "mean": 1 / OPTIONS}
        habit = {"hit": group_accuracy(blind, self.of), "first": mean(blind[::OPTIONS]), "mean": mean(blind)}
        return {f"choices.{what}": {"chance": guess[what], "blind": habit[what], "ceiling": seen} for what in guess}

    def _tiles(self, answers: Sequence[str], right: Sequence[bool]) -> list[Tile]:
        tiles = []
        for i in range(0, len(right), OPTIONS):
            n, said = self.of[i], answers[i].strip()
            if n % self.each < SHOWN:
                lines = (self._text(i), said if right[i] else f"{said} [{self.asked[i].answer}]")
                tiles.append(Tile(self.world.picture(self.scenes[n]), lines, right[i]))
        return tiles
