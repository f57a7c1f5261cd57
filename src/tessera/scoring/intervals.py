"""Scores with their uncertainty."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

Z95 = 1.959963984540054  # the normal quantile of .975
RESAMPLES = 1000


@dataclass(frozen=True)
class Score:
    """A value, its 95 % interval, and the number of cases behind it."""

    value: float
    ci95: tuple[float, float]
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.ci95[0]:.3f} to {self.ci95[1]:.3f}, n {self.n})"


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a rate. Source: Wilson 1927, J. Am. Stat. Assoc. 22; stays inside 0 to 1 and never has width 0."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = hits / n, Z95**2
    centre, half = p + z2 / (2 * n), Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, (centre - half) / (1 + z2 / n)), min(1.0, (centre + half) / (1 + z2 / n))


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
