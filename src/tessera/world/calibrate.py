"""Calibrates the oracle's confidence on corrupted scenes, and measures on others what it is worth.

`python -m tessera.world.calibrate` prints, for each level, what stands in `confidence.py` and the report on it.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from scipy.optimize import isotonic_regression

from tessera.world.certify import rendered, sample_shown
from tessera.world.confidence import BINS, Calibration, Worth, bins_of, worth
from tessera.world.corruptions import JUDGED, REPORTED, Corruption, elastic
from tessera.world.oracle import Oracle
from tessera.world.reading import facts
from tessera.world.scene import LEVELS, Level

CORRUPTIONS: dict[str, Corruption] = {**JUDGED, **REPORTED, "elastic 1.5 px": partial(elastic, pixels=1.5)}


def calibrate(
    level: Level, scenes: int = 400, *, seed: int = 0, tick: Callable[[str], None] = lambda row: None
) -> tuple[Calibration, Worth, Worth]:
    """A calibration fitted on every other scene, under all CORRUPTIONS alike; what margins and confidences are worth on the other half.

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
    return found, worth(margins, right), worth(found(margins), right)


def fit(margins: Sequence[float], right: Sequence[bool]) -> Calibration:
    """The rising line through what is in each bin of margins, by isotonic regression on the shares of right readings."""
    bins, true = bins_of(margins), np.asarray(right, dtype=float)
    things = np.bincount(bins, minlength=BINS)
    used = things > 0
    at, share = (np.bincount(bins, values, BINS)[used] / things[used] for values in (np.asarray(margins), true))
    rising = isotonic_regression(share, weights=things[used]).x
    return Calibration(tuple((round(x, 4), round(y, 4)) for x, y in zip(at.tolist(), rising.tolist(), strict=True)))


if __name__ == "__main__":
    for each in LEVELS.values():
        calibration, before, after = calibrate(each)
        print(f"{each.name!r}: Calibration({calibration.knots}),  # {after}; before {before}", flush=True)
