"""Proof that the oracle can be believed on a level: how often it refuses what is right and accepts what is almost right."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from time import perf_counter

import torch
from torch import Tensor

from tessera.world.corruptions import GARBAGE, JUDGED, REPORTED, Corruption
from tessera.world.dice import Dice
from tessera.world.near import near_miss
from tessera.world.oracle import Oracle
from tessera.world.reading import Reading, same_scene
from tessera.world.render import render
from tessera.world.sampling import sample_scene
from tessera.world.scene import Level, Scene

MOST_FALSE_PASS = 0.005
MOST_FALSE_FAIL = 0.02
ATTRIBUTES = ("place", "kind", "colour", "size", "digit")


@dataclass(frozen=True)
class Rate:
    """So many of so many."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        return self.hits / self.of if self.of else 0.0

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of Wilson's score (JASA 22, 1927)."""
        if not self.of:
            return 0.0, 1.0
        z = 1.959964
        middle = (self.share + z * z / (2 * self.of)) / (1 + z * z / self.of)
        half = z / (1 + z * z / self.of) * sqrt(self.share * (1 - self.share) / self.of + z * z / (4 * self.of**2))
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{100 * self.share:.2f} % ({100 * low:.2f}-{100 * high:.2f})"


@dataclass(frozen=True)
class Row:
    """One corruption. `correct` holds one rate for each of ATTRIBUTES, over things; `count` is over scenes."""

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
        head = ("corruption", "false fail", "false pass", "unreadable", "count right", *(f"{name} right" for name in ATTRIBUTES), "pictures/s")
        lines = [f"### {self.level}: {'passed' if self.passed else 'NOT passed'}", "", *_header(head)]
        for row in self.rows:
            name = f"**{row.corruption}**" if row.judged else row.corruption
            shares = (_percent(rate) for rate in (row.unreadable, row.count, *row.correct.values()))
            lines.append(_line(name, row.false_fail, row.false_pass, *shares, f"{row.pictures_per_second:.0f}"))
        lines += ["", *_header(("garbage", "not read as its scene", "unreadable"))]
        lines += [_line(row.name, row.refused, row.unreadable) for row in self.garbage]
        return "\n".join((*lines, "", "Bold rows are judged: false fail at most 2 %, false pass at most .5 %.", ""))


def certify(
    level: Level, scenes: int = 2000, *, seed: int = 0, tick: Callable[[str], None] = lambda row: None
) -> Certificate:
    """Read `scenes` scenes and as many near-misses under each judged corruption, a quarter of them under the others.

    Things stand at fractional positions, so that the generator's whole pixels prove nothing by themselves.
    Deterministic but for the pictures per second. 2,000 scenes take about a minute. `tick` is called with each row's name.
    """
    oracle, few = Oracle(level), max(1, scenes // 4)
    shown = [_moved(sample_scene(level, "train", index), Dice("certify", seed, index)) for index in range(scenes)]
    misses = [near_miss(scene, level, Dice("near", seed, index))[0] for index, scene in enumerate(shown)]
    pictures, near = (torch.stack([torch.from_numpy(render(scene, level)) for scene in part]) for part in (shown, misses))
    rows = []
    for name, corrupt in (JUDGED | REPORTED).items():
        tick(name)
        judged = name in JUDGED
        part = slice(scenes if judged else few)
        rows.append(_row(name, judged, oracle, corrupt, (shown[part], pictures[part], near[part]), seed))
    garbage = []
    for name, corrupt in GARBAGE.items():
        tick(name)
        readings = oracle.read(corrupt(pictures[:few], torch.Generator().manual_seed(seed)))
        same = sum(map(same_scene, readings, shown[:few]))
        garbage.append(GarbageRow(name, Rate(few - same, few), Rate(sum(map(_unreadable, readings)), few)))
    return Certificate(level.name, tuple(rows), tuple(garbage))
