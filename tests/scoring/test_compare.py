from math import sqrt

import numpy as np
import pytest
from scipy import stats

from tessera.scoring.compare import detectable, holm, paired, spread


def ids(values) -> dict:
    return dict(enumerate(values))


def table(both: int, only_first: int, only_second: int, neither: int) -> tuple[dict, dict]:
    """Right and wrong of two results, by how often each of the four cases happens."""
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return ids(first), ids(second)


def test_right_and_wrong_by_hand():
    difference = paired(*table(50, 10, 20, 20))
    assert difference.value == pytest.approx(0.1) and difference.n == 100 and difference.method == "score"
    for end in difference.ci95:  # there the score is that of 95 %, and its variance the likeliest one, found by trying
        share = np.linspace(max(0.0, -end) + 1e-9, min(0.5, (1 - end) / 2) - 1e-9, 200_001)  # of pairs that only the first has
        likelihood = 20 * np.log(share + end) + 10 * np.log(share) + 70 * np.log(1 - 2 * share - end)
        likeliest = share[np.argmax(likelihood)]
        assert abs(0.1 - end) / sqrt((2 * likeliest + end - end**2) / 100) == pytest.approx(stats.norm.ppf(0.975), abs=1e-4)


@pytest.mark.parametrize("cells", [(30, 0, 0, 10), (0, 0, 20, 0), (0, 20, 0, 0), (5, 0, 3, 1)])
def test_no_pair_unlike_or_all_of_them_leaves_room_for_doubt(cells):
    difference = paired(*table(*cells))
    (low, high), n = difference.ci95, sum(cells)
    assert -1 <= low <= difference.value <= high <= 1 and high - low > 0.9 * 3.84 / (n + 3.84)


def test_the_p_value_of_right_and_wrong_is_mcnemars():
    for only_first, only_second in ((2, 9), (10, 20), (5, 5)):
        exact = stats.binomtest(only_first, only_first + only_second, 0.5).pvalue
        assert paired(*table(30, only_first, only_second, 10)).p == pytest.approx(exact, abs=0.012)


def test_few_pairs_are_permuted_exactly():
    assert paired(ids([0.0] * 5), ids([1.5, 2.0, 1.0, 3.0, 2.5])).p == pytest.approx(2 / 32)


def test_one_pair_that_differs_proves_nothing():
    difference = paired(ids([0, 1, 1]), ids([1, 1, 1]))
    assert difference.p == 1.0 and difference.value == pytest.approx(1 / 3) and difference.ci95[0] < 0 < difference.ci95[1]


def test_values_by_t_test():
    rng = np.random.Generator(np.random.PCG64(0))
    first = rng.normal(0, 1, 200)
    second = first + rng.normal(0.15, 0.8, 200)
    difference, test = paired(ids(first.tolist()), ids(second.tolist())), stats.ttest_rel(second, first)
    low, high = test.confidence_interval(0.95)
    assert difference.ci95 == pytest.approx((low, high), abs=0.01) and difference.method.startswith("bootstrap")
    assert difference.p == pytest.approx(test.pvalue, abs=0.02)


def test_turned_round_it_is_the_other_way():
    first, second = table(50, 10, 20, 20)
    there, back = paired(first, second), paired(second, first)
    assert back.ci95 == pytest.approx((-there.ci95[1], -there.ci95[0])) and back.p == pytest.approx(there.p, abs=0.01)


def test_equal_results_are_no_proof_of_equality():
    difference = paired(*table(60, 0, 0, 40))
    assert difference.value == 0 and difference.p == 1.0
    assert difference.ci95[0] == -difference.ci95[1] < -0.02


def test_pairs_that_agree_in_clusters_count_once():
    scenes = paired(*table(50, 10, 20, 20))
    first, second = table(250, 50, 100, 100)
    clustered = paired(first, second, clusters={i: i // 5 for i in first})
    width = lambda difference: difference.ci95[1] - difference.ci95[0]
    assert clustered.clusters == 100 and width(clustered) == pytest.approx(width(scenes), rel=0.05)
    assert clustered.p == pytest.approx(scenes.p, abs=0.01)
    assert width(paired(first, second)) < 0.5 * width(clustered)


def test_values_in_clusters():
    rng = np.random.Generator(np.random.PCG64(1))
    scenes = rng.normal(0.2, 1, 60)
    flat = ids(np.repeat(scenes, 4).tolist())
    nothing = dict.fromkeys(flat, 0.0)
    clustered = paired(nothing, flat, clusters={i: i // 4 for i in flat})
    alone = paired(ids([0.0] * 60), ids(scenes.tolist()))
    assert clustered.ci95 == pytest.approx(alone.ci95) and clustered.p == alone.p and clustered.method.startswith("cluster-bootstrap")


def test_only_the_same_ids_are_compared():
    with pytest.raises(ValueError, match="2 ids against 2, 1 in both"):
        paired({"a": 1, "b": 0}, {"b": 1, "c": 0})


def test_holm_by_hand():
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_the_detectable_difference():
    assert detectable(2200) == pytest.approx(0.03, rel=0.01)
    assert detectable(19_600) == pytest.approx(0.01, rel=0.01)
    assert detectable(1000, rate=0.9, correlation=0.0) == pytest.approx(2.8016 * sqrt(2 * 0.09 / 1000), rel=1e-4)


def test_a_detectable_difference_is_detected_four_times_in_five():
    n, delta = 400, detectable(400)
    rng = np.random.Generator(np.random.PCG64(2))
    off = 0.25  # discordant pairs of two rates near one half with correlation one half
    more, less = rng.multinomial(n, [(off + delta) / 2, (off - delta) / 2, 1 - off], 4000)[:, :2].T
    z = (more - less) / np.sqrt(more + less)
    assert np.mean(abs(z) > 1.96) == pytest.approx(0.8, abs=0.03)


def test_the_spread_over_seeds():
    seeds = spread([0.5, 0.6, 0.7])
    assert (seeds.mean, seeds.least, seeds.most, seeds.seeds) == (pytest.approx(0.6), 0.5, 0.7, 3)
    assert seeds.ci95 == pytest.approx(tuple(stats.ttest_1samp([0.5, 0.6, 0.7], 0).confidence_interval(0.95)))
    with pytest.raises(ValueError, match="1 seeds"):
        spread([0.5])
