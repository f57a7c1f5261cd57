"""Hidden elements: what is known through any reader, and one learned vector for what is not."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.clocks import Clock
from tessera.orders.masked import PartlyHidden
from tessera.readers.base import Read, Reader


class HiddenReader(nn.Module):
    """What is known of a segment as `known` reads it, and the learned vector `mask` in place of what is hidden.

    `positions`, an embedding with a row for each element of a segment, is added to both: what is hidden is told apart by
    where it stands. Where a published vocabulary has an id for the mask, that id's row is `mask`. With a `clock` each place
    has a condition, the time of a noise path: what is hidden is noise (0), what is known is clean (1,000).
    """

    def __init__(self, known: Reader, width: int, *, positions: nn.Embedding | None = None, clock: Clock | None = None):
        super().__init__()
        self.known, self.mask, self.positions, self.clock = known, nn.Parameter(torch.randn(width)), positions, clock
        self.elementwise = known.elementwise

    def forward(self, visible: PartlyHidden, start: Int[Tensor, "batch"]) -> Read:
        """As many places as the reader of what is known makes; those that stand for hidden elements show the mask."""
        read = self.known(visible.value, start)
        embeddings = read.embeddings[:, read.predicts]
        embeddings = torch.where(visible.hidden[..., None], self.mask.to(embeddings), embeddings)
        if self.positions is not None:
            elements = torch.arange(len(read.predicts), device=start.device)
            embeddings = embeddings + self.positions(start[:, None] + elements)
        read = read._replace(embeddings=read.embeddings.index_copy(1, read.predicts, embeddings))
        return read if self.clock is None else read._replace(condition=self._told(self.clock, visible, read))

    def _told(self, clock: Clock, visible: PartlyHidden, read: Read) -> Float[Tensor, "batch place width"]:
        """The time of each place; places that the reader of what is known adds are clean."""
        clean, noise = clock(torch.tensor([1000.0, 0.0], device=read.embeddings.device))
        hidden = torch.zeros(read.embeddings.shape[:2], dtype=torch.bool, device=clean.device)
        return torch.where(hidden.index_copy(1, read.predicts, visible.hidden)[..., None], noise, clean)
