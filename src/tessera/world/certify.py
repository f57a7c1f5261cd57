"""Proof that the oracle can be believed on a level: how often it refuses what is right and accepts what is almost right."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import torch
from torch import Tensor

from tessera.intervals import wilson
from tessera.world.corruptions import GARBAGE, JUDGED, REPORTED
from tessera.world.dice import Dice
from tessera.world.near import near_miss
from tessera.world.oracle import Oracle
from tessera.world.reading import Reading, same_scene
from tessera.world.render import render
from tessera.world.sampling import sample_scene, stands_apart
from tessera.world.scene import Level, Scene

MOST_FALSE_PASS = 0.005
MOST_FALSE_FAIL = 0.02
ATTRIBUTES = ("place", "kind", "colour", "size", "digit")
ROWS = (*JUDGED, *REPORTED, *GARBAGE)  # in the order in which they are measured


@dataclass(frozen=True)
class Rate:
    """So many of so many."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        return self.hits / self.of if self.of else 0.0

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of Wilson."""
        return wilson(self.hits, self.of)

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{100 * self.share:.2f} % ({100 * low:.2f}-{100 * high:.2f})"


@dataclass(frozen=True)
class Row:
    """One corruption. `correct` holds a rate over things for each of ATTRIBUTES; `count` is over scenes."""

    corruption: str
    judged: bool
    false_fail: Rate
    false_pass: Rate
    unreadable: Rate
    count: Rate
    correct: dict[str, Rate]
    pictures_per_second: float

    @property
    def passed(self) -> bool:
        return self.false_fail.share <= MOST_FALSE_FAIL and self.false_pass.share <= MOST_FALSE_PASS


@dataclass(frozen=True)
class GarbageRow:
    """One kind of garbage: `refused` is not read as the scene it was made from, `unreadable` is said to be unreadable."""

    name: str
    refused: Rate
    unreadable: Rate


@dataclass(frozen=True)
class Certificate:
    """What was measured for one level. `passed` asks the limits of the judged rows' rates, not of their intervals."""

    level: str
    rows: tuple[Row, ...]
    garbage: tuple[GarbageRow, ...]

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows if row.judged)

    def markdown(self) -> str:
        """Two tables, with 95 % Wilson intervals."""
        attributes = (f"{name} right" for name in ATTRIBUTES)
        head = ("corruption", "false fail", "false pass", "unreadable", "count right", *attributes, "pictures/s")
        lines = [f"### {self.level}: {'passed' if self.passed else 'NOT passed'}", "", *_header(head)]
        for row in self.rows:
            name = f"**{row.corruption}**" if row.judged else row.corruption
            shares = (_percent(rate) for rate in (row.unreadable, row.count, *map(row.correct.get, ATTRIBUTES)))
            lines.append(_line(name, row.false_fail, row.false_pass, *shares, f"{row.pictures_per_second:.0f}"))
        lines += ["", *_header(("garbage", "not read as its scene", "unreadable"))]
        lines += [_line(row.name, row.refused, row.unreadable) for row in self.garbage]
        return "\n".join((*lines, "", "Bold rows are judged: false fail at most 2 %, false pass at most .5 %.", ""))


def certify(level: Level, scenes: int = 2000, *, seed: int = 0, tick: Callable[[str], None] = lambda row: None) -> Certificate:
    """Read `scenes` scenes and as many near-misses under each judged corruption, a quarter of them under the others.

    Every other scene stands at fractional positions, so that reading whole pixels is not enough. Deterministic but for
    the pictures per second. 2,000 scenes take about a minute. `tick` is called with the name of each row to come.
    """
    oracle, few = Oracle(level), max(1, scenes // 4)
    shown = [_shown(level, seed, index) for index in range(scenes)]
    misses = [near_miss(scene, level, Dice("near", seed, index)) for index, scene in enumerate(shown)]
    pictures, near = _rendered(shown, level), _rendered(misses, level)
    rows = []
    for name, corrupt in (JUDGED | REPORTED).items():
        tick(name)
        part = slice(scenes if name in JUDGED else few)
        rng = torch.Generator().manual_seed(seed)
        start = perf_counter()
        readings, others = (oracle.read(corrupt(seen[part], rng)) for seen in (pictures, near))
        rows.append(_row(name, shown[part], readings, others, 2 * len(readings) / (perf_counter() - start)))
    garbage = []
    for name, corrupt in GARBAGE.items():
        tick(name)
        readings = oracle.read(corrupt(pictures[:few], torch.Generator().manual_seed(seed)))
        same = sum(map(same_scene, readings, shown[:few]))
        garbage.append(GarbageRow(name, Rate(few - same, few), Rate(sum(map(_unreadable, readings)), few)))
    return Certificate(level.name, tuple(rows), tuple(garbage))


def _shown(level: Level, seed: int, index: int) -> Scene:
    """A scene of the level; every other one moved as a whole, by less than half a pixel, to where it still fits."""
    scene, dice = sample_scene(level, "train", seed * 1_000_000 + index), Dice("certify", seed, index)
    if index % 2 == 0:
        return scene
    while True:
        x, y = dice.uniform() - 0.5, dice.uniform() - 0.5
        moved = Scene(tuple(replace(thing, x=thing.x + x, y=thing.y + y) for thing in scene.things))
        if stands_apart(moved, level):
            return moved


def _rendered(scenes: list[Scene], level: Level) -> Tensor:
    return torch.stack([torch.from_numpy(render(scene, level)) for scene in scenes])


def _row(name: str, scenes: list[Scene], readings: list[Reading], others: list[Reading], speed: float) -> Row:
    """One corruption's rates from the readings of the scenes and of their near-misses."""
    count = len(scenes)
    passed, wrong = (sum(map(same_scene, seen, scenes)) for seen in (readings, others))
    counted = sum(len(reading.things) == len(scene.things) for reading, scene in zip(readings, scenes, strict=True))
    unreadable = Rate(sum(map(_unreadable, readings)), count)
    correct = _correct(scenes, readings)
    return Row(name, name in JUDGED, Rate(count - passed, count), Rate(wrong, count), unreadable, Rate(counted, count), correct, speed)


def _unreadable(reading: Reading) -> bool:
    return not reading.readable or not all(thing.readable for thing in reading.things)


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


def _line(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _percent(rate: Rate | None) -> str:
    return f"{100 * rate.share:.2f} %" if rate else "-"
