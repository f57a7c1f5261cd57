import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from tessera.scoring import distances as module
from tessera.scoring.distances import (
    balls,
    density_coverage,
    frechet_distance,
    kernel_distance,
    kernel_distances_without,
    nearest,
    precision_recall,
)

DIM = 12


class Colours(nn.Module):
    """Twelve features of a picture of bytes, of 2 x 2 pixels: its values between 0 and 1."""

    num_features = DIM

    def forward(self, pictures):
        return pictures.flatten(1).double() / 255


def pictures(seed: int, high: int, n: int = 300) -> torch.Tensor:
    return torch.randint(0, high, (n, 3, 2, 2), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def normal(seed: int, n: int = 400, dim: int = 3) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def standard(samples: torch.Tensor) -> torch.Tensor:
    """With a mean of exactly 0 and a covariance of exactly 1."""
    centred = samples - samples.mean(0)
    return centred @ torch.linalg.inv(torch.linalg.cholesky(torch.atleast_2d(torch.cov(centred.T)))).T


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")
def test_frechet_and_kernel_distance_as_torchmetrics():
    real, made = pictures(0, 256), pictures(1, 180)
    frechet = FrechetInceptionDistance(feature=Colours(), input_img_size=(3, 2, 2)).set_dtype(torch.float64)
    kernel = KernelInceptionDistance(feature=Colours(), subsets=1, subset_size=300)
    for metric in (frechet, kernel):
        metric.update(real, real=True)
        metric.update(made, real=False)
    features = Colours()(real), Colours()(made)
    assert frechet_distance(*features) == pytest.approx(float(frechet.compute()), rel=1e-6)
    assert kernel_distance(*features) == pytest.approx(float(kernel.compute()[0]), rel=1e-6)


def test_frechet_distance_of_gaussians_in_closed_form():
    base = standard(normal(0))
    scales, shift = torch.tensor([1.0, 2.0, 0.5]).double(), torch.tensor([1.0, 0.0, -2.0]).double()
    assert frechet_distance(base, base * scales + shift) == pytest.approx(5 + 1 + 0.25)  # the shift and the scales minus 1, squared
    turn = torch.linalg.qr(normal(1, 3)).Q  # covariances that do not commute, turned together
    first, second = base @ torch.diag(scales) @ turn, base @ turn
    assert frechet_distance(first, second) == pytest.approx(1.25)


def test_equal_sets_are_at_no_distance():
    samples = normal(0, dim=20) @ normal(1, 20, 20)
    assert frechet_distance(samples, samples) == pytest.approx(0, abs=1e-6)
    flat = torch.cat([samples, samples], 1)  # the covariance has no full rank
    assert frechet_distance(flat, flat) == pytest.approx(0, abs=1e-4)


def test_one_feature():
    assert frechet_distance(2 * standard(normal(0, dim=1)), standard(normal(1, dim=1)) + 3) == pytest.approx(10)


def test_frechet_distance_refuses_few_samples():
    with pytest.raises(ValueError, match="5 samples of 3 features; at least 6"):
        frechet_distance(normal(0, 5), normal(1))
    frechet_distance(normal(0, 6), normal(1))


def test_kernel_distance_is_unbiased_so_sometimes_negative():
    values = torch.tensor([kernel_distance(normal(seed, 40), normal(seed + 500, 40)) for seed in range(200)])
    assert values.min() < 0 < values.max()
    assert abs(values.mean()) < 3 * values.std() / 200**0.5


def test_kernel_distance_by_hand():
    first, second = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    assert kernel_distance(first, second) == pytest.approx(1 + 343 - 2 * (1 + 1 + 27 + 64) / 4)


def test_precision_and_recall_by_hand():
    real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    made = torch.tensor([[0.5], [1.5], [30.0], [31.0]])
    # With k = 1 real balls reach 1, 1, 1, 8; made ones 1, 1, 1, 1. Real 2 and made 30 and 31 decide.
    assert precision_recall(real, made, k=1) == (0.5, 0.75)
    # Balls around 0 and 2 hold one made sample each, around 1 two, around 10 none within less than 8 but 2 < 8.5.
    assert density_coverage(real, made, k=1) == (4 / 4, 3 / 4)


def test_equal_distributions_have_density_and_coverage_near_one():
    density, coverage = density_coverage(normal(0, 800), normal(1, 800))
    assert density == pytest.approx(1, abs=0.07) and coverage == pytest.approx(1 - 0.5**5, abs=0.03)


def test_lost_modes_cost_recall_and_invented_ones_precision():
    both = torch.cat([normal(0), normal(1) + 50])
    precision, recall = precision_recall(both, normal(2))
    assert precision > 0.9 and 0.4 < recall < 0.5
    precision, recall = precision_recall(normal(2), both)
    assert 0.4 < precision < 0.5 and recall > 0.9


def test_neighbours_need_samples():
    with pytest.raises(ValueError, match="the 3th nearest of 3 samples"):
        precision_recall(normal(0, 3), normal(1))


def test_the_kernel_distances_without_each_group_are_found_at_once():
    first, second, groups = normal(0, 60), normal(1, 45) + 0.3, 7
    without = [kernel_distance(first[torch.arange(60) % groups != g], second[torch.arange(45) % groups != g]) for g in range(groups)]
    torch.testing.assert_close(kernel_distances_without(first, second, groups), torch.tensor(without, dtype=torch.float64))


def test_rows_that_are_looked_at_together_decide_nothing(monkeypatch):
    first, second = normal(0, 50), normal(1, 40) + 0.3

    def measured() -> list:
        found = balls(first, second, 3)
        return [
            kernel_distance(first, second),
            kernel_distances_without(first, second, 5).tolist(),
            precision_recall(first, second),
            density_coverage(first, second),
            found.within.tolist(),
            found.filled.tolist(),
            nearest(first, second).tolist(),
        ]

    whole = measured()
    monkeypatch.setattr(module, "ROWS", 7)
    for mine, other in zip(measured(), whole, strict=True):
        assert mine == pytest.approx(other, rel=1e-9)


def test_balls_have_a_rim_where_they_are_closed():
    around, samples = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[2.0], [0.5], [5.0]])
    # With k = 1 balls reach 1, 1, 2: the first sample lies on the rim of the second, the last on that of the third.
    assert balls(around, samples, 1).within.tolist() == [1, 2, 0] and balls(around, samples, 1).filled.tolist() == [True, True, True]
    closed = balls(around, samples, 1, closed=True)
    assert closed.within.tolist() == [2, 2, 1] and closed.filled.all()


def test_the_nearest_is_the_first_of_those_that_are():
    assert nearest(torch.tensor([[0.4], [9.0]]), torch.tensor([[0.0], [1.0], [8.0], [10.0]])).tolist() == [0, 2]
