"""Adaptive: noisy elements whose time goes to adaptive norms."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.clocks import Clock
from tessera.orders.in_place import Noisy
from tessera.readers.base import Read, grid_coordinates


class Middle(nn.Module):
    """Fixed positions of a larger grid, of which pictures take the middle. Source: Stable Diffusion 3 (arXiv:2403.03206), its code."""

    rows: Tensor
    at: Tensor

    def __init__(self, side: int, width: int, *, columns: int):
        super().__init__()
        if columns > side:
            raise ValueError(f"Middle: {columns} columns of a grid of {side}; at most as many are accepted; make pictures smaller")
        first = (side - columns) // 2
        inside = torch.arange(side**2).view(side, side)[first : first + columns, first : first + columns]
        self.register_buffer("rows", torch.zeros(side**2, width))
        self.register_buffer("at", inside.flatten(), persistent=False)

    def forward(self, elements: Int[Tensor, "*answers"]) -> Float[Tensor, "*answers width"]:
        """The row of each element."""
        return self.rows[self.at[elements]]


class AdaptiveReader(nn.Module):
    """One linear layer of noisy elements; what `clock` tells of the time of each is its condition, and goes aside too, for the writer.

    `columns` is the width of the picture in elements; `positions` has a row for each of them, which is added. With `together` all are
    told how far the picture is, given ones too, as nets are that have one time a picture.
    Source: DiT (Peebles and Xie 2022, arXiv:2212.09748, section 3.2); Stable Diffusion 3 (Esser et al. 2024, arXiv:2403.03206).
    """

    elementwise = True

    def __init__(self, features: int, width: int, *, clock: Clock, columns: int, positions: nn.Embedding | Middle, together: bool = False):
        super().__init__()
        self.clock, self.embed, self.columns, self.positions = clock, nn.Linear(features, width), columns, positions
        self.together = together

    def forward(self, visible: Noisy, start: Int[Tensor, "batch"]) -> Read:
        """One place per element."""
        elements, dtype = torch.arange(visible.value.shape[1], device=start.device), self.embed.weight.dtype
        told = self.clock(visible.walk if self.together else visible.time)
        embeddings = self.embed(visible.value.to(dtype)) + self.positions(start[:, None] + elements).to(dtype)
        return Read(embeddings, elements, grid_coordinates(start, len(elements), self.columns), told, told)
