"""Tokens: ids through an embedding table."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.codecs.quantizers import FSQ
from tessera.readers.base import Read, grid_coordinates


class Digits(nn.Module):
    """Codes of finite scalar quantization as sums of rows, one for each digit: codes alike in most digits begin alike.

    `first` is the id of code 0.
    """

    digits: Tensor

    def __init__(self, quantizer: FSQ, width: int, *, first: int = 0):
        super().__init__()
        self.first = first
        digits, offsets = quantizer.digits(torch.arange(quantizer.size)[None])[0], quantizer.levels.cumsum(0) - quantizer.levels
        self.register_buffer("digits", digits + offsets, persistent=False)  # of each code, counted over all features
        self.rows = nn.Embedding(quantizer.digit_values, width)
        nn.init.normal_(self.rows.weight, std=quantizer.features**-0.5)  # their sum has variance 1

    def forward(self, ids: Int[Tensor, "batch element"]) -> Float[Tensor, "batch element width"]:
        """One vector per id."""
        return self.rows(self.digits[ids - self.first]).sum(-2)


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
