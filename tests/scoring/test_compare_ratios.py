"""Differences of scores that are one sum by another: by hand, beside those of means, and simulated."""

import numpy as np
import pytest
from scipy import stats

from tessera.scoring import compare
from tessera.scoring.compare import Difference, detectable, detectable_within, paired, paired_ratios
from tessera.scoring.intervals import percentiles


def ids(values) -> dict:
    return dict(enumerate(values))


def test_a_ratio_by_hand():
    first = ids([(1, 2), (0, 1), (2, 3)])  # 3 of 6
    second = ids([(2, 2), (1, 2), (3, 4)])  # 6 of 8
    found = paired_ratios(first, second)
    assert found.value == pytest.approx(6 / 8 - 3 / 6) and found.n == 3 and found.method == "paired-bootstrap/2000/seed0"
    # exchanged in all 8 ways, the second result is .75, .8 .. of its sum, the first what is left of 9 by 14
    ways = []
    for flips in np.ndindex(2, 2, 2):
        ones, twos = zip(
            *((b, a) if flip else (a, b) for flip, a, b in zip(flips, first.values(), second.values(), strict=True)), strict=True
        )
        (a, b), (c, d) = np.sum(ones, 0), np.sum(twos, 0)
        ways.append(abs(c / d - a / b) >= found.value - 1e-12)
    assert found.p == np.mean(ways)


def test_of_means_it_is_what_pairs_of_values_give():
    rng = np.random.Generator(np.random.PCG64(0))
    one = rng.normal(0, 1, 200)
    other = one + rng.normal(0.15, 0.8, 200)
    means = lambda values: ids([(float(value), 1) for value in values])
    found, test = paired_ratios(means(one), means(other)), stats.ttest_rel(other, one)
    low, high = test.confidence_interval(0.95)
    assert found.value == pytest.approx(float((other - one).mean())) and found.ci95 == pytest.approx((low, high), abs=0.012)
    assert found.p == pytest.approx(test.pvalue, abs=0.02)
    few = paired_ratios(means([0.0] * 5), means([1.5, 2.0, 1.0, 3.0, 2.5]))
    assert few.p == paired(ids([0.0] * 5), ids([1.5, 2.0, 1.0, 3.0, 2.5])).p == pytest.approx(2 / 32)


def test_its_interval_is_that_of_the_delta_method():
    rng = np.random.Generator(np.random.PCG64(1))
    n = 400
    by = rng.integers(1, 6, (2, n))
    over = rng.binomial(by, [[0.6], [0.7]])
    found = paired_ratios(*(ids(list(zip(a.tolist(), b.tolist(), strict=True))) for a, b in zip(over, by, strict=True)))
    ratios = over.sum(1) / by.sum(1)
    linear = (over[1] - ratios[1] * by[1]) / by[1].mean() - (over[0] - ratios[0] * by[0]) / by[0].mean()
    half = 1.96 * linear.std(ddof=1) / n**0.5
    assert found.value == pytest.approx(ratios[1] - ratios[0])
    assert found.ci95 == pytest.approx((found.value - half, found.value + half), abs=0.006)


def test_clusters_are_drawn_and_exchanged_whole():
    rng = np.random.Generator(np.random.PCG64(2))
    alone = [(int(a), 3) for a in rng.integers(0, 4, 80)], [(int(a), 3) for a in rng.integers(1, 4, 80)]
    scenes = paired_ratios(*map(ids, alone))
    four = [ids([share for share in one for _ in range(4)]) for one in alone]
    clustered = paired_ratios(*four, clusters={i: i // 4 for i in four[0]})
    assert (clustered.value, clustered.ci95, clustered.p) == (pytest.approx(scenes.value), pytest.approx(scenes.ci95), scenes.p)
    assert (clustered.n, clustered.clusters, clustered.method) == (320, 80, "cluster-paired-bootstrap/2000/seed0")
    assert np.diff(paired_ratios(*four).ci95) < 0.6 * np.diff(clustered.ci95)


def test_turned_round_it_is_the_other_way():
    first, second = ids([(1, 2), (0, 0), (2, 3), (1, 1)]), ids([(2, 2), (1, 2), (3, 4), (0, 1)])
    there, back = paired_ratios(first, second), paired_ratios(second, first)
    assert back.value == -there.value and back.p == there.p
    assert back.ci95 == pytest.approx((-there.ci95[1], -there.ci95[0]))


def test_what_is_equal_is_no_proof_of_equality_and_nothing_is_nothing():
    shares = ids([(2, 2)] * 50)
    found = paired_ratios(shares, shares)
    assert found.value == 0 and found.p == 1.0 and found.ci95 == paired(ids([1] * 50), ids([1] * 50)).ci95 and found.ci95[1] > 0.02
    words = ids([(float(i), 1) for i in range(50)])
    assert paired_ratios(words, words).ci95 == (0.0, 0.0), "of values without bounds nothing is known"
    nothing = paired_ratios(ids([(0, 0)] * 3), ids([(0, 0), (1, 2), (0, 0)]))
    assert nothing.value == 0.5 and nothing.p == 1.0


def test_shares_of_nothing_may_differ_in_any_way():
    nothing = ids([(0, 0)] * 3)  # say, the precision of who never says yes
    found = paired_ratios(nothing, nothing)
    assert (found.value, found.ci95, found.p, found.n) == (0.0, (-1.0, 1.0), 1.0, 3)


def test_the_same_seed_gives_the_same_and_another_nearly():
    rng = np.random.Generator(np.random.PCG64(3))
    some = [ids([(int(a), 4) for a in rng.integers(0, 5, 100)]) for _ in range(2)]
    one, other = paired_ratios(*some), paired_ratios(*some, seed=1)
    assert isinstance(one, Difference) and one == paired_ratios(*some) and one.ci95 == pytest.approx(other.ci95, abs=0.02)


def test_how_many_exchanges_are_held_at_once_changes_nothing(monkeypatch):
    rng = np.random.Generator(np.random.PCG64(4))
    for n in (9, 40):
        some = [ids([(int(a), 4) for a in rng.integers(0, 5, n)]) for _ in range(2)]
        before = paired_ratios(*some).p
        monkeypatch.setattr(compare, "AT_ONCE", 7 * n)
        assert paired_ratios(*some).p == before
        monkeypatch.undo()


def test_other_ids_are_refused():
    for one, other in (({}, {}), ({1: (1, 2)}, {2: (1, 2)})):
        with pytest.raises(ValueError, match="the same ids, at least one; score both on them"):
            paired_ratios(one, other)


HARD, MOST = 4 / 6, 4  # how often a part of a case is right, and how many parts it has at most


def simulated(rng: np.random.Generator, cases: int, runs: int, worse: float) -> np.ndarray:
    """Sums of two results on the same cases, run by run: [case, run, 4]; the first is worse by so much of its rate."""
    by = rng.integers(1, MOST + 1, (cases, runs))
    rates = rng.beta(4, 2, (cases, runs))
    return np.stack((rng.binomial(by, rates * (1 - worse)), by, rng.binomial(by, rates), by), axis=2).astype(float)


@pytest.mark.parametrize("worse", [0.0, 0.2])
def test_the_true_difference_is_held(worse):
    sums = simulated(np.random.Generator(np.random.PCG64(5)), 80, 2000, worse)
    drawn = compare._drawn(sums.reshape(len(sums), -1), 0).reshape(-1, 2000, 4)
    low, high = percentiles(compare._apart(drawn), len(sums))
    assert 0.93 <= np.mean((low <= worse * HARD) & (worse * HARD <= high)) <= 0.97


def test_no_difference_is_seldom_found_and_one_often(monkeypatch):
    monkeypatch.setattr(compare, "PERMUTATIONS", 199)
    rng = np.random.Generator(np.random.PCG64(6))
    p = lambda run: compare._exchanged(run, *compare._apart(run.sum(0, keepdims=True)).tolist(), 0)
    none, some = ([p(run) <= 0.05 for run in simulated(rng, 60, 400, worse).swapaxes(0, 1)] for worse in (0.0, 0.2))
    assert np.mean(none) <= 0.075 and np.mean(some) >= 0.6


def test_the_least_that_shows_follows_from_the_interval():
    differences = paired(ids([0, 1] * 500), ids([0, 1, 1, 0] * 250))
    assert detectable_within(differences.ci95) == pytest.approx(detectable(1000, correlation=0.0), rel=0.01)
