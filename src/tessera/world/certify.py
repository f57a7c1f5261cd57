"""Proof that the oracle can be believed on a level: how often it refuses what is right and accepts what is almost right."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import torch
from torch import Tensor

from tessera.world.agreement import Audit, agreement, audit
from tessera.world.auditor import Auditor
from tessera.world.confidence import Worth, worth
from tessera.world.corruptions import JUDGED, REPORTED, Corruption
from tessera.world.dice import Dice
from tessera.world.garbage import DISFIGURED, GARBAGE, MANY
from tessera.world.near import near_miss
from tessera.world.oracle import Oracle
from tessera.world.rates import Rate
from tessera.world.reading import Reading, facts, legible, same_scene
from tessera.world.render import render
from tessera.world.sampling import sample_scene, stands_apart
from tessera.world.scene import Level, Scene

MOST_FALSE_PASS = 0.005
MOST_FALSE_FAIL = 0.02
LEAST_UNREADABLE = 0.98
SURE, MOST_SURE = 0.9, 0.05  # of things disfigured, few may be read as a scene of which the oracle is surer than this
JUDGEMENT = (
    "Bold rows are judged: false fail at most 2 %, false pass at most .5 %, garbage unreadable 98 % at least, "
    "disfigured things surely read as some scene (each with a confidence above .9) 5 % at most."
)
ATTRIBUTES = ("place", "kind", "colour", "size", "digit")
ROWS = (*JUDGED, *REPORTED, *GARBAGE, *DISFIGURED)  # in the order in which they are measured; what is asked for besides comes last

Drawings = Callable[[int], tuple[Tensor, Sequence[Scene]]]  # so many pictures that somebody drew, and the scenes asked for


@dataclass(frozen=True)
class Row:
    """One corruption. `correct` holds a rate over things for each of ATTRIBUTES; `count` is over scenes.

    `agreed` counts the pictures that oracle and auditor read as the same scene, of those legible to both. `read` is how sure the
    oracle was of each thing it read, and whether all of that was right.
    """

    corruption: str
    judged: bool
    false_fail: Rate
    false_pass: Rate
    unreadable: Rate
    count: Rate
    correct: dict[str, Rate]
    agreed: Rate
    pictures_per_second: float
    read: tuple[tuple[float, bool], ...] = ()

    @property
    def passed(self) -> bool:
        return self.false_fail.share <= MOST_FALSE_FAIL and self.false_pass.share <= MOST_FALSE_PASS


@dataclass(frozen=True)
class GarbageRow:
    """One kind of garbage: `refused` is not read as the scene it was made from, `unreadable` is said to be unreadable.

    `plausible` is read as some scene of at least one thing; of that, `sure` is what the oracle is sure of, and `confirmed` what the
    auditor reads as some scene too. Things `disfigured` may be read, but hardly ever surely.
    """

    name: str
    disfigured: bool
    refused: Rate
    unreadable: Rate
    plausible: Rate
    sure: Rate
    confirmed: Rate

    @property
    def passed(self) -> bool:
        return self.sure.share <= MOST_SURE if self.disfigured else self.unreadable.share >= LEAST_UNREADABLE


@dataclass(frozen=True)
class DrawnRow:
    """Drawings by a system, such as one in the middle of its training. What they truly show nobody knows: two readers are asked."""

    name: str
    audit: Audit


@dataclass(frozen=True)
class Certificate:
    """What was measured for one level. `passed` asks the limits of the judged rows' rates, not of their intervals."""

    level: str
    rows: tuple[Row, ...]
    garbage: tuple[GarbageRow, ...]
    drawn: tuple[DrawnRow, ...] = ()

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows if row.judged) and all(row.passed for row in self.garbage)

    @property
    def confidence(self) -> Worth | None:
        """What confidence is worth over the things of all rows; None where nothing was read."""
        read = [thing for row in self.rows for thing in row.read]
        return worth(*zip(*read, strict=True)) if read else None

    def markdown(self) -> str:
        """A table for each sort of pictures, with 95 % Wilson intervals."""
        attributes = (f"{name} right" for name in ATTRIBUTES)
        head = ("corruption", "false fail", "false pass", "unreadable", "count right", *attributes, "auditor agrees", "pictures/s")
        lines = [f"### {self.level}: {'passed' if self.passed else 'NOT passed'}", "", *_header(head)]
        for row in self.rows:
            shares = (_percent(rate) for rate in (row.unreadable, row.count, *map(row.correct.get, ATTRIBUTES), row.agreed))
            name = _name(row.corruption, row.judged)
            lines.append(_line(name, row.false_fail, row.false_pass, *shares, f"{row.pictures_per_second:.0f}"))
        head = ("not read as its scene", "unreadable", "read as some scene", "surely", "by the auditor too")
        lines += ["", *_header(("garbage", *head))]
        for garbage in self.garbage:
            name, read = _name(garbage.name, judged=True), (garbage.plausible, garbage.sure, garbage.confirmed)
            lines.append(_line(name, garbage.refused, garbage.unreadable, *read))
        if self.drawn:
            head = ("as asked, by the oracle", "of these, by the auditor too", "legible to the oracle", "to the auditor", "both alike")
            lines += ["", *_header(("drawn by", *head))]
        for drawn in self.drawn:
            found = drawn.audit
            lines.append(_line(drawn.name, found.right, found.confirmed, found.readable, found.audited, found.agreement.scene))
        if sure := self.confidence:
            lines += ["", f"Confidence of the {sure.coverage.of} things read: {sure}."]
        return "\n".join((*lines, "", JUDGEMENT, ""))


def certify(
    level: Level,
    scenes: int = 2000,
    *,
    seed: int = 0,
    extra: Mapping[str, Corruption] | None = None,
    drawn: Mapping[str, Drawings] | None = None,
    tick: Callable[[str], None] = lambda row: None,
) -> Certificate:
    """Read `scenes` scenes and as many near-misses under each judged corruption, a quarter of them under the others.

    Every other scene stands at fractional positions, so that reading whole pixels is not enough. `extra` are further
    corruptions to report, by name: a codec's way there and back, say. `drawn` draw a tenth as many pictures as there are
    scenes. Deterministic but for the pictures per second. 2,000 scenes take about a minute. `tick` is called with the name of
    each row to come.
    """
    extra, drawn = extra or {}, drawn or {}
    if taken := [name for name in extra if name in ROWS]:
        raise ValueError(f"certify: extra pictures are called {', '.join(taken)}, as rows are that exist; choose other names")
    readers, few = Readers(level), max(1, scenes // 4)
    shown = [sample_shown(level, seed, index) for index in range(scenes)]
    misses = [near_miss(scene, level, Dice("near", seed, index)) for index, scene in enumerate(shown)]
    pictures, near = rendered(shown, level), rendered(misses, level)

    def row(name: str, corrupt: Corruption) -> Row:
        tick(name)
        part = slice(scenes if name in JUDGED else few)
        return readers.row(name, shown[part], *(corrupt(seen[part], torch.Generator().manual_seed(seed)) for seen in (pictures, near)))

    def garbage_row(name: str, make: Corruption) -> GarbageRow:
        tick(name)
        part = slice(max(few, MANY))
        return readers.garbage_row(name, shown[part], make(pictures[part], torch.Generator().manual_seed(seed)))

    def drawn_row(name: str, draw: Drawings) -> DrawnRow:
        tick(name)
        return DrawnRow(name, audit(level, *draw(max(1, scenes // 10))))

    rows = [row(*item) for item in (JUDGED | REPORTED).items()]
    garbage = [garbage_row(*item) for item in (GARBAGE | DISFIGURED).items()]
    rows += [row(*item) for item in extra.items()]
    return Certificate(level.name, tuple(rows), tuple(garbage), tuple(drawn_row(*item) for item in drawn.items()))


def sample_shown(level: Level, seed: int, index: int) -> Scene:
    """A scene of the level; every other one moved as a whole, by less than half a pixel, to where it still fits."""
    scene, dice = sample_scene(level, "train", seed * 1_000_000 + index), Dice("certify", seed, index)
    if index % 2 == 0:
        return scene
    while True:
        x, y = dice.uniform() - 0.5, dice.uniform() - 0.5
        moved = Scene(tuple(replace(thing, x=thing.x + x, y=thing.y + y) for thing in scene.things))
        if stands_apart(moved, level):
            return moved


def rendered(scenes: list[Scene], level: Level) -> Tensor:
    """The pictures of scenes: uint8 [n, 3, height, width]."""
    return torch.stack([torch.from_numpy(render(scene, level)) for scene in scenes])


class Readers:
    """The oracle, which is certified, and the auditor, which is asked as well."""

    def __init__(self, level: Level):
        self.oracle, self.auditor = Oracle(level), Auditor(level)

    def row(self, name: str, scenes: list[Scene], pictures: Tensor, near: Tensor) -> Row:
        """One corruption's rates, from pictures of the scenes and of their near-misses."""
        start, count = perf_counter(), len(scenes)
        readings, others = self.oracle.read(pictures), self.oracle.read(near)
        speed = 2 * count / (perf_counter() - start)
        passed, wrong = (sum(map(same_scene, seen, scenes)) for seen in (readings, others))
        counted = sum(len(reading.things) == len(scene.things) for reading, scene in zip(readings, scenes, strict=True))
        return Row(
            name,
            name in JUDGED,
            Rate(count - passed, count),
            Rate(wrong, count),
            Rate(count - sum(map(legible, readings)), count),
            Rate(counted, count),
            _correct(scenes, readings),
            agreement(readings, self.auditor.read(pictures)).scene,
            speed,
            tuple(_sure(scenes[1::2], readings[1::2])),  # of the others some were what confidence was fitted on
        )

    def garbage_row(self, name: str, scenes: list[Scene], pictures: Tensor) -> GarbageRow:
        """One kind of garbage, from pictures made of pictures of the scenes."""
        readings, count = self.oracle.read(pictures), len(scenes)
        plausible = [_plausible(reading) for reading in readings]
        sure = sum(was and reading.confidence > SURE for was, reading in zip(plausible, readings, strict=True))
        both = sum(was and _plausible(again) for was, again in zip(plausible, self.auditor.read(pictures), strict=True))
        return GarbageRow(
            name,
            name in DISFIGURED,
            Rate(count - sum(map(same_scene, readings, scenes)), count),
            Rate(count - sum(map(legible, readings)), count),
            Rate(sum(plausible), count),
            Rate(sure, count),
            Rate(both, count),
        )


def _plausible(reading: Reading) -> bool:
    return legible(reading) and bool(reading.things)


def _sure(scenes: list[Scene], readings: list[Reading]) -> Iterator[tuple[float, bool]]:
    for scene, reading in zip(scenes, readings, strict=True):
        there = set(map(facts, scene.things))
        yield from ((thing.confidence, facts(thing) in there) for thing in reading.things)


def _correct(scenes: list[Scene], readings: list[Reading]) -> dict[str, Rate]:
    """Of the things there, how many are seen in their place; and of those seen, how many with the right attributes."""
    hits: Counter[str] = Counter()
    of: Counter[str] = Counter()
    for scene, reading in zip(scenes, readings, strict=True):
        seen = {(thing.row, thing.column): thing for thing in reading.things}
        for thing in scene.things:
            match = seen.get((thing.row, thing.column))
            of["place"] += 1
            hits["place"] += match is not None
            for name in ATTRIBUTES[1:] if match else ():
                if name != "digit" or thing.digit:
                    of[name] += 1
                    hits[name] += getattr(match, name) == getattr(thing, name)
    return {name: Rate(hits[name], of[name]) for name in ATTRIBUTES if of[name]}


def _header(names: tuple[str, ...]) -> tuple[str, str]:
    return _line(*names), _line(*("---" for _ in names))


def _name(name: str, judged: bool) -> str:
    return f"**{name}**" if judged else name


def _line(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _percent(rate: Rate | None) -> str:
    return f"{100 * rate.share:.2f} %" if rate else "-"
