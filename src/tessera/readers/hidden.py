"""Hidden elements: what is known through any reader, and one learned vector for what is not."""

import torch
from jaxtyping import Int
from torch import Tensor, nn

from tessera.orders.masked import PartlyHidden
from tessera.readers.base import Read, Reader


class HiddenReader(nn.Module):
    """What is known of a segment as `known` reads it, and the learned vector `mask` in place of what is hidden.

    `positions`, an embedding with a row for each element of a segment, is added to both: what is hidden is told apart by
    where it stands. Where a published vocabulary has an id for the mask, that id's row is `mask`.
    """

    def __init__(self, known: Reader, width: int, *, positions: nn.Embedding | None = None):
        super().__init__()
        self.known, self.mask, self.positions = known, nn.Parameter(torch.randn(width)), positions
        self.elementwise = known.elementwise

    def forward(self, visible: PartlyHidden, start: Int[Tensor, "batch"]) -> Read:
        """As many places as the reader of what is known makes; those that stand for hidden elements show the mask."""
        read = self.known(visible.value, start)
        embeddings = read.embeddings[:, read.predicts]
        embeddings = torch.where(visible.hidden[..., None], self.mask.to(embeddings), embeddings)
        if self.positions is not None:
            elements = torch.arange(len(read.predicts), device=start.device)
            embeddings = embeddings + self.positions(start[:, None] + elements)
        return read._replace(embeddings=read.embeddings.index_copy(1, read.predicts, embeddings))
