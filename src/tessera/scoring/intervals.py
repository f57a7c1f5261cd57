"""Scores with their uncertainty."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import sqrt

import numpy as np
from scipy.special import ndtr, stdtrit

from tessera.intervals import Z95, wilson, wilson_of

RESAMPLES = 2000


@dataclass(frozen=True)
class Score:
    """A value, its 95 % interval by `method`, and the number of cases behind it.

    `clusters` is the number of scenes, prompts or documents that the cases come from, None where every case stands alone.
    Of the cases, `unparsed` had an answer that could not be understood and `unreadable` a picture that could not be read:
    both are counted as wrong in `value`.
    """

    value: float
    ci95: tuple[float, float]
    n: int
    method: str = "wilson"
    clusters: int | None = None
    unparsed: int = 0
    unreadable: int = 0

    def __str__(self) -> str:
        counts = {"clusters": self.clusters, "unparsed": self.unparsed, "unreadable": self.unreadable}
        notes = "".join(f", {name} {count}" for name, count in counts.items() if count)
        return f"{self.value:.3f} ({self.ci95[0]:.3f} to {self.ci95[1]:.3f}, n {self.n}{notes})"


def rate(right: Sequence[bool], *, clusters: Sequence[Hashable] | None = None, unparsed: int = 0, unreadable: int = 0) -> Score:
    """The share that is right, with Wilson's interval; `clusters` names for each case the scene or prompt it belongs to.

    With clusters it is Wilson's interval of the effective number of cases, see `effective`: unlike a bootstrap it has a width
    where all is right or all is wrong. It covers the truth about 95 times in 100, averaged over neighbouring rates; where
    fewer than about ten clusters hold the rarer answer and cases of one cluster agree, it is too narrow.
    """
    n = len(right)
    value = sum(map(bool, right)) / n if n else 0.0
    if clusters is None or not n:
        return Score(value, wilson(round(value * n), n), n, unparsed=unparsed, unreadable=unreadable)
    groups = grouped([value - bool(one) for one in right], clusters)
    sure, count = effective(list(map(sum, groups)), n, value * (1 - value)), len(groups)
    return Score(value, wilson_of(value, sure), n, "cluster-wilson", count, unparsed, unreadable)


def bootstrap(
    cases: Sequence,
    statistic: Callable[[Sequence], float],
    *,
    seed: int = 0,
    clusters: Sequence[Hashable] | None = None,
    share_of: int | None = None,
) -> Score:
    """Any statistic of the cases, with the 95 % percentile interval over 2,000 resamples of cases, or of whole clusters.

    `clusters` names for each case the scene or prompt it belongs to: that is what is drawn again. For shares use `rate`: near
    0 and 1 a percentile interval is too narrow. A statistic that is a ratio says of how many it is a `share_of` (precision: of the
    answers "yes"). Where every resample gives the same, its interval reaches as far as it would if of so many, or of the clusters if
    those are fewer, as many as Wilson's interval of none allows were all 0, or all 1: for 0 and 1 it is Wilson's. Source: Efron 1979.
    The percentiles are those of `percentiles`; one case alone has no spread. Cost: 2,000 calls of the statistic.
    """
    count = len(cases) if clusters is None else len(set(clusters))
    value = float(statistic(list(cases)))
    values = np.array([statistic(drawn) for drawn in resamples(cases, seed=seed, clusters=clusters)])
    low, high = map(float, percentiles(values, count))
    if share_of is not None and low == high == value:
        _, others = wilson(0, min(share_of, count))
        low, high = value * (1 - others), value + (1 - value) * others
    method = f"{'' if clusters is None else 'cluster-'}bootstrap/{RESAMPLES}/seed{seed}"
    return Score(value, (low, high), len(cases), method, None if clusters is None else count)


def resamples(cases: Sequence, *, seed: int = 0, clusters: Sequence[Hashable] | None = None) -> Iterator[list]:
    """The cases drawn again with replacement, 2,000 times; whole clusters where those are given."""
    rng = np.random.Generator(np.random.PCG64(seed))
    groups = [[case] for case in cases] if clusters is None else grouped(cases, clusters)
    for _ in range(RESAMPLES):
        yield list(chain.from_iterable(map(groups.__getitem__, rng.integers(0, len(groups), len(groups)).tolist())))


def percentiles(values: np.ndarray, count: int) -> np.ndarray:
    """The ends of the 95 % interval from resampled values of `count` clusters, one row per resample.

    A little outside 2.5 and 97.5 %, because a resample varies less than a sample does; as good as those for 100 clusters.
    Source: Hesterberg 2015, The American Statistician 69(4), "expanded percentile interval".
    """
    tail = ndtr(-sqrt(count / (count - 1)) * stdtrit(count - 1, 0.975)) if count > 1 else 0.0
    return np.quantile(values, [tail, 1 - tail], axis=0)


def effective(deviations: Sequence[float], n: int, variance: float) -> float:
    """How many independent cases say as much about a mean as these n in clusters; `variance` is that of one case.

    `deviations` are each cluster's sum of differences from the mean. At most n; without any deviation the number of clusters.
    Source: Korn and Graubard 1998, Survey Methodology 24(2), with the correction for few clusters. Differs: the cap at n and
    the number of clusters, both on the safe side.
    """
    count = len(deviations)
    if count < 2:
        return float(count)
    spread = sum(deviation**2 for deviation in deviations) * count / (count - 1)
    independent = min(float(n), variance * n * n / spread) if spread else float(count)
    return independent * (Z95 / float(stdtrit(count - 1, 0.975))) ** 2


def grouped(cases: Sequence, clusters: Sequence[Hashable]) -> list[list]:
    """The cases of each cluster, in order of first appearance. Raises ValueError unless every case has its cluster."""
    if len(cases) != len(clusters):
        raise ValueError(f"intervals: {len(cases)} cases with {len(clusters)} cluster names; every case has one; name each case's cluster")
    groups: dict[Hashable, list] = {}
    for case, cluster in zip(cases, clusters, strict=True):
        groups.setdefault(cluster, []).append(case)
    return list(groups.values())
