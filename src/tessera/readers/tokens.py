"""Tokens: ids through an embedding table."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.codecs.quantizers import FSQ, LFQ
from tessera.readers.base import Read, grid_coordinates


class Digits(nn.Module):
    """Codes of finite scalar (or lookup-free) quantization as sums of rows, one for each digit: codes alike in most digits begin alike.

    `first` is the id of code 0. Ids that are none (a mask) get the digits of some code: the table beside tells them apart.
    """

    digits: Tensor

    def __init__(self, quantizer: FSQ | LFQ, width: int, *, first: int = 0):
        super().__init__()
        self.first = first
        digits, offsets = quantizer.digits(torch.arange(quantizer.size)[None])[0], quantizer.levels.cumsum(0) - quantizer.levels
        self.register_buffer("digits", digits + offsets, persistent=False)  # of each code, counted over all features
        self.rows = nn.Embedding(quantizer.digit_values, width)
        nn.init.normal_(self.rows.weight, std=quantizer.features**-0.5)  # their sum has variance 1

    def forward(self, ids: Int[Tensor, "*answers"]) -> Float[Tensor, "*answers width"]:
        """One vector per id."""
        return self.rows(self.digits[(ids - self.first) % len(self.digits)]).sum(-2)


class TokenReader(nn.Module):
    """A row of an embedding table for each id. `columns` is the width of the grid, where the ids are codes of a picture.

    Two ports may share one table (early fusion): pass the same `nn.Embedding`. `scale` multiplies its rows: a table that is
    also a head is small (Vaswani et al. 2017, arXiv:1706.03762, section 3.4). `digits` adds what codes have in common.
    `adaptor` takes what was looked up to the trunk's width (Janus, arXiv:2410.13848, section 3.1). Where elements are several
    codes, `levels` of them, it is given their rows side by side. `positions`, an embedding with a row for each element of a segment,
    is added last: rotary positions alone tell who looks where, not what stands where.
    """

    elementwise = True

    def __init__(
        self,
        table: nn.Embedding,
        *,
        scale: float = 1.0,
        columns: int = 0,
        digits: Digits | None = None,
        adaptor: nn.Module | None = None,
        positions: nn.Embedding | None = None,
        levels: int = 1,
    ):
        super().__init__()
        self.table, self.scale, self.columns = table, scale, columns
        self.digits, self.adaptor, self.positions, self.levels = digits, adaptor, positions, levels

    def forward(self, visible: Int[Tensor, "batch element ..."], start: Int[Tensor, "batch"]) -> Read:
        """One place per element."""
        return self.placed(self.rows(visible), start)

    def rows(self, ids: Int[Tensor, "..."]) -> Float[Tensor, "... width"]:
        """What each element is read as, wherever it stands."""
        rows = self.table(ids) * self.scale
        if self.digits is not None:
            rows = rows + self.digits(ids)
        rows = rows if self.levels == 1 else rows.flatten(-2)
        return rows if self.adaptor is None else self.adaptor(rows)

    def placed(self, rows: Float[Tensor, "batch element width"], start: Int[Tensor, "batch"]) -> Read:
        """Rows as places of a segment, from element `start` on."""
        number = torch.arange(rows.shape[1], device=rows.device)
        embeddings = rows if self.positions is None else rows + self.positions(start[:, None] + number)
        return Read(embeddings, number, grid_coordinates(start, rows.shape[1], self.columns))
