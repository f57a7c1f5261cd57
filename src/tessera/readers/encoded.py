"""Encoded: text as an encoder of its own reads it, T5's, in front of the trunk."""

from functools import partial
from math import log

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.orders.masked import PartlyHidden
from tessera.readers.base import Read
from tessera.trunk.layers import Sight, SwiGLU

Stream = Float[Tensor, "batch place width"]
Bias = Float[Tensor, "head place place"]


class Distances(nn.Module):
    """What attention adds for how far away, and on which side, a place is: a number for each head and span of distances.

    Source: T5 (Raffel et al. 2019, arXiv:1910.10683, section 2.1) and its code: half of the spans are for each side, half of these for
    single distances, and the others grow in steps of one factor, as far as `farthest`.
    """

    def __init__(self, heads: int, *, spans: int = 32, farthest: int = 128):
        super().__init__()
        self.numbers, self.spans, self.farthest = nn.Embedding(spans, heads), spans, farthest

    def span(self, distance: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
        """The number of each distance's span."""
        side = self.spans // 2
        single, away = side // 2, distance.abs()
        grown = single + ((away.clamp(min=1).float() / single).log() / log(self.farthest / single) * (side - single)).long()
        return (distance > 0) * side + torch.where(away < single, away, grown.clamp(max=side - 1))

    def forward(self, places: int) -> Bias:
        """Of each place to each place."""
        at = torch.arange(places, device=self.numbers.weight.device)
        return self.numbers(self.span(at - at[:, None])).movedim(-1, 0)


class Block(nn.Module):
    """Attention without a scale, then a gated MLP, each added to what it was given, normed."""

    def __init__(self, width: int, heads: int, size: int, hidden: int, eps: float):
        super().__init__()
        self.size, self.norms = size, nn.ModuleList(nn.RMSNorm(width, eps) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * heads * size, bias=False), nn.Linear(heads * size, width, bias=False)
        self.mlp = SwiGLU(width, hidden, activation=partial(F.gelu, approximate="tanh"))

    def forward(self, x: Stream, bias: Bias) -> Stream:
        """The stream behind the block."""
        q, k, v = self.qkv(self.norms[0](x)).unflatten(-1, (-1, self.size)).transpose(1, 2).chunk(3, 1)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q), scale=1.0)
        x = x + self.out(seen.transpose(1, 2).flatten(-2))
        return x + self.mlp(self.norms[1](x), Sight())


class T5(nn.Module):
    """The encoder of T5 in its version 1.1: ids, `heads` of `size` features, all places see all.

    Source: Raffel et al. 2019, arXiv:1910.10683; gated MLPs as in Shazeer 2020, arXiv:2002.05202.
    """

    def __init__(self, vocabulary: int, width: int, *, depth: int, heads: int, size: int, hidden: int, eps: float = 1e-6):
        super().__init__()
        self.width, self.table, self.distances = width, nn.Embedding(vocabulary, width), Distances(heads)
        self.blocks = nn.ModuleList(Block(width, heads, size, hidden, eps) for _ in range(depth))
        self.norm = nn.RMSNorm(width, eps)

    def forward(self, ids: Int[Tensor, "batch place"]) -> Stream:
        """What each place is read as."""
        x, bias = self.table(ids), self.distances(ids.shape[1])
        for block in self.blocks:
            x = block(x, bias)
        return self.norm(x)


class EncodedReader(nn.Module):
    """Text as a frozen `encoder` reads it, hidden elements as the id `mask`, through one linear layer.

    A text of less than `length` ids is followed by the id `pad`, whose places stand for nothing, but are seen.
    Source: D-DiT (Li et al. 2025, arXiv:2501.00289), and its code.
    """

    elementwise = False

    def __init__(self, encoder: T5, width: int, *, mask: int, pad: int, length: int):
        super().__init__()
        self.encoder, self.project = encoder.requires_grad_(False), nn.Linear(encoder.width, width)
        self.mask, self.pad, self.length = mask, pad, length

    def forward(self, visible: PartlyHidden, start: Int[Tensor, "batch"]) -> Read:
        """One place per element, and those of what follows."""
        ids = visible.value.masked_fill(visible.hidden, self.mask)
        count = ids.shape[1]
        with torch.no_grad():
            read = self.encoder(F.pad(ids, (0, max(0, self.length - count)), value=self.pad))
        embeddings = self.project(read)
        elements = torch.arange(count, device=ids.device)
        return Read(embeddings, elements, start.new_zeros(*embeddings.shape[:2], 3))
