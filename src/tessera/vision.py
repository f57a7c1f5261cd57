"""Eyes: vision transformers over squares of pixels, in the shapes of SigLIP and of CLIP."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tessera.trunk.layers import MLP, SelfAttention, Sight
from tessera.trunk.transformer import Block, PreNorm, ScaledNorm, start

EXACT = nn.GELU()  # a module, so that parts of another activation have another name

Squares = Float[Tensor, "batch element feature"]
Features = Float[Tensor, "batch element width"]


class Beside(NamedTuple):
    """What passes the blocks of an eye beside squares: a class token, which has a position, and registers, in front of it, which have none.

    Source of the registers: Darcet et al. 2023, arXiv:2309.16588.
    """

    class_token: bool = False
    registers: int = 0


class ViT(nn.Module):
    """A vision transformer: squares of pixels (`Patches`, from -1 to 1) in, one feature vector for each of them out.

    Squares are embedded by one linear layer (a convolution of that kernel and stride is the same), learned positions are
    added, and `blocks` follow. `before` norms what goes into the first block, `after` what comes out of the last one.
    What passes the blocks `beside` the squares, in front of them, is no feature.
    Source: Dosovitskiy et al. 2020, arXiv:2010.11929.
    """

    blocks: Sequence[Block]

    def __init__(
        self,
        blocks: Sequence[Block],
        *,
        width: int,
        pixels: int,
        patch: int,
        before: nn.Module | None = None,
        after: nn.Module | None = None,
        beside: Beside = Beside(),
        bias: bool = True,
    ):
        super().__init__()
        if pixels % patch:
            raise ValueError(f"ViT: patch {patch} in pictures of {pixels} pixels; the patch must divide them; choose another")
        self.width, self.pixels, self.patch, self.columns = width, pixels, patch, pixels // patch
        self.elements = self.columns**2
        self.embed = nn.Linear(3 * patch**2, width, bias=bias)
        self.positions = nn.Embedding(self.elements + beside.class_token, width)
        self.class_token = nn.Parameter(torch.randn(width) * width**-0.5) if beside.class_token else None
        self.registers = nn.Parameter(torch.randn(beside.registers, width) * width**-0.5) if beside.registers else None
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]  # torch's lists do not know what they hold
        self.before, self.after = before or nn.Identity(), after or nn.Identity()
        nn.init.normal_(self.embed.weight, std=self.embed.in_features**-0.5)
        nn.init.normal_(self.positions.weight, std=width**-0.5)
        start(blocks)

    def forward(self, squares: Squares) -> Features:
        """The features of every square, each having seen the whole picture."""
        x = self.embed(squares.to(self.embed.weight.dtype))
        if self.class_token is not None:
            x = torch.cat([self.class_token.to(x.dtype).expand(len(x), 1, -1), x], 1)
        x = x + self.positions.weight
        if self.registers is not None:
            x = torch.cat([self.registers.to(x.dtype).expand(len(x), -1, -1), x], 1)
        x, sight = self.before(x), Sight()
        for block in self.blocks:
            x = block(x, sight)
        return self.after(x)[:, -self.elements :]


def siglip(
    *,
    pixels: int = 32,
    patch: int = 8,
    width: int = 128,
    depth: int = 3,
    heads: int = 4,
    hidden: int | None = None,
    activation: nn.Module = EXACT,
    eps: float = 1e-6,
) -> ViT:
    """An eye in SigLIP's shape: no class token, features normed at the end (Zhai et al. 2023, arXiv:2303.15343).

    GELU is exact unless said otherwise, as in Janus; SigLIP's own is `nn.GELU(approximate="tanh")`.
    """
    after = nn.LayerNorm(width, eps=eps)
    return ViT(_blocks(width, depth, heads, hidden, activation, eps), width=width, pixels=pixels, patch=patch, after=after)


def clip(
    *,
    pixels: int = 32,
    patch: int = 8,
    width: int = 128,
    depth: int = 4,
    heads: int = 4,
    hidden: int | None = None,
    activation: nn.Module | None = None,
    eps: float = 1e-5,
) -> ViT:
    """An eye in CLIP's shape, read where LLaVA reads it: behind the last block but one, without the final norm.

    `depth` is CLIP's own: its last block, which nobody would read, is not built (Liu et al. 2023, arXiv:2304.08485,
    section 4.1). Source: Radford et al. 2021, arXiv:2103.00020.
    """
    blocks, before = _blocks(width, depth - 1, heads, hidden, activation or QuickGELU(), eps), nn.LayerNorm(width, eps=eps)
    return ViT(blocks, width=width, pixels=pixels, patch=patch, before=before, beside=Beside(class_token=True), bias=False)


def dino(
    *,
    pixels: int = 32,
    patch: int = 8,
    width: int = 128,
    depth: int = 4,
    heads: int = 4,
    registers: int = 5,
    eps: float = 1e-6,
) -> ViT:
    """An eye in DINOv2's shape, read behind the last block but one, without the final norm; the class token is one of the `registers`.

    `depth` is DINO's own: its last block is not built, as in `clip`. Source: Oquab et al. 2023, arXiv:2304.07193; with registers as in
    Darcet et al. 2023, arXiv:2309.16588, in the form in which the class token has no position.
    """
    step = lambda inner: ScaledNorm(nn.LayerNorm(width, eps=eps), inner, width)
    blocks = [Block(step(SelfAttention(width, heads, bias=True)), step(MLP(width, activation=EXACT))) for _ in range(depth - 1)]
    return ViT(blocks, width=width, pixels=pixels, patch=patch, beside=Beside(registers=registers))


class TwoEyes(nn.Module):
    """What two eyes see of the same squares, side by side. The first wants colours of another `mean` and `spread` than 0.5 and 0.5."""

    def __init__(self, first: ViT, second: ViT, *, mean: Sequence[float], spread: Sequence[float]):
        super().__init__()
        assert first.pixels == second.pixels and first.patch == second.patch
        self.first, self.second = first, second
        self.pixels, self.patch, self.columns, self.elements = first.pixels, first.patch, first.columns, first.elements
        self.width = first.width + second.width
        self.mean, self.spread = tuple(mean), tuple(spread)

    def forward(self, squares: Squares) -> Features:
        """The features of every square."""
        mean, spread = (torch.tensor(one, device=squares.device).repeat_interleave(self.patch**2) for one in (self.mean, self.spread))
        recoloured = (squares / 2 + 0.5 - mean) / spread
        return torch.cat([self.first(recoloured), self.second(squares)], -1)


class QuickGELU(nn.Module):
    """CLIP's approximation of GELU: x sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Number by number."""
        return x * (1.702 * x).sigmoid()


def _blocks(width: int, depth: int, heads: int, hidden: int | None, activation: nn.Module, eps: float) -> list[Block]:
    norm = lambda inner: PreNorm(nn.LayerNorm(width, eps=eps), inner)
    return [Block(norm(SelfAttention(width, heads, bias=True)), norm(MLP(width, hidden, activation=activation))) for _ in range(depth)]


class AttentionPool(nn.Module):
    """One vector for all features of a picture: a learned query looks at them, and an MLP is added. SigLIP's head.

    Source: Lee et al. 2019, arXiv:1810.00825, as Zhai et al. 2022, arXiv:2106.04560, use it.
    """

    def __init__(self, width: int, heads: int, *, hidden: int | None = None, activation: nn.Module = EXACT):
        super().__init__()
        self.size = width // heads
        self.query = nn.Parameter(torch.randn(width) * width**-0.5)
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.mlp = PreNorm(nn.LayerNorm(width, eps=1e-6), MLP(width, hidden, activation=activation))

    def forward(self, features: Features) -> Float[Tensor, "batch width"]:
        """One vector per picture."""
        k, v = self.kv(features).unflatten(-1, (-1, self.size)).transpose(1, 2).chunk(2, 1)
        q = self.q(self.query).view(1, -1, 1, self.size).expand(len(features), -1, -1, -1).to(v.dtype)
        seen = F.scaled_dot_product_attention(q, k, v)
        return self.mlp(self.out(seen.transpose(1, 2).flatten(-2)), Sight())[:, 0]
