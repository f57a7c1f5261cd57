"""An invertible network: affine couplings, each of which changes one half of the elements by what the other half says."""

from collections.abc import Sequence
from math import log
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from tessera.draws import generator
from tessera.trunk.layers import MLP, SelfAttention, Sight
from tessera.trunk.transformer import Block, PreNorm

HEAD = 32  # features of an attention head

Elements = Float[Tensor, "batch element feature"]


class Adviser(nn.Module):
    """A small vision transformer: from one half of the elements, what to do with the other.

    Its last layer starts at 0.
    """

    def __init__(self, elements: int, inputs: int, outputs: int, *, width: int, blocks: int):
        super().__init__()
        norm, heads = lambda inner: PreNorm(nn.LayerNorm(width), inner), max(1, width // HEAD)
        self.embed, self.positions = nn.Linear(inputs, width), nn.Embedding(elements, width)
        self.blocks = nn.ModuleList(Block(norm(SelfAttention(width, heads, bias=True)), norm(MLP(width))) for _ in range(blocks))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, outputs)
        nn.init.normal_(self.positions.weight, std=width**-0.5)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Elements) -> Float[Tensor, "batch element value"]:
        """Every element having seen all others."""
        x, sight = self.embed(x) + self.positions.weight, Sight()
        for block in self.blocks:
            x = block(x, sight)
        return self.out(self.norm(x))


class Halves(NamedTuple):
    """Along `axis` (1 the elements, 2 their features) the numbers of all, of which the first `still` advise the others."""

    axis: int
    order: Int[Tensor, "element"]
    still: int


def shuffled(features: int, rng: Generator) -> Halves:
    """The features in an order of their own."""
    return Halves(2, torch.randperm(features, generator=rng), features // 2)


def chequered(columns: int, turn: int) -> Halves:
    """The elements of a square grid as the colours of a chessboard, which change roles from one turn to the next."""
    at = torch.arange(columns**2)
    return Halves(1, ((at // columns + at % columns + turn) % 2).argsort(stable=True), columns**2 // 2)


class Coupling(nn.Module):
    """y = (x + shift) * scale for one half, shift and scale a function of the other half, which passes as it is.

    Scales lie between 0 and `reach`, and start at 1.
    """

    order: Tensor
    back: Tensor

    def __init__(self, adviser: Adviser, split: Halves, *, reach: float):
        super().__init__()
        self.adviser, self.axis, self.still, self.reach = adviser, split.axis, split.still, reach
        self.register_buffer("order", split.order, persistent=False)
        self.register_buffer("back", split.order.argsort(), persistent=False)

    def forward(self, x: Elements) -> tuple[Elements, Float[Tensor, "batch"]]:
        """Changed elements, and the logarithm of the determinant of the change."""
        still, moved = self._split(x)
        shift, log_scale = self._advice(still, moved)
        return self._join(still, (moved + shift) * log_scale.exp()), log_scale.sum((1, 2))

    def inverse(self, y: Elements) -> Elements:
        """What was changed into this."""
        still, moved = self._split(y)
        shift, log_scale = self._advice(still, moved)
        return self._join(still, moved * (-log_scale).exp() - shift)

    def _advice(self, still: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = self.adviser(still).to(moved.dtype).chunk(2, -1)
        return shift, F.logsigmoid(raw - log(self.reach - 1)) + log(self.reach)

    def _split(self, x: Elements) -> tuple[Tensor, Tensor]:
        still, moved = x.index_select(self.axis, self.order).tensor_split([self.still], self.axis)
        return still, moved

    def _join(self, still: Tensor, moved: Tensor) -> Elements:
        return torch.cat([still, moved], self.axis).index_select(self.axis, self.back)


class Couplings(nn.Module):
    """A normalising flow over a square grid of elements: one coupling for each of `kinds`, each asking a ViT of `blocks` blocks.

    "channels" halves the features of every element, in an order drawn from `seed`; "spatial" the elements, see `chequered`.
    Source: Jet (Kolesnikov et al. 2024, arXiv:2412.15129, section 3). Differs: spatial ones see half of the elements whole,
    where the published code cuts features to give both kinds one shape; `reach`, 2 there, may be larger, so that fewer
    couplings spread the narrow noise of pixels.
    """

    couplings: Sequence[Coupling]

    def __init__(
        self,
        *,
        columns: int,
        features: int,
        kinds: Sequence[str],
        width: int = 64,
        blocks: int = 1,
        reach: float = 4.0,
        seed: int = 0,
    ):
        super().__init__()
        odd = "spatial" in kinds and columns % 2
        if features < 2 or odd or not set(kinds) <= {"channels", "spatial"} or reach <= 1:
            raise ValueError(
                f"Couplings: {features} features on {columns} columns, kinds {', '.join(kinds)}, reach {reach:g}; at least 2 features, "
                "kinds channels and spatial (that on an even number of columns), and a reach above 1 are accepted; change the one outside"
            )
        self.features, self.columns, self.elements = features, columns, columns**2
        made = []
        for i, kind in enumerate(kinds):
            if kind == "spatial":
                split = chequered(columns, list(kinds[:i]).count(kind))
                adviser = Adviser(split.still, features, 2 * features, width=width, blocks=blocks)
            else:
                split = shuffled(features, generator(seed, i))
                adviser = Adviser(columns**2, split.still, 2 * (features - split.still), width=width, blocks=blocks)
            made.append(Coupling(adviser, split, reach=reach))
        self.couplings = nn.ModuleList(made)  # type: ignore[assignment]  # torch's lists do not know what they hold

    def forward(self, x: Elements) -> tuple[Elements, Float[Tensor, "batch"]]:
        """Elements of the same shape, and the logarithm of the determinant of all changes together."""
        total = x.new_zeros(len(x))
        for coupling in self.couplings:
            x, log_det = coupling(x)
            total = total + log_det
        return x, total

    def inverse(self, z: Elements) -> Elements:
        """What the elements were before."""
        for coupling in reversed(self.couplings):
            z = coupling.inverse(z)
        return z
