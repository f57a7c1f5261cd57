"""The transformer: blocks composed from norm, attention and MLP objects, in a stack with named observation points."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tessera.attention import AttentionRule
from tessera.places import Places
from tessera.trunk.base import Hidden, Served
from tessera.trunk.cache import Cache, Pass
from tessera.trunk.rotary import Rotary, Turn


def working(x: Tensor) -> torch.dtype:
    """The precision that matrices are multiplied in."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class Sight:
    """What the places of one pass see: their rotary turn, the mask, their condition, and the cache where there is one.

    Without a turn places differ by what they hold alone, and without a mask all see all: so sees an eye a picture. `other` is
    what they look at where that is not themselves: other places' hidden states, and their turn.
    """

    def __init__(
        self,
        turn: Turn | None = None,
        mask: Bool[Tensor, "row query key"] | None = None,
        condition: Hidden | None = None,
        opened: Pass | None = None,
        *,
        other: tuple[Float[Tensor, "row ... width"], Turn] | None = None,
    ):
        self.turn, self.condition, self.opened, self.other = turn or (lambda x: x), condition, opened, other
        self.mask: Tensor | None = None
        self.blind: Tensor | None = None  # who sees nothing
        if mask is not None:
            if other is not None:
                blind = ~mask.any(-1, keepdim=True)
                mask, self.blind = mask | blind, blind.unsqueeze(1)
            dtype = turn.cos.dtype if turn else torch.get_default_dtype()
            self.mask = torch.where(mask, 0.0, -torch.inf).to(dtype).unsqueeze(1)

    def attend(
        self,
        q: Float[Tensor, "row head query size"],
        k: Float[Tensor, "row kvhead place size"],
        v: Float[Tensor, "row kvhead place size"],
    ) -> Float[Tensor, "row head query size"]:
        """Softmax attention under the mask; heads of keys and values may be fewer than those of queries."""
        if self.opened is not None:
            k, v = self.opened.extend(k, v)
        mask = None if self.mask is None else self.mask.to(q.dtype)
        if q.device.type == "cpu" and q.dtype == torch.bfloat16:
            return explicit_attention(q, k, v, mask)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=q.shape[1] != k.shape[1])


def explicit_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention written out. For bfloat16 on a CPU its backward pass is ten times as fast as the fused kernel's."""
    group = q.shape[1] // k.shape[1]
    if group > 1:
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return (scores if mask is None else scores + mask).softmax(-1) @ v


class SelfAttention(nn.Module):
    """Multi-head attention with rotary positions, grouped keys and values, and optional norms of queries and keys.

    `qk_norm` makes the norm from the features of a head, e.g. `nn.LayerNorm`, which all heads share; it is applied before the turn
    (Dehghani et al. 2023, arXiv:2302.05442; Chameleon, arXiv:2405.09818, section 2.3).
    """

    def __init__(
        self, width: int, heads: int, *, kv_heads: int | None = None, qk_norm: Callable[[int], nn.Module] | None = None, bias: bool = False
    ):
        super().__init__()
        kv_heads = kv_heads or heads
        if width % heads or heads % kv_heads or width // heads % 2:
            raise ValueError(
                f"SelfAttention: width {width}, {heads} heads, {kv_heads} kv_heads; the width must be an even multiple of heads "
                "(rotary positions turn pairs), and heads a multiple of kv_heads; change one of them"
            )
        self.size = width // heads
        self.split = [heads, kv_heads, kv_heads]
        self.qkv = nn.Linear(width, sum(self.split) * self.size, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.q_norm, self.k_norm = (qk_norm(self.size), qk_norm(self.size)) if qk_norm else (nn.Identity(), nn.Identity())

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """Every place's mixture of what it sees."""
        q, k, v = self.qkv(x).unflatten(-1, (sum(self.split), self.size)).transpose(1, 2).split_with_sizes(self.split, 1)
        q, k = self.q_norm(q).to(v.dtype), self.k_norm(k).to(v.dtype)
        seen = sight.attend(sight.turn(q), sight.turn(k), v)
        return self.out(seen.transpose(1, 2).flatten(-2))


class CrossAttention(nn.Module):
    """Multi-head attention to other places, those of an encoder; all else is as in `SelfAttention`.

    A place that sees none of them takes nothing.
    """

    def __init__(
        self, width: int, heads: int, *, kv_heads: int | None = None, qk_norm: Callable[[int], nn.Module] | None = None, bias: bool = False
    ):
        super().__init__()
        like = SelfAttention(width, heads, kv_heads=kv_heads, qk_norm=qk_norm, bias=bias)
        self.size, self.heads, self.kv_heads = like.size, *like.split[:2]
        self.q, self.kv = nn.Linear(width, width, bias=bias), nn.Linear(width, 2 * self.kv_heads * self.size, bias=bias)
        self.out, self.q_norm, self.k_norm = like.out, like.q_norm, like.k_norm

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """Every place's mixture of what it sees of the others."""
        assert sight.other is not None
        others, turn = sight.other
        q = self.q(x).unflatten(-1, (self.heads, self.size)).transpose(1, 2)
        k, v = self.kv(others).unflatten(-1, (2 * self.kv_heads, self.size)).transpose(1, 2).chunk(2, 1)
        q, k = self.q_norm(q).to(v.dtype), self.k_norm(k).to(v.dtype)
        seen = sight.attend(sight.turn(q), turn(k), v)
        seen = seen if sight.blind is None else seen.masked_fill(sight.blind, 0)
        return self.out(seen.transpose(1, 2).flatten(-2))


class SwiGLU(nn.Module):
    """Gated MLP: down(silu(gate x) * up x). `hidden` defaults to 8/3 of the width, to the next multiple of 8, in wide ones (1,024) of 256.

    With another `activation` of the gate it is one of its siblings: `partial(F.gelu, approximate="tanh")` makes Gemma's.
    Source: Shazeer 2020, arXiv:2002.05202.
    """

    def __init__(self, width: int, hidden: int | None = None, *, activation: Callable[[Tensor], Tensor] = F.silu):
        super().__init__()
        unit = 8 if width < 1024 else 256
        hidden = hidden or -(-width * 8 // (3 * unit)) * unit
        self.gate_up, self.down = nn.Linear(width, 2 * hidden, bias=False), nn.Linear(hidden, width, bias=False)
        self.activation = activation

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """Place by place."""
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(self.activation(gate) * up)


class MLP(nn.Module):
    """Two linear layers with `activation` between. `hidden` defaults to four times the width."""

    def __init__(self, width: int, hidden: int | None = None, *, activation: Callable[[Tensor], Tensor] = F.gelu):
        super().__init__()
        hidden = hidden or 4 * width
        self.up, self.down, self.activation = nn.Linear(width, hidden), nn.Linear(hidden, width), activation

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """Place by place."""
        return self.down(self.activation(self.up(x)))


class PreNorm(nn.Module):
    """A residual step that norms what goes in: x + f(norm x).

    With `condition`, its width, the norm is scaled and shifted by what a place's condition says; a place without one
    keeps the plain norm (Peebles and Xie 2022, arXiv:2212.09748, without its gates).
    """

    inner: Any  # SelfAttention, or an MLP

    def __init__(self, norm: nn.Module, inner: nn.Module, *, dropout: float = 0.0, condition: int | None = None):
        super().__init__()
        self.norm, self.inner, self.dropout = norm, inner, nn.Dropout(dropout)
        self.adapt = nn.Linear(condition, 2 * condition, bias=False) if condition else None
        if self.adapt is not None:
            nn.init.zeros_(self.adapt.weight)

    def before(self, x: Hidden, condition: Hidden | None) -> Hidden:
        """What the inner part is given."""
        normed = self.norm(x).to(x.dtype)
        if self.adapt is not None and condition is not None:
            scale, shift = self.adapt(F.silu(condition)).chunk(2, -1)
            normed = normed * (1 + scale) + shift
        return normed

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """The stream with the step added."""
        step = self.inner(self.before(x, sight.condition), sight)
        return x + (self.dropout(step) if self.training else step)


class SwinNorm(nn.Module):
    """A residual step that norms what comes out: x + norm(f(x)). Chameleon 34B's order, after Swin v2 (arXiv:2111.09883)."""

    inner: Any  # SelfAttention, or an MLP

    def __init__(self, norm: nn.Module, inner: nn.Module):
        super().__init__()
        self.norm, self.inner = norm, inner

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """The stream with the step added."""
        return x + self.norm(self.inner(x, sight))


class Block(nn.Module):
    """Attention, then an MLP, each a residual step (`PreNorm`, `SwinNorm`), with an observation point behind each."""

    def __init__(self, attention: PreNorm | SwinNorm, mlp: PreNorm | SwinNorm):
        super().__init__()
        self.attention, self.mlp = attention, mlp
        self.after_attention, self.after_mlp = nn.Identity(), nn.Identity()

    @property
    def parts(self) -> tuple[SelfAttention, MLP | SwiGLU]:
        """What the steps are of."""
        return self.attention.inner, self.mlp.inner

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """The stream behind the block."""
        x = self.after_attention(self.attention(x, sight))
        return self.after_mlp(self.mlp(x, sight))


class ParallelBlock(nn.Module):
    """Attention and an MLP side by side, both of one norm: x + attention(norm x) + mlp(norm x).

    Source: GPT-J (Wang and Komatsuzaki 2021); Phi has it, and so Show-o.
    """

    def __init__(self, norm: nn.Module, attention: SelfAttention, mlp: MLP | SwiGLU):
        super().__init__()
        self.norm, self.attention, self.mlp = norm, attention, mlp
        self.after_attention, self.after_mlp = nn.Identity(), nn.Identity()

    @property
    def parts(self) -> tuple[SelfAttention, MLP | SwiGLU]:
        """What stands side by side."""
        return self.attention, self.mlp

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """The stream behind the block."""
        normed = self.norm(x).to(x.dtype)
        x = self.after_attention(x + self.attention(normed, sight))
        return self.after_mlp(x + self.mlp(normed, sight))


class DecoderBlock(nn.Module):
    """Self-attention, attention to an encoder's places, then an MLP: residual steps with an observation point behind each."""

    def __init__(self, attention: PreNorm | SwinNorm, cross: PreNorm | SwinNorm, mlp: PreNorm | SwinNorm):
        super().__init__()
        self.attention, self.cross, self.mlp = attention, cross, mlp
        self.after_attention, self.after_cross, self.after_mlp = nn.Identity(), nn.Identity(), nn.Identity()

    @property
    def parts(self) -> tuple[SelfAttention, CrossAttention, MLP | SwiGLU]:
        """What the steps are of."""
        return self.attention.inner, self.cross.inner, self.mlp.inner

    def forward(self, x: Hidden, sight: Sight, across: Sight) -> Hidden:
        """The stream behind the block; `across` is what its places see of the encoder's."""
        x = self.after_attention(self.attention(x, sight))
        x = self.after_cross(self.cross(x, across))
        return self.after_mlp(self.mlp(x, sight))


def start(blocks: Sequence[Block | ParallelBlock | DecoderBlock]) -> None:
    """Linear weights start normal with variance 1 / inputs, those that write into the stream smaller by how many do so in all."""
    steps = [part for block in blocks for part in block.parts]
    for part in steps:
        last = part.down if isinstance(part, MLP | SwiGLU) else part.out
        for linear in (module for module in part.modules() if isinstance(module, nn.Linear)):
            nn.init.normal_(linear.weight, std=(linear.in_features * (len(steps) if linear is last else 1)) ** -0.5)


class Transformer(nn.Module):
    """A stack of blocks under one attention rule. It serves every order and every rule.

    Observation points are modules: hook `trunk.blocks[i].after_attention`, `.after_mlp` or `trunk.embedded`.
    Weights start as `start` says.
    """

    opens = False
    blocks: Sequence[Block | ParallelBlock]

    def __init__(self, blocks: Sequence[Block | ParallelBlock], *, norm: nn.Module, rotary: Rotary):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]  # torch's lists do not know what they hold
        self.norm, self.rotary, self.embedded = norm, rotary, nn.Identity()
        start(blocks)

    def serves(self, rule: AttentionRule, ports: Sequence[Served]) -> None:
        """Everything."""

    def forward(
        self, embeddings: Hidden, condition: Hidden | None, places: Places, rule: AttentionRule, opened: Pass | None = None
    ) -> Hidden:
        """Hidden states of the places. With `opened`, a pass of the cache, they also see what its rows hold."""
        sight, x = self.sight(embeddings, condition, places, rule, opened), self.embedded(embeddings)
        for block in self.blocks:
            x = block(x, sight)
        return self.norm(x)

    def sight(self, embeddings: Hidden, condition: Hidden | None, places: Places, rule: AttentionRule, opened: Pass | None) -> Sight:
        """What the places see in every block."""
        mask = rule.dense(places, places if opened is None else opened.places)
        return Sight(self.rotary(places, working(embeddings)), mask, condition, opened)

    @property
    def active_parameters(self) -> int:
        """All of them work on every place."""
        return sum(parameter.numel() for parameter in self.parameters())

    def cache(self, *, rows: int, capacity: int) -> Cache:
        """An empty cache of this trunk's shape, precision and device."""
        attention, _ = self.blocks[0].parts
        like = attention.qkv.weight
        return Cache(layers=len(self.blocks), heads=attention.split[1], size=attention.size, rows=rows, capacity=capacity, like=like)
