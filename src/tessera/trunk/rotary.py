"""Rotary positions: queries and keys are turned by angles that grow with a place's coordinates."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tessera.attention import Numbered
from tessera.places import FIELDS, Places

Frequencies = Float[Tensor, "number"]  # radians a position, of each pair of features


class Turn(NamedTuple):
    """Cosines and sines of the angles of every place; the sine's first half is negated."""

    cos: Float[Tensor, "row 1 place size"]
    sin: Float[Tensor, "row 1 place size"]

    def __call__(self, x: Float[Tensor, "row head place size"]) -> Float[Tensor, "row head place size"]:
        """Queries or keys turned by their place: feature i is paired with feature i + size / 2."""
        return torch.addcmul(x * self.cos, x.roll(x.shape[-1] // 2, -1), self.sin)


def turned(angle: Float[Tensor, "row place size"], dtype: torch.dtype) -> Turn:
    """The turn of one angle a pair of features."""
    cos, sin = angle.cos().unsqueeze(1).to(dtype), angle.sin().unsqueeze(1).to(dtype)
    return Turn(torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1))


class Rotary(nn.Module):
    """Angles from places. One coordinate gives the usual 1-D rotary; several share the frequencies in turn.

    `Rotary(64)` turns by `order`. `Rotary(64, axes=("order", "row", "column"))` gives each axis every third frequency,
    so that pictures carry their two dimensions. `portion` is the share of the features that turn (partial rotary, as in
    GPT-NeoX and Phi); the pairs beyond it stand still. `stretched`, where given, changes the frequencies (for longer documents), and
    queries and keys grow by the factor `grown`.
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
        grown: float | None = None,
    ):
        super().__init__()
        assert size % 2 == 0 and (grown is None or portion == 1)
        self.grown = grown
        self.pairs, turning = size // 2, int(size * portion) // 2
        turns = torch.arange(self.pairs) % len(axes)
        self.register_buffer("axis", torch.tensor([FIELDS.index(axis) for axis in axes])[turns], persistent=False)
        frequency = theta ** (-torch.arange(turning, dtype=torch.float64) / turning)
        frequency = stretched(frequency) if stretched else frequency
        self.frequency = torch.cat([frequency, frequency.new_zeros(self.pairs - turning)])  # no buffer: stays float64

    def forward(self, places: Places, dtype: torch.dtype) -> Turn:
        """Angles are computed in float64 whatever the model's precision: far places would lose their phase."""
        if self.frequency.device != self.axis.device:
            self.frequency = self.frequency.to(self.axis.device)
        turn = turned(places.data[self.axis].movedim(0, -1) * self.frequency, dtype)
        return turn if self.grown is None else Turn(*(part * self.grown for part in turn))


class GridRotary(nn.Module):
    """2-D rotary: a place of text turns by its order, one in a grid by its row in half of the pairs and by its column in the others.

    All pairs of a grid turn besides by where its segment begins, as a text's would there, so pictures of a document are told apart and
    a shift of all positions changes nothing. `scale`, by port, multiplies rows and columns: a coarse grid over the same picture as a
    fine one has larger ones.
    Source: Unified-IO 2 (Lu et al. 2023, arXiv:2312.17172, section 3.2) and its code, where one picture begins at 0.
    """

    line: Tensor
    grid: Tensor

    def __init__(self, size: int, *, theta: float = 10_000.0, scale: Mapping[Numbered, float] | None = None):
        super().__init__()
        if size % 4:
            raise ValueError(
                f"GridRotary: heads of {size} features; a multiple of 4 is accepted (pairs for rows, pairs for columns); change it"
            )
        pairs = size // 2
        self.line = theta ** (-torch.arange(pairs, dtype=torch.float64) / pairs)  # no buffers: they stay float64
        self.grid = self.line[::2].repeat(2)
        self.scale = tuple((scale or {}).items())  # a tuple, because the system holds the ports

    def forward(self, places: Places, dtype: torch.dtype) -> Turn:
        """Angles in float64 whatever the model's precision."""
        self.line, self.grid = self.line.to(places.data.device), self.grid.to(places.data.device)
        rows_columns = places.data[-2:].movedim(0, -1).repeat_interleave(len(self.line) // 2, -1).to(self.line)
        for port, scale in self.scale:
            rows_columns = rows_columns * torch.where(places.port == port.number, scale, 1.0)[..., None]
        inside = rows_columns.any(-1)
        at = torch.where(inside, places.begins, places.order)
        return turned(at[..., None] * self.line + rows_columns * self.grid, dtype)
