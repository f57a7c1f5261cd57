"""Features: continuous elements through a projector."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.readers.base import Read, grid_coordinates


class FeatureReader(nn.Module):
    """What a projector (a linear layer, an MLP) makes of each element: features of an eye, latents.

    `columns` is the width of the grid, 0 where elements are a row. `positions`, an embedding with a row for each element of a
    segment, is added: rotary positions alone tell who looks where, not what stands where.
    """

    elementwise = True

    def __init__(self, projector: nn.Module, *, columns: int = 0, positions: nn.Embedding | None = None):
        super().__init__()
        self.projector, self.columns, self.positions = projector, columns, positions

    def forward(self, visible: Float[Tensor, "batch element feature"], start: Int[Tensor, "batch"]) -> Read:
        """One place per element."""
        number = torch.arange(visible.shape[1], device=visible.device)
        like = next(self.projector.parameters(), visible)  # what is drawn may be of another precision than what was encoded
        embeddings = self.projector(visible.to(like.dtype))
        if self.positions is not None:
            embeddings = embeddings + self.positions(start[:, None] + number)
        return Read(embeddings, number, grid_coordinates(start, len(number), self.columns))
