import pytest
import torch

from tessera.scoring import intervals
from tessera.scoring.distances import density_coverage, frechet_distance, kernel_distance, precision_recall
from tessera.scoring.sets import GROUPS, densities, distances, least, left_out, measures, shares


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    """An interval takes 2,000 resamples."""
    monkeypatch.setattr(intervals, "RESAMPLES", 200)


def normal(seed: int, n: int, dim: int = 3, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)) + shift


@pytest.mark.parametrize(("n", "m"), [(50, 50), (120, 90)])
def test_distances_are_those_of_all_with_intervals_of_groups_left_out(n, m):
    made, real = normal(0, n), normal(1, m, shift=0.5)
    found = distances(made, real)
    assert found.keys() == {"frechet", "kid"}
    for name, distance in (("frechet", frechet_distance), ("kid", kernel_distance)):
        score = found[name]
        assert score.value == distance(made, real) and (score.n, score.method) == (n, "jackknife/50")
        one, other = torch.arange(n) % GROUPS, torch.arange(m) % GROUPS
        without = torch.tensor([distance(made[one != g], real[other != g]) for g in range(GROUPS)], dtype=torch.float64)
        half = 1.959964 * float(((without - without.mean()).square().sum() * (GROUPS - 1) / GROUPS).sqrt())
        assert score.ci95 == (pytest.approx(score.value - half), pytest.approx(score.value + half))


def test_the_interval_of_a_distance_holds_the_truth():
    low, high = distances(normal(0, 2000), normal(1, 2000, shift=1.0))["frechet"].ci95
    assert low < 3 < high and high - low < 1


def test_shares_and_densities_are_those_of_all():
    made, real = normal(0, 120), normal(1, 90, shift=1.0)
    found = shares(made, real) | densities(made, real)
    values = [found[name].value for name in ("precision", "recall", "density", "coverage")]
    assert values == pytest.approx([*precision_recall(real, made), *density_coverage(real, made)], abs=1e-12)
    assert [found[name].n for name in ("precision", "recall", "density", "coverage")] == [120, 90, 120, 90]
    assert all(score.ci95[0] < score.value < score.ci95[1] for score in found.values())


def test_measures_are_all_of_these_without_intervals():
    made, real = normal(0, 70), normal(1, 60)
    found = measures(made, real)
    scores = distances(made, real) | shares(made, real) | densities(made, real)
    assert found == pytest.approx({name: score.value for name, score in scores.items()}, abs=1e-12)


@pytest.mark.parametrize(("features", "fewest"), [(1, 3), (64, 131), (2048, 4180)])
def test_the_fewest_pictures_leave_two_for_each_feature_without_any_group(features, fewest):
    assert least(features) == fewest
    enough = lambda n: min(n - len(range(g, n, GROUPS)) for g in range(GROUPS)) >= 2 * features
    assert enough(fewest) and not enough(fewest - 1)


def test_the_interval_of_a_mean_that_leaves_out_groups_is_the_usual_one():
    rng = torch.Generator().manual_seed(0)
    made, real = torch.randn(50, 1, generator=rng) + 1, torch.randn(50, 1, generator=rng)
    score = left_out(made, real, lambda a, b: float(a.double().mean() - b.double().mean()))
    half = 1.96 * float((made - real).double().std()) / 50**0.5
    assert score.ci95 == pytest.approx((score.value - half, score.value + half), abs=1e-4)
    assert (score.n, score.method) == (50, "jackknife/50")
