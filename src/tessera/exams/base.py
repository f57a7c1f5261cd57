"""What an exam is: cases in, scores out, and no model inside."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import fmean
from typing import Any, Protocol, runtime_checkable

from tessera.document import Segment
from tessera.scoring import Score, bootstrap, rate
from tessera.scoring.compare import Share
from tessera.world import Tile

SCORER = 2  # moves when the same answers may get other scores


@dataclass(frozen=True, eq=False)
class Case:
    """One thing asked: what stands before the answer, and the scene it is about. Cases of one scene are not independent.

    Where the answer is a whole document, `prompt` is how it begins, and the model may add as many segments as `more` says.
    """

    prompt: tuple[Segment, ...]
    scene: str
    more: int = 0


@dataclass(frozen=True, eq=False)
class Report:
    """What an exam found. `references` says, score by score, what chance, the commonest answer and the like would get.

    `right` holds the cases of rates one by one, so that two systems can be compared on the same cases; `ratios` those of
    scores that are one sum by another (a mean, F1, CHAIR): what each case adds to both sums. `clusters`, where several cases
    are about one scene, is the number of each one's scene.
    """

    scores: Mapping[str, Score] = field(default_factory=dict)
    references: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    right: Mapping[str, Sequence[bool]] = field(default_factory=dict)
    tiles: Mapping[str, Sequence[Tile]] = field(default_factory=dict)
    clusters: Mapping[str, Sequence[int]] = field(default_factory=dict)
    ratios: Mapping[str, Sequence[Share]] = field(default_factory=dict)

    def __or__(self, other: "Report") -> "Report":
        return Report(*({**getattr(self, one.name), **getattr(other, one.name)} for one in fields(self)))


@runtime_checkable
class Exam(Protocol):
    """The same world, number and split give the same `cases`; `report` judges one answer to each of them, of kind `want`:
    a text or a picture; None wants the whole document.
    """

    @property
    def name(self) -> str: ...

    @property
    def want(self) -> type[Segment] | None: ...

    @property
    def cases(self) -> Sequence[Case]: ...

    def report(self, answers: Sequence[Any]) -> Report: ...


def rates(
    prefix: str, right: Sequence[bool], groups: Sequence[str], *, overall: str = "overall", readable: Sequence[bool] | None = None
) -> Report:
    """The share that is right in each group, and over all; of pictures that were not `readable`, how many is told beside it."""
    mine = {
        f"{prefix}.{group}": [i for i, (g, _) in enumerate(zip(groups, right, strict=True)) if g == group]
        for group in dict.fromkeys(groups)
    }
    mine[f"{prefix}.{overall}"] = list(range(len(right)))
    cases = {name: [right[i] for i in some] for name, some in mine.items()}
    lost = {name: sum(not readable[i] for i in some) if readable else 0 for name, some in mine.items()}
    return Report({name: rate(ok, unreadable=lost[name]) for name, ok in cases.items()}, right=cases)


def shares_of_mean(values: Iterable[int | float]) -> list[Share]:
    """What each case adds to the two sums of a mean."""
    return [(value, 1) for value in values]


def quotient(cases: Sequence[Share]) -> float:
    """One sum by the other; 0/0 is 0."""
    over, by = (sum(numbers) for numbers in zip(*cases, strict=True))
    return over / by if by else 0.0


def averages(values: Mapping[str, Sequence[float]]) -> Report:
    """Means over cases, each with its bootstrapped interval."""
    return Report({name: bootstrap(each, fmean) for name, each in values.items()}, ratios={n: shares_of_mean(v) for n, v in values.items()})


def numbered(clusters: Sequence[Hashable]) -> list[int]:
    """The clusters of cases, counted in order of first appearance."""
    numbers = {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters))}
    return [numbers[cluster] for cluster in clusters]


def joined(reports: Iterable[Report]) -> Report:
    """All of them in one."""
    total = Report()
    for report in reports:
        total |= report
    return total


class Apart:
    """An exam on what the world keeps out of training, under a name of its own: read beside its twin on the test split."""

    def __init__(self, exam: Exam):
        self.exam, self.name, self.want, self.cases = exam, f"held_out.{exam.name}", exam.want, exam.cases

    def report(self, answers: Sequence[Any]) -> Report:
        """The exam's own report; `held_out.` stands before every name."""
        found = self.exam.report(answers)
        renamed = lambda values: {f"held_out.{name}": value for name, value in values.items()}
        return Report(*(renamed(getattr(found, one.name)) for one in fields(found)))
