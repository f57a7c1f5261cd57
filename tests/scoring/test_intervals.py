from math import comb, sqrt

import numpy as np
import pytest
from scipy import stats

from tessera.scoring import Score, bootstrap, rate, wilson
from tessera.scoring.intervals import percentiles

Z2 = 3.841458820694124  # the square of the normal quantile of .975, which is the 95 % quantile of chi-squared


def mean(cases) -> float:
    return sum(cases) / len(cases)


def test_wilson_where_nothing_or_everything_is_right():
    for n in (1, 10, 500):
        assert wilson(0, n) == pytest.approx((0.0, Z2 / (n + Z2)))
        assert wilson(n, n) == pytest.approx((n / (n + Z2), 1.0))
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753280), abs=1e-8)


def test_wilson_of_a_half_is_symmetric_about_it():
    low, high = wilson(50, 100)
    assert (low, high) == pytest.approx((0.40383153, 0.59616847), abs=1e-8)
    assert high - low == pytest.approx(sqrt(Z2 / (100 + Z2)))  # z over the root of n + z^2


def test_wilson_of_wrong_answers_mirrors_that_of_right_ones():
    for hits in range(21):
        low, high = wilson(hits, 20)
        assert wilson(20 - hits, 20) == pytest.approx((1 - high, 1 - low))
        assert 0 <= low < high <= 1 and low <= hits / 20 <= high + 1e-12


def test_wilson_narrows_with_more_cases():
    widths = [high - low for low, high in (wilson(3 * n, 10 * n) for n in (1, 10, 100, 1000))]
    assert widths == sorted(widths, reverse=True)
    assert widths[2] / widths[3] == pytest.approx(sqrt(10), rel=0.01)


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
def test_wilson_holds_the_true_rate_nineteen_times_in_twenty(p):
    n = 60
    chances = [comb(n, hits) * p**hits * (1 - p) ** (n - hits) for hits in range(n + 1)]
    holds = [low <= p <= high for low, high in (wilson(hits, n) for hits in range(n + 1))]
    assert sum(chance for chance, held in zip(chances, holds, strict=True) if held) == pytest.approx(0.95, abs=0.03)


def test_no_cases_say_nothing():
    assert wilson(0, 0) == (0.0, 1.0)
    assert rate([]) == Score(0.0, (0.0, 1.0), 0)


def test_a_rate_is_the_share_that_is_right():
    assert rate([True, False, True, True]) == Score(0.75, wilson(3, 4), 4)
    assert str(rate([True, False] * 50)) == "0.500 (0.404 to 0.596, n 100)"


def test_a_bootstrapped_mean_has_the_normal_interval():
    cases = np.random.Generator(np.random.PCG64(1)).normal(3.0, 2.0, 300).tolist()
    score = bootstrap(cases, mean)
    half = 1.96 * np.std(cases) / sqrt(len(cases))
    assert score.value == mean(cases) and score.n == 300
    assert score.ci95 == pytest.approx((score.value - half, score.value + half), abs=0.15 * half)


def test_a_bootstrapped_rate_has_wilsons_interval_where_both_are_near_the_normal_one():
    right = [True] * 120 + [False] * 180
    assert bootstrap(right, mean).ci95 == pytest.approx(wilson(120, 300), abs=0.01)


def test_what_is_drawn_again_is_the_case():
    scenes = np.random.Generator(np.random.PCG64(2)).normal(size=40).tolist()
    one_by_one = bootstrap([value for value in scenes for _ in range(9)], mean)
    by_scene = bootstrap([[value] * 9 for value in scenes], lambda cases: mean([value for case in cases for value in case]))
    assert by_scene.value == pytest.approx(one_by_one.value)
    width = lambda score: score.ci95[1] - score.ci95[0]
    assert width(by_scene) / width(one_by_one) == pytest.approx(3, rel=0.15)  # nine looks at a scene are no nine scenes


def test_equal_cases_leave_no_doubt():
    assert bootstrap([0.25] * 7, mean) == Score(0.25, (0.25, 0.25), 7, "bootstrap/2000/seed0")


def test_a_perfect_score_of_few_cases_is_no_certainty():
    assert bootstrap([1.0] * 7, mean, share_of=7).ci95 == pytest.approx(wilson(7, 7))
    assert bootstrap([0.0] * 7, mean, share_of=7).ci95 == wilson(0, 7)
    assert bootstrap([1.0] * 21, mean, clusters=[i // 3 for i in range(21)], share_of=21).ci95 == pytest.approx(wilson(7, 7))
    assert bootstrap([1.0] * 7, mean, share_of=3).ci95 == pytest.approx(wilson(3, 3)), "a ratio knows as much as what it is a share of"
    assert bootstrap([1.0] * 7, mean).ci95 == (1.0, 1.0), "what is no share has no bounds"


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_scenes_that_are_all_alike_may_have_others_among_them(n):
    """One yes and one no in every scene; a yes that is missed in a share of scenes is seen by 19 of 20 who look, or inside."""
    scenes = [i // 2 for i in range(2 * n)]
    low, high = bootstrap([True, False] * n, mean, clusters=scenes, share_of=2 * n).ci95
    missed = 1 - 0.05 ** (1 / n)
    assert low < (1 - missed) / 2 and high > (1 + missed) / 2 and high - 0.5 == pytest.approx(0.5 - low) and high - low < 4 / n


@pytest.mark.parametrize("n", [1, 7, 44, 199])
def test_the_interval_of_a_perfect_score_reaches_it(n):
    assert wilson(n, n)[1] == 1.0 and wilson(0, n)[0] == 0.0


def test_clusters_of_one_case_are_no_clusters():
    right = [True, False, False, True] * 25
    assert rate(right, clusters=range(100)).ci95 == pytest.approx(rate(right).ci95, abs=0.003)  # t of 99 for the normal quantile
    assert bootstrap(right, mean, clusters=range(100)).ci95 == bootstrap(right, mean).ci95


def test_looks_that_agree_count_once():
    scenes = [True] * 60 + [False] * 40
    nine = rate([right for right in scenes for _ in range(9)], clusters=[i // 9 for i in range(900)])
    assert (nine.n, nine.clusters, nine.method) == (900, 100, "cluster-wilson")
    assert nine.ci95 == pytest.approx(rate(scenes).ci95, abs=0.003)


def test_all_right_in_clusters_is_as_sure_as_that_many_cases():
    score = rate([True] * 90, clusters=[i // 9 for i in range(90)])
    assert score.value == score.ci95[1] == 1.0 and 0.6 < score.ci95[0] < wilson(10, 10)[0]


def test_resampling_by_cluster_is_resampling_of_lists():
    scenes = np.random.Generator(np.random.PCG64(2)).normal(size=(40, 3)).tolist()
    flat, names = [value for scene in scenes for value in scene], [i // 3 for i in range(120)]
    nested = bootstrap(scenes, lambda cases: mean([value for case in cases for value in case]))
    assert bootstrap(flat, mean, clusters=names).ci95 == nested.ci95


def test_every_case_has_its_cluster():
    with pytest.raises(ValueError, match="3 cases with 2 cluster names"):
        rate([True, True, False], clusters=["a", "b"])


def test_what_could_not_be_read_is_said():
    score = rate([True, False, False, True], unparsed=1, unreadable=2)
    assert (score.value, score.unparsed, score.unreadable) == (0.5, 1, 2)
    assert str(score) == "0.500 (0.150 to 0.850, n 4, unparsed 1, unreadable 2)"


def test_percentiles_reach_a_little_further_out_for_few_cases():
    values = np.linspace(0, 1, 100_001)
    assert percentiles(values, 100_000) == pytest.approx([0.025, 0.975], abs=1e-4)
    t = stats.t.ppf(0.975, 19) * sqrt(20 / 19)
    assert percentiles(values, 20) == pytest.approx([stats.norm.cdf(-t), stats.norm.cdf(t)], abs=1e-4)


def test_the_seed_alone_decides_the_interval():
    cases = [0.0, 0.5, 1.5, 4.0, 9.0]
    score = bootstrap(cases, mean, seed=3)
    np.random.random()  # a global generator that moves on changes nothing
    assert bootstrap(cases, mean, seed=3) == score
    other = bootstrap(cases, mean, seed=4)
    assert other.value == score.value and other.ci95 != score.ci95
    assert other.ci95 == pytest.approx(score.ci95, abs=0.5)


def test_the_statistic_of_no_cases_is_asked_of_the_statistic():
    assert bootstrap([], lambda cases: 1.0).n == 0
    with pytest.raises(ZeroDivisionError):
        bootstrap([], mean)
