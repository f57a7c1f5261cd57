"""Whether a difference between two results is one: pairs, several at once, how small a difference shows, seeds."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from tessera.intervals import Z95
from tessera.scoring.intervals import RESAMPLES, bootstrap, effective, grouped, percentiles

PERMUTATIONS = 9999
AT_ONCE = 2**22  # exchanges of clusters that are held at once
BESIDE = 1e-9  # of what is measured: where no pairs are unlike, nothing contradicts that, and there the search would end


@dataclass(frozen=True)
class Difference:
    """How much better the second result is than the first, its 95 % interval by `method`, and the p value of no difference."""

    value: float
    ci95: tuple[float, float]
    p: float
    n: int
    method: str
    clusters: int | None = None

    def __str__(self) -> str:
        return f"{self.value:+.3f} ({self.ci95[0]:+.3f} to {self.ci95[1]:+.3f}, p {self.p:.3g}, n {self.n})"


def paired(
    first: Mapping[Any, int | float],
    second: Mapping[Any, int | float],
    *,
    clusters: Mapping[Any, Hashable] | None = None,
    seed: int = 0,
) -> Difference:
    """The mean of second minus first over the same ids; `clusters` names for each id the scene or prompt it belongs to.

    The interval: of right and wrong (all values 0 or 1) Tango's score interval, for the effective number of pairs where there are
    clusters, because a bootstrap has no width where both agree everywhere; of other values the percentile bootstrap over pairs or
    clusters. The p value: the signs of the pairs' or clusters' differences are permuted, exactly where there are few, else 9,999
    times; for 3,000 telling pairs that takes about three seconds. Raises ValueError for other ids.
    """
    if not first or first.keys() != second.keys():
        both = len(first.keys() & second.keys())
        raise ValueError(f"compare: {len(first)} ids against {len(second)}, {both} in both; the same ids, at least one; score both on them")
    differences = [float(second[key]) - float(first[key]) for key in first]
    names = None if clusters is None else [clusters[key] for key in first]
    n, value = len(differences), sum(differences) / len(differences)
    groups = [[one] for one in differences] if names is None else grouped(differences, names)
    count = None if names is None else len(groups)
    p = _sign_flips([sum(group) for group in groups], seed)
    if not {*first.values(), *second.values()} <= {0, 1}:
        score = bootstrap(differences, lambda drawn: sum(drawn) / len(drawn), seed=seed, clusters=names)
        return Difference(value, score.ci95, p, n, score.method, count)
    discordant = sum(map(abs, differences)) / n
    sure = float(n)
    if names is not None:
        sure = effective([sum(group) - value * len(group) for group in groups], n, discordant - value**2)
    return Difference(value, _tango(value, discordant, sure), p, n, "score" if names is None else "cluster-score", count)


Share = tuple[int | float, int | float]  # of two sums, what one case adds to each


def paired_ratios(
    first: Mapping[Any, Share], second: Mapping[Any, Share], *, clusters: Mapping[Any, Hashable] | None = None, seed: int = 0
) -> Difference:
    """The difference of scores that are one sum by another, second minus first over the same ids: F1, CHAIR, a mean.

    Each case has its share of both sums (of F1 twice the matched, and all that is said and there); 0/0 is 0. Pairs, or whole
    clusters of them, are drawn again for the interval, the same ones for both results. The p value: the two results of each
    pair or cluster are exchanged, in all ways where at most 13 differ, else 9,999 times at random. Where both agree in
    everything, shares (of which no sum is above the other) have the interval of as many pairs of right and wrong, as in `paired`.
    Raises ValueError for other ids. Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 13 and 15.
    """
    if not first or first.keys() != second.keys():
        both = len(first.keys() & second.keys())
        raise ValueError(f"compare: {len(first)} ids against {len(second)}, {both} in both; the same ids, at least one; score both on them")
    names = list(first) if clusters is None else [clusters[key] for key in first]
    rows = [(*first[key], *second[key]) for key in first]
    sums = np.array([np.sum(group, 0) for group in grouped(rows, names)], dtype=float)
    (value,), count = _apart(sums.sum(0, keepdims=True)).tolist(), len(sums)
    low, high = map(float, percentiles(_apart(_drawn(sums, seed)), count))
    shares = bool((sums[:, ::2] >= 0).all() and (sums[:, ::2] <= sums[:, 1::2]).all())
    if low == high == 0 and shares:
        low, high = _tango(0.0, 0.0, float(min(count, *sums[:, 1::2].sum(0))))
    method = f"{'' if clusters is None else 'cluster-'}paired-bootstrap/{RESAMPLES}/seed{seed}"
    return Difference(value, (low, high), _exchanged(sums, value, seed), len(first), method, None if clusters is None else count)


def _apart(sums: np.ndarray) -> np.ndarray:
    """Second minus first, from the four sums of each row."""
    over, by = sums[..., ::2], sums[..., 1::2]
    ratios = np.divide(over, by, out=np.zeros_like(over), where=by != 0)
    return ratios[..., 1] - ratios[..., 0]


def _drawn(sums: np.ndarray, seed: int) -> np.ndarray:
    """The four sums of rows drawn again, 2,000 times."""
    rng, count = np.random.Generator(np.random.PCG64(seed)), len(sums)
    return np.array([np.bincount(rng.integers(0, count, count), minlength=count) @ sums for _ in range(RESAMPLES)])


def _exchanged(sums: np.ndarray, value: float, seed: int) -> float:
    """The two-sided p value of a difference, from exchanging the two results of rows; those that are equal say nothing."""
    telling = sums[(sums[:, :2] != sums[:, 2:]).any(1)]
    count, whole = len(telling), sums.sum(0, keepdims=True)
    if count < 2:
        return 1.0  # one exchange is as likely as none
    change, exact = telling[:, [2, 3, 0, 1]] - telling, 2**count <= PERMUTATIONS
    rng, at_once = np.random.Generator(np.random.PCG64(seed)), max(1, AT_ONCE // count)
    extreme, total = 0, 2**count if exact else PERMUTATIONS
    for start in range(0, total, at_once):
        numbers = np.arange(start, min(start + at_once, total))
        flips = (numbers[:, None] >> np.arange(count)) & 1 if exact else rng.integers(0, 2, (len(numbers), count))
        extreme += int((np.abs(_apart(whole + flips @ change)) >= abs(value) * (1 - 1e-9)).sum())
    return extreme / total if exact else (1 + extreme) / (1 + total)


def _sign_flips(totals: Sequence[float], seed: int) -> float:
    """The two-sided p value of a mean of 0 when every total is as likely with the other sign. Totals of 0 say nothing."""
    telling = [total for total in totals if total]
    if len(telling) < 2:
        return 1.0  # one sign is as likely as the other
    from scipy.stats import permutation_test  # takes a second to import: only who compares pays it

    rng = np.random.Generator(np.random.PCG64(seed))
    test = permutation_test(
        (np.array(telling),), np.mean, permutation_type="samples", vectorized=True, n_resamples=PERMUTATIONS, batch=1000, rng=rng
    )
    return float(test.pvalue)


def _tango(value: float, discordant: float, n: float) -> tuple[float, float]:
    """The true differences that are not contradicted by n pairs with this difference of right and wrong, `discordant` of them unlike.

    Source: Tango 1998, Statistics in Medicine 17(8); by shares instead of counts, so that an effective n need not be whole. No pairs
    contradict nothing.
    """
    if not n:
        return -1.0, 1.0
    less = (discordant - value) / 2

    def beyond(true: float) -> float:
        """The squared distance to a true difference, less what is usual for it, at the likeliest share of pairs that only the first has."""
        minus, constant = discordant - (2 - value) * true, less * true * (1 - true)
        share = (minus + sqrt(max(0.0, minus**2 + 8 * constant))) / 4
        return (value - true) ** 2 - Z95**2 * (2 * share + true * (1 - true)) / n

    low = brentq(beyond, -1.0, value - BESIDE) if beyond(-1.0) > 0 else -1.0
    high = brentq(beyond, value + BESIDE, 1.0) if beyond(1.0) > 0 else 1.0
    return low, high


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """The p values adjusted for being several: below .05 the difference stands, with at most 5 % chance of any false one.

    Source: Holm 1979, Scand. J. Stat. 6.
    """
    adjusted, most = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        most = max(most, min(1.0, (len(p) - rank) * p[name]))
        adjusted[name] = most
    return {name: adjusted[name] for name in p}


def detectable_within(ci95: tuple[float, float], *, power: float = 0.8) -> float:
    """The smallest difference that as many such cases show at the 5 % level with this power, from the interval of one.

    Half the interval is 1.96 standard errors; as `detectable`, without knowing the spread of the cases.
    """
    return (Z95 + float(ndtri(power))) / Z95 * (ci95[1] - ci95[0]) / 2


def detectable(n: int, *, rate: float = 0.5, correlation: float = 0.5, power: float = 0.8) -> float:
    """The smallest difference of two rates near `rate` that n paired right-or-wrong cases show at the 5 % level with this power.

    `correlation` is that of two results on one case: 0.5 is usual for similar models, 0 is that of unpaired cases.
    Source: Miller 2024, arXiv 2411.00640, section 5, for one answer per question.
    """
    z = Z95 + float(ndtri(power))
    return z * sqrt(2 * rate * (1 - rate) * (1 - correlation) / n)


@dataclass(frozen=True)
class Spread:
    """What several seeds gave: the mean with its 95 % t interval, the least and the most."""

    mean: float
    ci95: tuple[float, float]
    least: float
    most: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.ci95[0]:.3f} to {self.ci95[1]:.3f}; {self.least:.3f} to {self.most:.3f} over {self.seeds} seeds)"


def spread(values: Sequence[float]) -> Spread:
    """The spread over seeds of one kind; training seeds, sampling seeds and index ranges are three kinds. Raises ValueError for one."""
    if len(values) < 2:
        raise ValueError(f"compare: the spread over {len(values)} seeds; two or more say something, three or more carry a claim; run more")
    mean = sum(values) / len(values)
    half = float(stdtrit(len(values) - 1, 0.975)) * float(np.std(values, ddof=1)) / sqrt(len(values))
    return Spread(mean, (mean - half, mean + half), min(values), max(values), len(values))
