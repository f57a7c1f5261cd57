"""Exams on files: what users' benchmark files ask, judged by the definitions of the field."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, overload

from torch import Tensor

from tessera.data.benchmarks import AskedQuestion, CocoPicture, GenEvalPrompt, Item, VqaQuestion, YesNoQuestion
from tessera.data.images import open_picture
from tessera.document import Image, Text
from tessera.exams.base import Case, Report, numbered, quotient, shares_of_mean
from tessera.exams.captions import chair_ratios, chair_report
from tessera.exams.hallucination import yes_no_report
from tessera.scoring import Score, bootstrap, rate
from tessera.scoring.answers import exact_match, normalised, yes_no
from tessera.scoring.grouped import mean
from tessera.scoring.hallucination import mentions
from tessera.scoring.vqa import vqa_accuracy
from tessera.scoring.yesno import yes_no_scores
from tessera.world import Tile

SHOWN = 24  # cases on the sheet

Question = YesNoQuestion | VqaQuestion | AskedQuestion


class Cases(Sequence[Case]):
    """The case of each item, made when it is looked at: pictures of a large file are never all held at once."""

    def __init__(self, items: Sequence[Any], case: Callable[[Any], Case]):
        self.items, self.case = items, case

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Case: ...

    @overload
    def __getitem__(self, index: slice) -> list[Case]: ...

    def __getitem__(self, index: int | slice) -> Case | list[Case]:
        return [self.case(item) for item in self.items[index]] if isinstance(index, slice) else self.case(self.items[index])


class PopeFile:
    """POPE's questions of a file, their answers read by `convention` (see `scoring.answers.yes_no`). Intervals are over pictures.

    `unparsed` is the share of answers that are neither yes nor no. References: `chance` tosses a coin, `majority` always gives the
    commoner label; `labels` is the share of yes among them.
    """

    name, want = "pope", Text

    def __init__(self, items: Sequence[YesNoQuestion], pixels: int, convention: str = "strict"):
        yes_no("", convention)  # an unknown one is refused before anything is written
        self.items, self.pixels, self.convention = items, pixels, convention
        self.cases = Cases(items, partial(question_case, pixels=pixels))

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        said = [yes_no(answer, self.convention) for answer in answers]
        truths, clusters = [item.answer for item in self.items], [item.cluster for item in self.items]
        found = yes_no_report("pope", said, truths, clusters, self.convention)
        share = mean(truths)
        common = yes_no_scores([share >= 0.5] * len(truths), truths)
        coin = {"accuracy": 0.5, "precision": share, "recall": 0.5, "f1": share / (share + 0.5), "yes_ratio": 0.5}
        references = {f"pope.{what}": {"chance": value, "majority": getattr(common, what)} for what, value in coin.items()}
        references["pope.yes_ratio"]["labels"] = share
        lost, numbers = [answer is None for answer in said], {"pope.unparsed": numbered(clusters)}
        unparsed = {"pope.unparsed": rate(lost, clusters=clusters)}
        right = found.right["pope.accuracy"]
        tiles = judged_tiles(self.items, answers, ["yes" if truth else "no" for truth in truths], right, self.pixels)
        return found | Report(unparsed, references, tiles={"pope": tiles}, clusters=numbers, ratios={"pope.unparsed": shares_of_mean(lost)})


class VqaFile:
    """VQAv2's questions of a file: the soft accuracy over ten people's answers, over all and by type. Intervals are over pictures.

    The reference `majority` is what the file's commonest answer would get, or, by type, the type's.
    """

    name, want = "vqa", Text

    def __init__(self, items: Sequence[VqaQuestion], pixels: int):
        self.items, self.pixels = items, pixels
        self.cases = Cases(items, partial(question_case, pixels=pixels))

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        marks = [vqa_accuracy(answer, item.answers) for answer, item in zip(answers, self.items, strict=True)]
        groups = {kind: [i for i, item in enumerate(self.items) if item.answer_type == kind] for kind in self.types}
        groups["overall"] = list(range(len(marks)))
        scores: dict[str, Score] = {}
        references: dict[str, dict[str, float]] = {}
        for kind, mine in groups.items():
            items = [self.items[i] for i in mine]
            scores[f"vqa.{kind}"] = bootstrap([marks[i] for i in mine], mean, clusters=[item.cluster for item in items], share_of=len(mine))
            (common, _), *_ = Counter(normalised(one) for item in items for one in item.answers).most_common(1)
            references[f"vqa.{kind}"] = {"majority": mean([vqa_accuracy(common, item.answers) for item in items])}
        truths = [Counter(item.answers).most_common(1)[0][0] for item in self.items]
        verdicts = [{0.0: False, 1.0: True}.get(mark) for mark in marks]  # some people agree: neither right nor wrong
        tiles = {"vqa": judged_tiles(self.items, answers, truths, verdicts, self.pixels)}
        of = {f"vqa.{kind}": mine for kind, mine in groups.items()}
        ratios = {name: shares_of_mean([marks[i] for i in mine]) for name, mine in of.items()}
        clusters = {name: numbered([self.items[i].cluster for i in mine]) for name, mine in of.items()}
        return Report(scores, references, tiles=tiles, clusters=clusters, ratios=ratios)

    @property
    def types(self) -> list[str]:
        """The types of answers in the file, in order of first appearance."""
        return list(dict.fromkeys(item.answer_type for item in self.items))


class QuestionsFile:
    """Questions with one answer each. `exact` asks for its very words, but for outer space; `gqa` forgives case and punctuation.

    Intervals are over pictures. The reference `majority` is what the file's commonest answer would get.
    """

    name, want = "questions", Text

    def __init__(self, items: Sequence[AskedQuestion], pixels: int):
        self.items, self.pixels = items, pixels
        self.cases = Cases(items, partial(question_case, pixels=pixels))

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        truths, clusters = [item.answer for item in self.items], [item.cluster for item in self.items]
        common = Counter(truths).most_common(1)[0][0]
        ways = {"exact": lambda one, other: one.strip() == other.strip(), "gqa": exact_match}
        right = {f"questions.{name}": list(map(same, answers, truths)) for name, same in ways.items()}
        scores = {name: rate(ok, clusters=clusters) for name, ok in right.items()}
        references = {f"questions.{name}": {"majority": mean([same(common, t) for t in truths])} for name, same in ways.items()}
        tiles = judged_tiles(self.items, answers, truths, right["questions.gqa"], self.pixels)
        return Report(scores, references, right, {"questions": tiles}, dict.fromkeys(right, numbered(clusters)))


class ChairFile:
    """Captions of a file's pictures by CHAIR: which objects they name that are not there. A table says which words name which object.

    There is what the reference captions name, and what is marked, as far as the file has them; CHAIR itself has both. A picture
    has one caption, so intervals are over captions. The reference `blind` names the object that most pictures show, and no other,
    whatever the picture. Raises ValueError for a category that the table does not name.
    """

    name, want = "chair", Text

    def __init__(self, items: Sequence[CocoPicture], pixels: int, synonyms: Mapping[str, str | None]):
        self.items, self.pixels, self.synonyms = items, pixels, synonyms
        self.there = [objects_of(item, synonyms) for item in items]
        self.cases = Cases(items, lambda item: Case(shown(item, pixels), item.cluster))

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        said = [mentions(answer, self.synonyms) for answer in answers]
        found = chair_report("chair.", said, self.there, answers)
        tiles = []
        for item, text, names, there in list(zip(self.items, answers, said, self.there, strict=True))[:SHOWN]:
            wrong = sorted(set(names) - there)
            lines = (text.strip(), f"[not there: {', '.join(wrong)}]") if wrong else (text.strip(),)
            tiles.append(Tile(open_picture(item.picture, self.pixels), lines, not wrong))
        counts = Counter(name for there in self.there for name in there)
        blind = chair_ratios([sorted(counts, key=lambda name: (-counts[name], name))[:1]] * len(said), self.there, answers)
        references = {f"chair.{what}": {"blind": quotient(blind[what])} for what in ("sentence", "instance", "recall")}
        return found | Report(references=references, tiles={"chair": tiles})


class GenEvalFile:
    """GenEval's prompts of a file, each drawn `samples` times. It has no scores: the benchmark's own detector gives them."""

    name, want = "geneval", Image

    def __init__(self, items: Sequence[GenEvalPrompt], samples: int = 4):
        if samples < 1:
            raise ValueError(f"geneval: {samples} pictures of each prompt; at least 1 is accepted, GenEval has 4; raise it")
        self.items, self.samples = items, samples
        self.cases = [Case((Text(item.prompt),), item.cluster) for item in items for _ in range(samples)]

    def report(self, answers: Sequence[Tensor]) -> Report:
        """From one uint8 picture per case: the first of each prompt."""
        first = list(zip(self.items, self.drawn(answers), strict=True))[:SHOWN]
        return Report(tiles={"geneval": [Tile(pictures[0], (item.prompt,)) for item, pictures in first]})

    def drawn(self, answers: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
        """The pictures of each prompt."""
        for start in range(0, len(answers), self.samples):
            yield answers[start : start + self.samples]


def shown(item: Item, pixels: int) -> tuple[Image, ...]:
    """The item's picture at the system's size, if it has one."""
    return (Image(open_picture(item.picture, pixels)),) if item.picture else ()


def question_case(item: Question, pixels: int) -> Case:
    """A question behind its picture."""
    return Case((*shown(item, pixels), Text(item.question)), item.cluster)


def judged_tiles(
    items: Sequence[Question], answers: Sequence[str], truths: Sequence[str], right: Sequence[bool | None], pixels: int
) -> list[Tile]:
    """The first questions that have a picture, with what was said; where that is not wholly right, with the truth in brackets."""
    tiles: list[Tile] = []
    for item, answer, truth, ok in zip(items, answers, truths, right, strict=True):
        if item.picture and len(tiles) < SHOWN:
            said = answer.strip() if ok else f"{answer.strip()} [{truth}]"
            tiles.append(Tile(open_picture(item.picture, pixels), (item.question, said), ok))
    return tiles


def objects_of(item: CocoPicture, synonyms: Mapping[str, str | None]) -> frozenset[str]:
    """The objects that a picture's reference captions name, and those that are marked in it."""
    found = {name for caption in item.captions for name in mentions(caption, synonyms)}
    for category in sorted(item.categories):
        named = mentions(category, synonyms)
        if len(named) != 1:
            raise ValueError(
                f"chair: the category {category!r} of picture {item.id} names {len(named)} objects of the synonyms; one is needed; "
                "add a line for it"
            )
        found |= {*named}
    return frozenset(found)
