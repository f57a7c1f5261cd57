"""Continuous elements through one linear layer."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.readers.base import Read, grid_coordinates


class LinearReader(nn.Module):
    """One linear layer for each element: soft tokens, patches, latents. `columns` is the width of the grid, where they are a picture's.

    `positions`, an embedding with a row for each element of a segment, is added: rotary positions alone tell who looks where,
    not what stands where.
    """

    elementwise = True

    def __init__(self, features: int, width: int, *, columns: int = 0, positions: nn.Embedding | None = None):
        super().__init__()
        self.embed, self.columns, self.positions = nn.Linear(features, width), columns, positions

    def forward(self, visible: Float[Tensor, "batch element feature"], start: Int[Tensor, "batch"]) -> Read:
        """One place per element."""
        elements = visible.shape[1]
        number = torch.arange(elements, device=visible.device)
        embeddings = self.embed(visible)
        if self.positions is not None:
            embeddings = embeddings + self.positions(start[:, None] + number)
        return Read(embeddings, number, grid_coordinates(start, elements, self.columns))
