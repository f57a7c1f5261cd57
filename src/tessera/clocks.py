"""Clocks: the time of a noise path as features."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


def waves(time: Float[Tensor, "*answers"], features: int, *, slowest: float = 10_000.0) -> Float[Tensor, "*answers feature"]:
    """Cosines, then sines, of the time at `features` / 2 speeds from 1 to nearly 1 / `slowest` (as in ADM and DiT)."""
    half = features // 2
    speed = torch.exp(-math.log(slowest) * torch.arange(half, dtype=torch.float64, device=time.device) / half)
    angle = time.double()[..., None] * speed
    return torch.cat([angle.cos(), angle.sin()], -1)


class Clock(nn.Module):
    """A vector for each time: waves through an MLP with one hidden layer of SiLU. Times run from 0 to about 1,000."""

    def __init__(self, width: int, *, features: int = 256):
        super().__init__()
        self.features = features
        self.up, self.out = nn.Linear(features, width), nn.Linear(width, width)

    def forward(self, time: Float[Tensor, "*answers"]) -> Float[Tensor, "*answers width"]:
        """One vector per time."""
        return self.out(nn.functional.silu(self.up(waves(time, self.features).to(self.up.weight.dtype))))
