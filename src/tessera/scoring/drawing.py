"""GenEval's verdict on one picture from what a detector saw, and its scores over prompts, tasks and pictures."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import copysign, hypot, sqrt
from typing import Literal

from tessera.scoring.intervals import Score, rate

Box = tuple[float, float, float, float]  # left, top, right, bottom, growing to the right and down
POSITION_MARGIN = 0.1
MIN_COSINE = 0.5
MOST_PER_KIND = 16


@dataclass(frozen=True)
class Detection:
    """One thing that a detector saw."""

    kind: str
    colour: str | None
    box: Box
    confidence: float = 1.0


@dataclass(frozen=True)
class Clause:
    """So many of a kind, in a colour, `position` ("left of", "right of", "above", "below") of the things of another clause.

    `position` holds the relation and the index of that clause. An excluding clause forbids `count` or more of the kind.
    """

    kind: str
    count: int = 1
    colour: str | None = None
    position: tuple[str, int] | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a picture is right, and what is wrong with it."""

    right: bool
    reason: str


def verdict(
    seen: Sequence[Detection],
    include: Sequence[Clause],
    exclude: Sequence[Clause] = (),
    *,
    mode: Literal["geneval", "strict"] = "geneval",
    confidence: float = 0.3,
) -> Verdict:
    """Right when every clause holds of what was seen with more than `confidence` (GenEval's counting task: 0.9).

    "geneval": each clause looks at its `count` most confident boxes of the kind; others pass unless excluded, and two clauses
    of one kind look at the same boxes. "strict": things are not shared between clauses, and any thing left over is wrong.
    Source: Ghosh et al. 2023, arXiv 2310.11513, and its published `evaluate_images.py`.
    """
    sure = sorted((one for one in seen if one.confidence > confidence), key=lambda one: -one.confidence)
    things = [one for i, one in enumerate(sure) if sum(other.kind == one.kind for other in sure[:i]) < MOST_PER_KIND]
    groups, wrong = (_shared if mode == "geneval" else _taken)(things, include)
    for clause, group in zip(include, groups, strict=True):
        if clause.position and group is not None:
            wrong += _misplaced(clause, group, groups[clause.position[1]])
    for clause in exclude:
        found = sum(thing.kind == clause.kind for thing in things)
        if found >= clause.count:
            wrong.append(f"expected fewer than {clause.count} {clause.kind}, found {found}")
    return Verdict(not wrong, "; ".join(wrong))


Groups = list[list[Detection] | None]  # the things of each clause, None where it does not hold


def _shared(things: Sequence[Detection], include: Sequence[Clause]) -> tuple[Groups, list[str]]:
    groups: Groups = []
    wrong: list[str] = []
    for clause in include:
        found = [thing for thing in things if thing.kind == clause.kind][: clause.count]
        coloured = sum(clause.colour in (None, thing.colour) for thing in found)
        groups.append(found if coloured == clause.count else None)
        if len(found) < clause.count:
            wrong.append(f"expected {clause.count} {clause.kind}, found {len(found)}")
        elif coloured < clause.count:
            colours = ", ".join(str(thing.colour) for thing in found)
            wrong.append(f"expected {clause.count} {_name(clause)}, found {coloured} (of colour {colours})")
    return groups, wrong


def _taken(things: Sequence[Detection], include: Sequence[Clause]) -> tuple[Groups, list[str]]:
    """Clauses that name a colour take first, so that one that names none leaves them theirs."""
    left, wrong = list(range(len(things))), []
    groups: Groups = [None] * len(include)
    for i, clause in sorted(enumerate(include), key=lambda entry: entry[1].colour is None):
        fitting = [at for at in left if things[at].kind == clause.kind and clause.colour in (None, things[at].colour)]
        found = fitting[: clause.count]
        if len(found) == clause.count:
            groups[i] = [things[at] for at in found]
        else:
            wrong.append(f"expected {clause.count} {_name(clause)}, found {len(found)}")
        left = [at for at in left if at not in found]
    if left:
        wrong.append("not asked for: " + ", ".join(_name(things[at]) for at in left))
    return groups, wrong


def _name(what: Detection | Clause) -> str:
    return f"{what.colour} {what.kind}" if what.colour else what.kind


def _misplaced(clause: Clause, group: Sequence[Detection], target: Sequence[Detection] | None) -> list[str]:
    assert clause.position
    relation, index = clause.position
    if target is None:
        return [f"no clause {index} for {clause.kind} to be {relation}"]
    for a, b in product(group, target):
        found = relations(a.box, b.box)
        if relation not in found:
            return [f"expected {clause.kind} {relation} {b.kind}, found {' and '.join(sorted(found)) or 'neither side'}"]
    return []


def relations(a: Box, b: Box) -> frozenset[str]:
    """On which sides of box b box a lies: none when too close, two when diagonal.

    The offset of the centres is shrunk along each axis by a tenth of both boxes' lengths, divided by the unshrunk distance,
    and must pass one half. Source: as `verdict`.
    """
    across, down = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    distance = hypot(across, down)
    if distance == 0:
        return frozenset()
    margins = [POSITION_MARGIN * (a[2] - a[0] + b[2] - b[0]), POSITION_MARGIN * (a[3] - a[1] + b[3] - b[1])]
    dx, dy = (copysign(max(abs(d) - margin, 0), d) / distance for d, margin in zip((across, down), margins, strict=True))
    tests = {"left of": dx < -MIN_COSINE, "right of": dx > MIN_COSINE, "above": dy < -MIN_COSINE, "below": dy > MIN_COSINE}
    return frozenset(name for name, true in tests.items() if true)


@dataclass(frozen=True)
class DrawingScores:
    """Scores by task, their mean, and the share of prompts of which any picture is right."""

    tasks: dict[str, Score]
    overall: Score
    any_right: Score


def drawing_scores(right: Mapping[Hashable, Sequence[bool]], tasks: Mapping[Hashable, str]) -> DrawingScores:
    """From the verdicts of each prompt's pictures and each prompt's task, as GenEval reports them.

    A task's score is the mean over pictures, with prompts as clusters; overall is the mean of the tasks, each weighing the
    same, its interval put together from theirs (Zou and Donner 2008, Statistics in Medicine 27).
    """
    by_task: dict[str, list[tuple[bool, Hashable]]] = {}
    for prompt, marks in right.items():
        by_task.setdefault(tasks[prompt], []).extend((mark, prompt) for mark in marks)
    scores = {task: rate([mark for mark, _ in cases], clusters=[prompt for _, prompt in cases]) for task, cases in sorted(by_task.items())}
    each = list(scores.values())
    mean = sum(score.value for score in each) / len(each)
    low = sqrt(sum((score.value - score.ci95[0]) ** 2 for score in each)) / len(each)
    high = sqrt(sum((score.ci95[1] - score.value) ** 2 for score in each)) / len(each)
    overall = Score(mean, (mean - low, mean + high), sum(map(len, right.values())), "mover", len(right))
    return DrawingScores(scores, overall, rate([any(marks) for marks in right.values()]))
