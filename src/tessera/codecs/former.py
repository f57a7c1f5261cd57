"""A causal former: what an eye sees of a picture, made a row in which each element knows those before it."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tessera.trunk.layers import MLP, SelfAttention, Sight
from tessera.trunk.transformer import PreNorm

Row = Float[Tensor, "batch element width"]
Seen = Float[Tensor, "batch ... channel"]  # what the eye saw: its own elements, of its own width


class CrossAttention(nn.Module):
    """Multi-head attention of a row to other vectors, `seen` numbers each.

    It starts sharp: a query sees some of them, not their mean.
    """

    def __init__(self, width: int, heads: int, *, seen: int):
        super().__init__()
        self.size = width // heads
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(seen, 2 * width), nn.Linear(width, width)
        nn.init.normal_(self.q.weight, std=2 * width**-0.5)
        nn.init.normal_(self.kv.weight, std=seen**-0.5)

    def forward(self, x: Row, seen: Seen) -> Row:
        """Every element's mixture of what was seen."""
        q = self.q(x).unflatten(-1, (-1, self.size)).transpose(1, 2)
        k, v = self.kv(seen).unflatten(-1, (-1, self.size)).transpose(1, 2).chunk(2, 1)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))


class Look(nn.Module):
    """One layer: elements look at those before them, then at what was seen, then pass an MLP; each a residual step."""

    def __init__(self, width: int, heads: int, *, seen: int):
        super().__init__()
        norm = lambda inner: PreNorm(nn.LayerNorm(width), inner)
        self.back, self.mlp = norm(SelfAttention(width, heads, bias=True)), norm(MLP(width))
        self.norm, self.across = nn.LayerNorm(width), CrossAttention(width, heads, seen=seen)

    def forward(self, x: Row, seen: Seen, sight: Sight) -> Row:
        """The row, having looked."""
        x = self.back(x, sight)
        x = x + self.across(self.norm(x), seen)
        return self.mlp(x, sight)


class CausalFormer(nn.Module):
    """`elements` learned queries, which see each other causally and all that an eye saw: a row of features.

    The eye says `seen` numbers of each of its `squares`, in their order. An element has `features` numbers of mean 0 and mean
    square 1. What the former makes must be learned from something else than its being predicted: beside a model that
    regresses its features it makes them all alike.
    Source: Emu (Sun et al. 2023, arXiv:2307.05222), section 2.1.
    """

    def __init__(
        self,
        *,
        seen: int,
        squares: int = 16,
        elements: int = 8,
        features: int = 128,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
    ):
        super().__init__()
        self.elements, self.features = elements, features
        self.queries, self.places, self.norm = nn.Embedding(elements, width), nn.Embedding(squares, seen), nn.LayerNorm(seen)
        self.layers = nn.ModuleList(Look(width, heads, seen=seen) for _ in range(depth))
        self.out, self.scaled = nn.Linear(width, features), nn.LayerNorm(features, elementwise_affine=False)

    def forward(self, seen: Seen) -> Float[Tensor, "batch element feature"]:
        """The row of each picture."""
        seen, x = self.norm(seen) + self.places.weight, self.queries.weight.expand(len(seen), -1, -1)
        back = torch.ones(1, self.elements, self.elements, dtype=torch.bool, device=x.device).tril()
        sight = Sight(mask=back)
        for layer in self.layers:
            x = layer(x, seen, sight)
        return self.scaled(self.out(x))
