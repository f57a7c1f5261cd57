"""Calibrates the oracle's confidence on corrupted scenes, and measures on others what it is worth.

`python -m tessera.world.calibrate` prints, for each level, what stands in `confidence.py` and the report on it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata

from tessera.world.certify import rendered, sample_shown
from tessera.world.confidence import Calibration
from tessera.world.corruptions import JUDGED, REPORTED, Corruption, elastic
from tessera.world.oracle import Oracle
from tessera.world.rates import Rate
from tessera.world.reading import facts
from tessera.world.scene import LEVELS, Level

CORRUPTIONS: dict[str, Corruption] = {**JUDGED, **REPORTED, "elastic 1.5 px": partial(elastic, pixels=1.5)}
BINS = 20  # of equal width, of margins for the rising line, and of confidences for the calibration error
SURE = 0.9


@dataclass(frozen=True)
class CalibrationReport:
    """What the confidence is worth on things that it was not fitted on.

    `before` and `after` are the expected calibration errors (Naeini et al. 2015, AAAI) of the margin and of the
    confidence, `auroc` how well the confidence ranks right above wrong readings; `accuracy` is among the things with a
    confidence above SURE, and `coverage` is how many these are.
    """

    before: float
    after: float
    auroc: float
    accuracy: Rate
    coverage: Rate

    def __str__(self) -> str:
        return (
            f"ECE {self.before:.4f} before, {self.after:.4f} after; AUROC {self.auroc:.3f}; "
            f"above {SURE}: {self.accuracy} right, which covers {self.coverage}"
        )


def calibrate(
    level: Level, scenes: int = 400, *, seed: int = 0, tick: Callable[[str], None] = lambda row: None
) -> tuple[Calibration, CalibrationReport]:
    """A calibration fitted on every other scene, under all CORRUPTIONS alike, and the report on the other half.

    Deterministic. `tick` is called with the name of each corruption to come.
    """
    told = [sample_shown(level, seed, index) for index in range(scenes)]
    pictures, oracle = rendered(told, level), Oracle(level, Calibration())
    halves: tuple[list[tuple[float, bool]], ...] = ([], [])
    for name, corrupt in CORRUPTIONS.items():
        tick(name)
        readings = oracle.read(corrupt(pictures, torch.Generator().manual_seed(seed)))
        for index, (reading, scene) in enumerate(zip(readings, told, strict=True)):
            there = set(map(facts, scene.things))
            halves[index % 2].extend((thing.confidence, facts(thing) in there) for thing in reading.things)
    found = fit(*zip(*halves[0], strict=True))
    margins, right = zip(*halves[1], strict=True)
    return found, report(margins, found(margins), right)


def fit(margins: Sequence[float], right: Sequence[bool]) -> Calibration:
    """The rising line through what is in each bin of margins, by isotonic regression on the shares of right readings."""
    bins, true = _bins(margins), np.asarray(right, dtype=float)
    things = np.bincount(bins, minlength=BINS)
    used = things > 0
    at, share = (np.bincount(bins, values, BINS)[used] / things[used] for values in (np.asarray(margins), true))
    rising = isotonic_regression(share, weights=things[used]).x
    return Calibration(tuple((round(x, 4), round(y, 4)) for x, y in zip(at.tolist(), rising.tolist(), strict=True)))


def report(margins: Sequence[float], confidence: Sequence[float], right: Sequence[bool]) -> CalibrationReport:
    """What some confidences are worth, given the margins they come from and which readings were right."""
    true = np.asarray(right, dtype=bool)
    sure = np.asarray(confidence) > SURE
    wins = rankdata(confidence)[true].sum() - true.sum() * (true.sum() + 1) / 2
    pairs = int(true.sum()) * int((~true).sum())
    return CalibrationReport(
        calibration_error(margins, right),
        calibration_error(confidence, right),
        float(wins / pairs) if pairs else float("nan"),
        Rate(int(true[sure].sum()), int(sure.sum())),
        Rate(int(sure.sum()), len(true)),
    )


def calibration_error(confidence: Sequence[float], right: Sequence[bool]) -> float:
    """The mean distance, over BINS bins weighed by what is in them, from the mean confidence to the share of right ones."""
    off = np.bincount(_bins(confidence), np.asarray(confidence) - np.asarray(right, dtype=float), BINS)
    return float(np.abs(off).sum() / len(right))


def _bins(values: Sequence[float]) -> np.ndarray:
    return np.minimum((np.asarray(values) * BINS).astype(int), BINS - 1)


if __name__ == "__main__":
    for each in LEVELS.values():
        calibration, worth = calibrate(each)
        print(f"{each.name!r}: Calibration({calibration.knots}),  # {worth}", flush=True)
