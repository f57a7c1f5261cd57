"""Rows: tokens of a picture with a place behind each row that says it has ended."""

import torch
from jaxtyping import Int
from torch import Tensor, nn

from tessera.readers.base import Read
from tessera.readers.tokens import TokenReader


class RowReader(nn.Module):
    """Ids as `tokens` reads them, and behind each row of `columns` the id `end`, read as one of them.

    So the first of a row is predicted from the end of the row before it. What ends a row follows from where it stands, and is not
    learned. Source: Emu3 (Wang et al. 2024, arXiv:2409.18869, section 2.2).
    """

    elementwise = False

    def __init__(self, tokens: TokenReader, *, columns: int, end: int):
        super().__init__()
        self.tokens, self.columns, self.end = tokens, columns, end

    def forward(self, visible: Int[Tensor, "batch element"], start: Int[Tensor, "batch"]) -> Read:
        """One place per id, and one for each row that ends."""
        count, begun = visible.shape[1], int(start[0])
        number = begun + torch.arange(count, device=visible.device)
        predicts = number - begun + number // self.columns - begun // self.columns
        ended = (begun + count) // self.columns - begun // self.columns
        ids = visible.new_full((len(visible), count + ended), self.end).index_copy(1, predicts, visible)
        place = begun + begun // self.columns + torch.arange(count + ended, device=visible.device)
        across = self.columns + 1  # places of a row
        coordinates = torch.stack([torch.zeros_like(place), place // across, place % across], -1).expand(len(visible), -1, -1)
        rows = self.tokens.rows(ids)
        if self.tokens.positions is not None:
            known = rows[:, predicts] + self.tokens.positions(number)
            rows = rows.index_copy(1, predicts, known)
        return Read(rows, predicts, coordinates)
