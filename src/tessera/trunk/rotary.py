"""Rotary positions: queries and keys are turned by angles that grow with a place's coordinates."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tessera.places import FIELDS, Places

Frequencies = Float[Tensor, "number"]  # radians a position, of each pair of features


class Turn(NamedTuple):
    """Cosines and sines of the angles of every place; the sine's first half is negated."""

    cos: Float[Tensor, "row 1 place size"]
    sin: Float[Tensor, "row 1 place size"]

    def __call__(self, x: Float[Tensor, "row head place size"]) -> Float[Tensor, "row head place size"]:
        """Queries or keys turned by their place: feature i is paired with feature i + size / 2."""
        return torch.addcmul(x * self.cos, x.roll(x.shape[-1] // 2, -1), self.sin)


class Rotary(nn.Module):
    """Angles from places. One coordinate gives the usual 1-D rotary; several share the frequencies in turn.

    `Rotary(64)` turns by `order`. `Rotary(64, axes=("order", "row", "column"))` gives each axis every third frequency,
    so that pictures carry their two dimensions. `portion` is the share of the features that turn (partial rotary, as in
    GPT-NeoX and Phi); the pairs beyond it stand still. `stretched`, where given, changes the frequencies (for longer documents).
    Source: Su et al. 2021, arXiv:2104.09864; several axes as in M-RoPE (Wang et al. 2024, arXiv:2409.12191), interleaved.
    """

    axis: Tensor
    frequency: Tensor

    def __init__(
        self,
        size: int,
        *,
        axes: Sequence[str] = ("order",),
        theta: float = 10_000.0,
        portion: float = 1.0,
        stretched: Callable[[Frequencies], Frequencies] | None = None,
    ):
        super().__init__()
        assert size % 2 == 0
        self.pairs, turning = size // 2, int(size * portion) // 2
        turns = torch.arange(self.pairs) % len(axes)
        self.register_buffer("axis", torch.tensor([FIELDS.index(axis) for axis in axes])[turns], persistent=False)
        frequency = theta ** (-torch.arange(turning, dtype=torch.float64) / turning)
        frequency = stretched(frequency) if stretched else frequency
        self.frequency = torch.cat([frequency, frequency.new_zeros(self.pairs - turning)])  # no buffer: stays float64

    def forward(self, places: Places, dtype: torch.dtype) -> Turn:
        """Angles are computed in float64 whatever the model's precision: far places would lose their phase."""
        self.frequency = self.frequency.to(self.axis.device)
        angle = (places.data[self.axis].movedim(0, -1) * self.frequency).unsqueeze(1)
        cos, sin = angle.cos().to(dtype), angle.sin().to(dtype)
        return Turn(torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1))
