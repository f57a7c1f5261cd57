import math

import pytest
import torch

from tessera.bound import LEVELS, bits
from tessera.paths import Diffusion, Ends, Flow, cosine_betas, linear_betas, posterior

PATHS = {"linear": Diffusion(linear_betas()), "cosine": Diffusion(cosine_betas())}


def values(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", PATHS)
def test_a_step_back_costs_a_divergence_of_normals(name):
    path, times = PATHS[name], torch.tensor([[1.0], [40.0], [500.0], [999.0]], dtype=torch.float64)
    truth, clean, spread = Ends(values(4, 3), values(4, 3, seed=1)), values(4, 3, seed=2), values(4, 3, seed=3).sigmoid()
    back = posterior(path, times, times - 1)
    true = torch.distributions.Normal(back.clean * truth.clean, back.variance.sqrt())
    wide = back.step**spread * back.variance ** (1 - spread)
    said = torch.distributions.Normal(back.clean * clean, wide.sqrt())
    expected = torch.distributions.kl_divergence(true, said) / math.log(2)
    torch.testing.assert_close(bits(path, truth, Ends(clean, truth.noise, spread), times), expected)


def test_the_truth_costs_nothing_until_the_last_step():
    path, truth = PATHS["cosine"], Ends(values(5, 2), values(5, 2, seed=1))
    times = torch.tensor([1.0, 2, 30, 400, 999], dtype=torch.float64)[:, None]
    found = bits(path, truth, truth._replace(spread=torch.zeros(5, 2, dtype=torch.float64)), times)
    assert float(found.abs().max()) < 1e-12


def test_the_last_step_shares_one_chance_among_the_levels():
    path, levels = PATHS["linear"], torch.linspace(-1, 1, LEVELS, dtype=torch.float64)[:, None]
    for mean, spread in ((0.3, 0.0), (-0.99, 1.0), (1.0, 0.5)):
        said = Ends(torch.full_like(levels, mean), levels, torch.full_like(levels, spread))
        chances = 2 ** -bits(path, Ends(levels, levels), said, torch.zeros_like(levels))
        assert float(chances.sum()) == pytest.approx(1.0, abs=1e-9)


def test_a_learned_variance_settles_at_what_is_not_known():
    """Of data N(0, 1/4) the clean value is known up to its variance given the noisy one: the best step adds that to the posterior's."""
    path, n = PATHS["linear"], 200_000
    truth = Ends(values(n, 1) / 2, values(n, 1, seed=1))
    times = torch.full((n, 1), 10.0, dtype=torch.float64)
    signal, noise = path.weights(times)
    spread_of_x = signal.square() / 4 + noise.square()
    best = signal / 4 / spread_of_x * (signal * truth.clean + noise * truth.noise)  # the mean of the clean value given the noisy one
    back = posterior(path, times[:1], times[:1] - 1)
    wide = back.variance + back.clean.square() * (noise.square() / 4 / spread_of_x)[:1]
    right = float((wide / back.variance).log() / (back.step / back.variance).log())
    assert 0 < right < 1
    spread = torch.full((n, 1), right, dtype=torch.float64, requires_grad=True)
    cost = bits(path, truth, Ends(best, truth.noise, spread), times).mean()
    (slope,) = torch.autograd.grad(cost, spread)
    aside = [float(bits(path, truth, Ends(best, truth.noise, spread.detach() + by), times).mean()) for by in (-0.2, 0.2)]
    assert abs(float(slope.sum())) < 0.02 * float((back.step / back.variance).log()) and float(cost.detach()) < min(aside)


def test_variances_want_a_table():
    ends = Ends(values(1), values(1), values(1))
    with pytest.raises(ValueError, match="bound: Flow; variances are learned between the times of a Diffusion; take one, or learn none"):
        bits(Flow(), ends, ends, values(1))
