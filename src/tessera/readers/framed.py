"""Framed: a segment between tokens that belong to it."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn

from tessera.readers.base import Read, Reader
from tessera.readers.tokens import TokenReader


class FramedReader(nn.Module):
    """What `inner` reads of a segment, with the ids `before` in front and `behind` at its end, read as `tokens` reads them.

    They are places of the segment: what may look anywhere inside it sees them, and they see it, unlike markers, which stand apart.
    Segments are read as a whole. Source: Show-o (Xie et al. 2024, arXiv:2408.12528), in its code.
    """

    elementwise = False

    def __init__(self, inner: Reader, tokens: TokenReader, *, before: Sequence[int] = (), behind: Sequence[int] = ()):
        super().__init__()
        self.inner, self.tokens, self.before, self.behind = inner, tokens, tuple(before), tuple(behind)

    def forward(self, visible: Any, start: Int[Tensor, "batch"]) -> Read:
        """The places of `inner` between those of the ids."""
        read = self.inner(visible, start)
        assert read.condition is None, "ids around a segment have no condition"
        around = [len(self.before), len(self.behind)]
        rows = self.tokens.rows(torch.tensor([*self.before, *self.behind], dtype=torch.long, device=start.device))
        front, end = rows.to(read.embeddings.dtype).expand(len(start), -1, -1).split(around, 1)
        return read._replace(
            embeddings=torch.cat([front, read.embeddings, end], 1),
            predicts=read.predicts + around[0],
            coordinates=F.pad(read.coordinates, (0, 0, *around)),
        )
