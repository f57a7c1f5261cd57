"""Noisy: elements on their way from noise to clean, and the time of each."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.clocks import Clock
from tessera.orders.in_place import Noisy
from tessera.readers.base import Read, grid_coordinates
from tessera.unets import Down


class NoisyReader(nn.Module):
    """One linear layer of noisy elements, to which a vector that tells the time is added first.

    `columns` is the width of the picture in elements; `positions` has a row for each of them, which is added too.
    Source: Zhou et al. 2024, arXiv:2408.11039 (Transfusion), section 3.
    """

    elementwise = True

    def __init__(self, features: int, width: int, *, columns: int, positions: nn.Embedding):
        super().__init__()
        self.clock, self.embed, self.columns, self.positions = Clock(features), nn.Linear(features, width), columns, positions

    def forward(self, visible: Noisy, start: Int[Tensor, "batch"]) -> Read:
        """One place per element."""
        elements = torch.arange(visible.value.shape[1], device=start.device)
        told = visible.value.to(self.embed.weight.dtype) + self.clock(visible.time)
        embeddings = self.embed(told) + self.positions(start[:, None] + elements)
        return Read(embeddings, elements, grid_coordinates(start, len(elements), self.columns))


class GridReader(nn.Module):
    """Noisy pictures through a net of convolutions (`unets`) that is told the time; what skips the trunk goes to a `GridWriter`.

    `clock` makes the vectors that tell the time, as the net wants them. In front stands a place for the time where `leading`, which
    the clock must then tell in trunk width: how far the picture is. `positions` are as of `NoisyReader`. Whole pictures are read at once.
    """

    elementwise = False

    def __init__(self, net: Down, width: int, *, clock: Clock, columns: int, positions: nn.Embedding | None = None, leading: bool = False):
        super().__init__()
        self.net, self.clock, self.columns, self.positions, self.leading = net, clock, columns, positions, leading
        self.embed = nn.Linear(net.channels, width)

    def forward(self, visible: Noisy, start: Int[Tensor, "batch"]) -> Read:
        """One place per element, behind one for the time where `leading`."""
        told = self.clock(visible.time)
        grid = (-1, self.columns)
        features, skips = self.net(visible.value.to(self.embed.weight.dtype).unflatten(1, grid), told.unflatten(1, grid))
        elements = torch.arange(told.shape[1], device=start.device)
        embeddings = self.embed(features.flatten(1, 2)) + (0 if self.positions is None else self.positions(elements))
        coordinates = grid_coordinates(start, len(elements), self.columns)
        aside = torch.cat([skips.flatten(1, 2), told], -1)
        if not self.leading:
            return Read(embeddings, elements, coordinates, aside=aside)
        return behind_time(self.clock(visible.walk[:, :1]), embeddings, coordinates, aside)


def behind_time(
    front: Float[Tensor, "batch 1 width"],
    embeddings: Float[Tensor, "batch element width"],
    coordinates: Int[Tensor, "batch element 3"],
    aside: Float[Tensor, "batch element feature"],
) -> Read:
    """One place per element, behind one that tells the time and stands at the origin."""
    elements = torch.arange(embeddings.shape[1], device=embeddings.device)
    return Read(torch.cat([front, embeddings], 1), elements + 1, torch.cat([coordinates[:, :1] * 0, coordinates], 1), aside=aside)
