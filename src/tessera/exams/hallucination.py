"""Hallucination: does a system say what it sees, or what usually goes with it?"""

from collections.abc import Sequence
from functools import partial

from tessera.document import Image, Text
from tessera.exams.base import Case, Report, joined, numbered
from tessera.exams.ceiling import readings
from tessera.scoring import bootstrap, rate
from tessera.scoring.answers import yes_no
from tessera.scoring.compare import Share
from tessera.scoring.grouped import group_accuracy, grouped_all, mean
from tessera.scoring.yesno import yes_no_scores
from tessera.world import Tile, World
from tessera.world.hallucination import Negatives, Probe, Scenes, blank, counterfactual, pope, shuffled

SHOWN = 12  # probes of each kind on the sheet
ASKED = ("accuracy", "precision", "recall", "f1", "yes_ratio")


class Pope:
    """POPE on `each` scenes: a kind that is there and one that is not, at random, the most popular, or the likeliest company.

    One pair a scene, not POPE's three: a level has six or eight kinds, and three pairs would ask for nearly all, whatever the mode.
    So `both`, that the two questions of a scene are right, is MME's accuracy+ (Fu et al. 2023, arXiv:2306.13394).

    Source: Li et al. 2023, arXiv:2305.10355; see `tessera.world.hallucination.pope` for what differs. Answers are read
    strictly: one that is neither yes nor no is wrong, and counted. Intervals are over scenes. `scenes` are those to learn from,
    or, in a world that leans, such as it seldom or never shows. References: `chance` tosses a coin, `majority` always says yes
    (half of the answers are yes), `ceiling` says what the oracle reads.
    """

    want = Text

    def __init__(self, world: World, each: int, split: str = "test", *, scenes: Scenes = Scenes.BIASED):
        ask = lambda negatives, i: pope(world, negatives, i, split, scenes=scenes, k=1)
        self.world, self.name = world, "pope" if scenes is Scenes.BIASED else f"pope.{scenes.value}"
        self.asked = [(negatives, probe) for negatives in Negatives for i in range(each) for probe in ask(negatives, i)]
        self.cases = [_case(probe) for _, probe in self.asked]

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        said, read = [yes_no(answer) for answer in answers], read_answers(self.world, [probe for _, probe in self.asked])
        reports = []
        for negatives, mine in self.modes.items():
            probes, name = [self.asked[i][1] for i in mine], f"{self.name}.{negatives.value}"
            truths, clusters = [probe.present for probe in probes], [probe.cluster for probe in probes]
            found = yes_no_report(name, [said[i] for i in mine], truths, clusters)
            best, yes = yes_no_scores([read[i] for i in mine], truths), yes_no_scores([True] * len(mine), truths)
            beside = {what: {"chance": 0.5, "majority": getattr(yes, what), "ceiling": getattr(best, what)} for what in ASKED}
            found |= Report(references={f"{name}.{what}": values for what, values in beside.items()})
            reports.append(found | self._both(name, probes, found.right[f"{name}.accuracy"], [read[i] for i in mine]))
        tiles = [_tile(self.asked[i][1], answers[i]) for i in range(min(SHOWN, len(answers)))]
        return joined(reports) | Report(tiles={self.name: tiles})

    @property
    def modes(self) -> dict[Negatives, list[int]]:
        """Which cases are of each mode."""
        return {negatives: [i for i, (kind, _) in enumerate(self.asked) if kind is negatives] for negatives in Negatives}

    def _both(self, name: str, probes: Sequence[Probe], right: Sequence[bool], read: Sequence[bool]) -> Report:
        """Whether both questions of each scene are right."""
        pairs = [a and b for a, b in zip(right[::2], right[1::2], strict=True)]
        best = [answer is probe.present for answer, probe in zip(read, probes, strict=True)]
        ceiling = mean([a and b for a, b in zip(best[::2], best[1::2], strict=True)])
        key, clusters = f"{name}.both", [probe.cluster for probe in probes[::2]]
        beside = {"chance": 0.25, "majority": 0.0, "ceiling": ceiling}
        return Report({key: rate(pairs, clusters=clusters)}, {key: beside}, {key: pairs}, clusters={key: numbered(clusters)})


class PopeControl:
    """The questions of POPE with a picture that cannot help: `blank` has nothing in it, `shuffled` is that of the next scene.

    `pope.NAME.MODE` is the accuracy by mode. Who owes nothing to the picture is as good here, and half right at most.
    """

    want = Text

    def __init__(self, asked: Pope, name: str):
        self.asked, self.name = asked, f"{asked.name}.{name}"
        probes = [probe for _, probe in asked.asked]
        self.probes = blank(asked.world, probes) if name == "blank" else shuffled(probes)
        self.cases = [_case(probe) for probe in self.probes]

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        said = [yes_no(answer) for answer in answers]
        right = [answer is probe.present for answer, probe in zip(said, self.probes, strict=True)]
        found = Report()
        for negatives, mine in self.asked.modes.items():
            key, clusters = f"{self.name}.{negatives.value}", [self.probes[i].cluster for i in mine]
            score = rate([right[i] for i in mine], clusters=clusters, unparsed=sum(said[i] is None for i in mine))
            beside = {key: {"chance": 0.5, "majority": 0.5}}
            found |= Report({key: score}, beside, {key: [right[i] for i in mine]}, clusters={key: numbered(clusters)})
        return found


class Counterfactuals:
    """`each` pairs of pictures, one with the only thing of a kind and one without it, and one question for both.

    `pairs` asks that both are right, as MMVP does (Tong et al. 2024, arXiv:2401.06209): who never looks gets none, who
    guesses a quarter.
    """

    name, want = "counterfactuals", Text

    def __init__(self, world: World, each: int, split: str = "test"):
        self.world = world
        self.asked = [(i, probe) for i in range(each) for probe in counterfactual(world, i, split)]
        self.cases = [_case(probe) for _, probe in self.asked]

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        said = [yes_no(answer) for answer in answers]
        right = [answer is probe.present for answer, (_, probe) in zip(said, self.asked, strict=True)]
        number = [i for i, _ in self.asked]
        pairs, understood = (list(grouped_all(each, number).values()) for each in (right, [answer is not None for answer in said]))
        tiles = [_tile(self.asked[i][1], answers[i]) for i in range(min(SHOWN, len(answers)))]
        score = rate(pairs, unparsed=len(pairs) - sum(understood))
        read = read_answers(self.world, [probe for _, probe in self.asked])
        best = [answer is probe.present for answer, (_, probe) in zip(read, self.asked, strict=True)]
        ceiling = group_accuracy(best, number)
        name, references = "counterfactuals.pairs", {"chance": 0.25, "majority": 0.0, "ceiling": ceiling}
        return Report({name: score}, {name: references}, {name: pairs}, {"counterfactuals": tiles})


def read_answers(world: World, probes: Sequence[Probe]) -> list[bool]:
    """What who reads pictures by the oracle says: yes where it sees the kind, readable or not."""
    read = readings(world, [probe.picture for probe in probes])
    return [probe.kind in {thing.kind for thing in reading.things} for probe, reading in zip(probes, read, strict=True)]


def yes_no_report(
    name: str, answers: Sequence[bool | None], truths: Sequence[bool], clusters: Sequence[str], convention: str = "strict"
) -> Report:
    """POPE's scores of answers as `convention` read them, `name` before each; cases of one cluster are not independent."""
    pairs = list(zip(answers, truths, strict=True))
    right = [answer is truth for answer, truth in pairs]
    scores = {f"{name}.accuracy": rate(right, clusters=clusters, unparsed=sum(answer is None for answer in answers))}
    yes, present = sum(answer is True for answer in answers), sum(truths)
    for what, share_of in {"precision": yes, "recall": present, "f1": min(yes, present), "yes_ratio": len(pairs)}.items():
        statistic = partial(_counted, what=what, convention=convention)
        scores[f"{name}.{what}"] = bootstrap(pairs, statistic, clusters=clusters, share_of=share_of)
    ratios = {f"{name}.{what}": [_share(*pair, what, convention) for pair in pairs] for what in ASKED[1:]}
    return Report(scores, right={f"{name}.accuracy": right}, ratios=ratios, clusters=dict.fromkeys(scores, numbered(clusters)))


def _share(answer: bool | None, truth: bool, what: str, convention: str) -> Share:
    """What one answer adds to the two sums of a score."""
    one = yes_no_scores([answer], [truth], convention)
    return {
        "precision": (one.tp, one.tp + one.fp),
        "recall": (one.tp, one.tp + one.fn),
        "f1": (2 * one.tp, 2 * one.tp + one.fp + one.fn),
        "yes_ratio": (one.tp + one.fp, 1),
    }[what]


def _counted(pairs: Sequence[tuple[bool | None, bool]], what: str, convention: str) -> float:
    answers, truths = zip(*pairs, strict=True)
    return getattr(yes_no_scores(answers, truths, convention), what)


def _case(probe: Probe) -> Case:
    return Case((Image(probe.picture), Text(probe.question.text)), probe.cluster)


def _tile(probe: Probe, answer: str) -> Tile:
    right = yes_no(answer) is probe.present
    return Tile(probe.picture, (probe.question.text, answer.strip() if right else f"{answer.strip()} [{probe.question.answer}]"), right)
