"""Simulated scorers whose true rate is known: 95 % intervals hold it in 93 to 97 % of at least 2,000 runs.

A rate's coverage jumps with the rate, because counts are whole: what is asked is its average over five neighbouring rates.
"""

from functools import cache

import numpy as np
import pytest

from tessera.scoring import compare, rate
from tessera.scoring.intervals import percentiles, resamples

pytestmark = pytest.mark.simulates
RATES = (0.01, 0.05, 0.5, 0.95, 0.99)
NEIGHBOURS = np.linspace(0.7, 1.3, 5)


def neighbours(base: float) -> list[float]:
    return [step * base if base <= 0.5 else 1 - step * (1 - base) for step in NEIGHBOURS]


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def correlated(rng: np.random.Generator, p: float, runs: int, count: int, size: int, correlation: float) -> np.ndarray:
    """Runs of clusters of right-or-wrong cases: a cluster's own rate is beta distributed, its cases agree with this correlation."""
    if not correlation:
        return rng.random((runs, count, size)) < p
    strength = 1 / correlation - 1
    own = rng.beta(p * strength, (1 - p) * strength, (runs, count, 1))
    return rng.random((runs, count, size)) < own


@pytest.mark.parametrize("n", [100, 300, 1000])
@pytest.mark.parametrize("base", RATES)
def test_a_rate_is_held(base, n):
    interval = cache(lambda hits: rate([True] * hits + [False] * (n - hits)).ci95)
    rng, held = generator(n), []
    for p in neighbours(base):
        ends = [interval(hits) for hits in rng.binomial(n, p, 2000).tolist()]
        held += [low <= p <= high for low, high in ends]
    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.parametrize("correlation", [0.0, 0.3])
@pytest.mark.parametrize("base", RATES)
def test_a_rate_in_clusters_is_held(base, correlation):
    rng, held, count, size = generator(5), [], 100, 5
    clusters = [i // size for i in range(count * size)]
    for p in neighbours(base):
        for run in correlated(rng, p, 400, count, size, correlation):
            low, high = rate(run.ravel().tolist(), clusters=clusters).ci95
            held.append(low <= p <= high)
    assert 0.93 <= np.mean(held) <= 0.97


def together(cases) -> np.ndarray:
    """The mean of cases each of which is one number per simulated run: one bootstrap serves all runs."""
    return np.sum(cases, axis=0) / len(cases)


def f1(cases) -> np.ndarray:
    matched, said, true = np.sum(cases, axis=0)
    return 2 * matched / (said + true)


def held_by_bootstrap(cases, statistic, truth: float, count: int, **clusters) -> float:
    low, high = percentiles(np.array([statistic(drawn) for drawn in resamples(cases, **clusters)]), count)
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize("n", [30, 100])
def test_a_bootstrapped_mean_is_held(n):
    cases = list(generator(1).gamma(4.0, 0.25, (n, 2000)))  # a little skewed, with mean 1
    assert 0.93 <= held_by_bootstrap(cases, together, 1.0, n) <= 0.97


def test_a_bootstrapped_mean_in_clusters_is_held_and_one_that_ignores_them_is_not():
    rng, count, size = generator(2), 40, 5
    cases = list((rng.normal(size=(count, 1, 2000)) + rng.normal(size=(count, size, 2000))).reshape(-1, 2000))
    clusters = [i // size for i in range(count * size)]
    assert 0.93 <= held_by_bootstrap(cases, together, 0.0, count, clusters=clusters) <= 0.97
    assert held_by_bootstrap(cases, together, 0.0, count * size) < 0.8


def test_a_bootstrapped_f1_is_held():
    rng, n = generator(3), 100
    said, true = rng.integers(2, 5, (2, n, 2000))
    matched = rng.binomial(np.minimum(said, true), 0.7)
    every = np.minimum.outer(range(2, 5), range(2, 5)).mean()
    cases = list(np.stack([matched, said, true], axis=1))
    assert 0.93 <= held_by_bootstrap(cases, f1, 2 * 0.7 * every / 6, n) <= 0.97


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize(("both", "only_first", "only_second"), [(0.9, 0.02, 0.04), (0.02, 0.04, 0.02), (0.3, 0.2, 0.2)])
def test_a_paired_difference_of_rates_is_held(monkeypatch, both, only_first, only_second, size):
    monkeypatch.setattr(compare, "_sign_flips", lambda *_: 1.0)
    rng, n, held = generator(4), 300, []
    ids = list(range(n))
    clusters = None if size == 1 else {i: i // size for i in ids}
    for step in NEIGHBOURS:
        edges = np.cumsum([both, step * only_first, step * only_second])
        draws = rng.random((400, n))
        if size > 1:  # half of the cases repeat their cluster's first
            first = np.repeat(draws[:, ::size], size, axis=1)
            draws = np.where(rng.random((400, n)) < 0.5, first, draws)
        cell = np.searchsorted(edges, draws)
        for row in cell:
            one, two = np.isin(row, (0, 1)).tolist(), np.isin(row, (0, 2)).tolist()
            low, high = compare.paired(dict(zip(ids, one, strict=True)), dict(zip(ids, two, strict=True)), clusters=clusters).ci95
            held.append(low <= step * (only_second - only_first) <= high)
    assert 0.93 <= np.mean(held) <= 0.97
