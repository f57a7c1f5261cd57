"""The variational bound: what a step back along a table of times costs, where a network says how wide the step is too."""

import math

import torch
from torch import Tensor

from tessera.paths import Diffusion, Ends, Path, log_variance, posterior

LEVELS = 256  # values that a feature may take between -1 and 1, as far as the bound knows


def bits(path: Path, truth: Ends, said: Ends, time: Tensor) -> Tensor:
    """Bits that each feature of the next, less noisy value costs: the divergence of its posterior from what was said of it.

    Into the clean value, from time 0, it is what that value costs as one of 256 levels from -1 to 1; variances there have the
    lower end of the step before, because the posterior of a clean value has none. `said` has a `spread`.
    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, section 3.1; levels, and the approximation of the normal distribution,
    as in its code, which treats all values as pixels of 8 bits (so does MAR's with latents).
    """
    if not isinstance(path, Diffusion):
        raise ValueError(f"bound: {type(path).__name__}; variances are learned between the times of a Diffusion; take one, or learn none")
    assert said.spread is not None
    time = time.double()
    before = time.clamp(min=1)
    back = posterior(path, time, time - 1)._replace(variance=posterior(path, before, before - 1).variance)
    low, learned = back.variance.log().to(said.spread), log_variance(back, said.spread)
    off = back.clean.to(truth.clean) * (truth.clean - said.clean)
    divergence = (learned - low + (low - learned).exp() + off.square() * (-learned).exp() - 1) / 2
    return torch.where(time == 0, _level(truth.clean, said.clean, learned / 2), divergence) / math.log(2)


def _level(value: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Nats of a value's level under a normal distribution; the outermost levels hold its tails."""
    off, narrow, half = value - mean, (-log_std).exp(), 1 / (LEVELS - 1)
    above, below = _below(narrow * (off - half)), _below(narrow * (off + half))
    chance = torch.where(value < -0.999, below, torch.where(value > 0.999, 1 - above, below - above))
    return -chance.clamp(min=1e-12).log()


def _below(x: Tensor) -> Tensor:
    """The normal distribution function, nearly."""
    return (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh()) / 2
