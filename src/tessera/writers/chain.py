"""The head of a Chain: a small causal transformer inside one place."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.trunk.layers import Sight
from tessera.trunk.transformer import Block, start


class ChainWriter(nn.Module):
    """Logits of `values` codes for each of up to `length` codes of a place, from what the trunk says of it and the codes before.

    The sequence is the trunk's state, then what `codes` makes of each known code, vectors of the head's own width `hidden`; learned
    positions are added, and `blocks` follow, in which each sees itself and what stands before it; then `norm`, and a linear layer that
    starts so small that the first predictions are nearly uniform.
    Source: the depth transformer of Lee et al. 2022, arXiv:2203.01941, section 3.2.
    """

    blocks: Sequence[Block]

    def __init__(
        self,
        width: int,
        values: int,
        blocks: Sequence[Block],
        *,
        codes: nn.Module,
        length: int,
        norm: nn.Module,
        hidden: int | None = None,
    ):
        super().__init__()
        hidden = hidden or width
        self.into, self.codes, self.positions = nn.Linear(width, hidden), codes, nn.Embedding(length, hidden)
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]  # torch's lists do not know what they hold
        self.norm, self.out = norm, nn.Linear(hidden, values)
        nn.init.normal_(self.into.weight, std=width**-0.5)
        nn.init.normal_(self.out.weight, std=1 / hidden)
        start(blocks)

    def forward(
        self, hidden: Float[Tensor, "*answers width"], aside: Tensor | None, before: Int[Tensor, "*answers past"]
    ) -> Float[Tensor, "*answers level value"]:
        """What is said of the first code, and of the one behind each of those that are known."""
        x = torch.cat([self.into(hidden)[..., None, :], self.codes(before)], -2)
        count = x.shape[-2]
        x = (x + self.positions.weight[:count]).view(-1, count, x.shape[-1])
        sight = Sight(mask=torch.ones(1, count, count, dtype=torch.bool, device=x.device).tril())
        for block in self.blocks:
            x = block(x, sight)
        return self.out(self.norm(x)).unflatten(0, hidden.shape[:-1])
