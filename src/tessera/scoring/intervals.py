"""Scores with their uncertainty."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tessera.intervals import wilson

RESAMPLES = 1000


@dataclass(frozen=True)
class Score:
    """A value, its 95 % interval, and the number of cases behind it."""

    value: float
    ci95: tuple[float, float]
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.ci95[0]:.3f} to {self.ci95[1]:.3f}, n {self.n})"


def rate(right: Sequence[bool]) -> Score:
    """The share that is right, with Wilson's interval."""
    hits, n = sum(map(bool, right)), len(right)
    return Score(hits / n if n else 0.0, wilson(hits, n), n)


def bootstrap(cases: Sequence, statistic: Callable[[Sequence], float], *, seed: int = 0) -> Score:
    """Any statistic of independent cases, with the 95 % percentile interval over resampled cases (Efron 1979).

    Where cases share a scene, pass one case per scene: the scene is what is drawn again.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    n = len(cases)
    values = [statistic([cases[i] for i in rng.integers(0, n, n)]) for _ in range(RESAMPLES)]
    low, high = np.quantile(values, [0.025, 0.975])
    return Score(float(statistic(cases)), (float(low), float(high)), n)
