"""Readers: what a port shows of a segment, turned into trunk width."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.codecs.quantizers import FSQ


class Read(NamedTuple):
    """What a reader returns for a batch of segments of one shape.

    `predicts` names the place that stands for each clean element (a reader may add places: a time token, row ends).
    `coordinates` (time, row, column) turn rotary positions. `condition`, a vector per place, goes to adaptive norms.
    `aside`, one entry per element, goes round the trunk to the writer.
    """

    embeddings: Float[Tensor, "batch place width"]
    predicts: Int[Tensor, "element"]
    coordinates: Int[Tensor, "batch place axis"]
    condition: Float[Tensor, "batch place width"] | None = None
    aside: Tensor | None = None


@runtime_checkable
class Reader(Protocol):
    """visible -> trunk width. `start` is the number of the first element: while writing, elements come a few at a time.

    Segments read in one batch have one shape and one start, unless `elementwise` says that each element is read alone:
    then they may be of any length.
    """

    elementwise: bool

    def __call__(self, visible: Any, start: Int[Tensor, "batch"]) -> Read: ...


def grid_coordinates(start: Int[Tensor, "batch"], elements: int, columns: int) -> Int[Tensor, "batch element 3"]:
    """Time 0 and the row and column of each element, numbered from `start` in reading order; all 0 where `columns` is 0."""
    number = start[:, None] + torch.arange(elements, device=start.device)
    row, column = (number // columns, number % columns) if columns else (number * 0, number * 0)
    return torch.stack([number * 0, row, column], -1)


class Digits(nn.Module):
    """Codes of finite scalar quantization as sums of rows, one for each digit: codes alike in most digits begin alike.

    `first` is the id of code 0.
    """

    offsets: Tensor

    def __init__(self, quantizer: FSQ, width: int, *, first: int = 0):
        super().__init__()
        self.quantizer, self.first = quantizer, first
        self.register_buffer("offsets", quantizer.levels.cumsum(0) - quantizer.levels, persistent=False)
        self.rows = nn.Embedding(quantizer.digit_values, width)
        nn.init.normal_(self.rows.weight, std=quantizer.features**-0.5)  # their sum has variance 1

    def forward(self, ids: Int[Tensor, "batch element"]) -> Float[Tensor, "batch element width"]:
        """One vector per id."""
        return self.rows(self.quantizer.digits(ids - self.first) + self.offsets).sum(-2)


class TokenReader(nn.Module):
    """A row of an embedding table for each id. `columns` is the width of the grid, where the ids are codes of a picture.

    Two ports may share one table (early fusion): pass the same `nn.Embedding`. `scale` multiplies its rows: a table that is
    also a head is small (Vaswani et al. 2017, arXiv:1706.03762, section 3.4). `digits` adds what codes have in common.
    `positions`, an embedding with a row for each element of a segment, is added too: rotary positions alone tell who looks
    where, not what stands where.
    """

    elementwise = True

    def __init__(
        self,
        table: nn.Embedding,
        *,
        scale: float = 1.0,
        columns: int = 0,
        digits: Digits | None = None,
        positions: nn.Embedding | None = None,
    ):
        super().__init__()
        self.table, self.scale, self.columns, self.digits, self.positions = table, scale, columns, digits, positions

    def forward(self, visible: Int[Tensor, "batch element"], start: Int[Tensor, "batch"]) -> Read:
        """One place per id."""
        elements = visible.shape[1]
        embeddings = self.table(visible) * self.scale
        if self.digits is not None:
            embeddings = embeddings + self.digits(visible)
        if self.positions is not None:
            embeddings = embeddings + self.positions(start[:, None] + torch.arange(elements, device=visible.device))
        coordinates = grid_coordinates(start, elements, self.columns)
        return Read(embeddings, torch.arange(elements, device=visible.device), coordinates)
