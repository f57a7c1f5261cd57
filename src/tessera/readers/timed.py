"""Timed: noisy elements behind a place of their own for the time."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.clocks import Clock
from tessera.orders.in_place import Noisy
from tessera.perceptron import perceptron
from tessera.readers.base import Read, grid_coordinates
from tessera.readers.noisy import behind_time


def square_sines(columns: int, width: int) -> Float[Tensor, "element width"]:
    """Fixed positions in a square grid: sines and cosines of the column, then of the row, at `width` / 4 speeds (as in MAE and DiT)."""
    at = torch.arange(columns, dtype=torch.float64)
    angle = at[:, None] * 10_000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    waves = torch.cat([angle.sin(), angle.cos()], -1)
    return torch.cat([waves.repeat(columns, 1), waves.repeat_interleave(columns, 0)], -1).to(torch.get_default_dtype())


class TimedReader(nn.Module):
    """A place that tells the time through an MLP, then one linear layer of each noisy element and where it stands.

    The time in front is how far the picture is; what tells that of an element goes aside, for the writer. Whole pictures, of `columns`
    squared elements, are read at once.
    Source: MonoFormer (Zhao et al. 2024, arXiv:2409.16280, section 3) and its code.
    """

    elementwise = False
    positions: Tensor

    def __init__(self, features: int, width: int, *, columns: int):
        super().__init__()
        self.clock, self.front, self.columns = Clock(width), perceptron(width, width, width), columns
        self.embed = nn.Linear(features, width)
        self.register_buffer("positions", square_sines(columns, width), persistent=False)

    def forward(self, visible: Noisy, start: Int[Tensor, "batch"]) -> Read:
        """One place for the time, and one per element."""
        told, dtype = self.clock(visible.time), self.embed.weight.dtype
        front, embeddings = self.front(self.clock(visible.walk[:, :1])), self.embed(visible.value.to(dtype)) + self.positions.to(dtype)
        return behind_time(front, embeddings, grid_coordinates(start, told.shape[1], self.columns), told)
