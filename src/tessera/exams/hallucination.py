"""Hallucination: does a system say what it sees, or what usually goes with it?"""

from collections.abc import Sequence
from functools import partial

from tessera.document import Image, Text
from tessera.exams.base import Case, Report, joined, numbered
from tessera.scoring import bootstrap, rate
from tessera.scoring.answers import yes_no
from tessera.scoring.compare import Share
from tessera.scoring.grouped import grouped_all
from tessera.scoring.yesno import yes_no_scores
from tessera.world import Tile, World
from tessera.world.hallucination import Negatives, Probe, counterfactual, pope

SHOWN = 12  # probes of each kind on the sheet


class Pope:
    """POPE on `each` scenes: a kind that is there and one that is not, at random, the most popular, or the likeliest company.

    One pair a scene, not POPE's three: a level has six or eight kinds, and three pairs would ask for nearly all, whatever the mode.

    Source: Li et al. 2023, arXiv:2305.10355; see `tessera.world.hallucination.pope` for what differs. Answers are read
    strictly: one that is neither yes nor no is wrong, and counted. Intervals are over scenes. References of accuracy: who
    always says yes is right half of the time.
    """

    name, want = "pope", Text

    def __init__(self, world: World, each: int, split: str = "test"):
        asked = [(negatives, probe) for negatives in Negatives for i in range(each) for probe in pope(world, negatives, i, split, k=1)]
        self.asked: list[tuple[Negatives, Probe]] = asked
        self.cases = [_case(probe) for _, probe in asked]

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        said = [yes_no(answer) for answer in answers]
        reports = []
        for negatives in Negatives:
            mine = [i for i, (kind, _) in enumerate(self.asked) if kind is negatives]
            probes = [self.asked[i][1] for i in mine]
            truths, clusters = [probe.present for probe in probes], [probe.cluster for probe in probes]
            reports.append(yes_no_report(f"pope.{negatives.value}", [said[i] for i in mine], truths, clusters))
        references = {f"pope.{negatives.value}.accuracy": {"chance": 0.5, "majority": 0.5} for negatives in Negatives}
        tiles = [_tile(self.asked[i][1], answers[i]) for i in range(min(SHOWN, len(answers)))]
        return joined(reports) | Report(references=references, tiles={"pope": tiles})


class Counterfactuals:
    """`each` pairs of pictures, one with the only thing of a kind and one without it, and one question for both.

    `pairs` asks that both are right, as MMVP does (Tong et al. 2024, arXiv:2401.06209): who never looks gets none, who
    guesses a quarter.
    """

    name, want = "counterfactuals", Text

    def __init__(self, world: World, each: int, split: str = "test"):
        self.asked = [(i, probe) for i in range(each) for probe in counterfactual(world, i, split)]
        self.cases = [_case(probe) for _, probe in self.asked]

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        said = [yes_no(answer) for answer in answers]
        right = [answer is probe.present for answer, (_, probe) in zip(said, self.asked, strict=True)]
        pairs = list(grouped_all(right, [i for i, _ in self.asked]).values())
        tiles = [_tile(self.asked[i][1], answers[i]) for i in range(min(SHOWN, len(answers)))]
        score = rate(pairs, unparsed=sum(answer is None for answer in said))
        name, references = "counterfactuals.pairs", {"chance": 0.25, "majority": 0.0}
        return Report({name: score}, {name: references}, {name: pairs}, {"counterfactuals": tiles})


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
    ratios = {f"{name}.{what}": [_share(*pair, what, convention) for pair in pairs] for what in ("precision", "recall", "f1", "yes_ratio")}
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
