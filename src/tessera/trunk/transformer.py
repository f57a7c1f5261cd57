"""The transformer: blocks composed from norm, attention and MLP objects, in a stack with named observation points."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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
        dtype: torch.dtype | None = None,
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
            dtype = turn.cos.dtype if turn else dtype or torch.get_default_dtype()
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


Norm = Callable[[int], nn.Module]  # makes a norm of so many features


class SelfAttention(nn.Module):
    """Multi-head attention with rotary positions, grouped keys and values, and optional norms of queries and keys.

    `qk_norm` makes the norm from the features of a head, e.g. `nn.LayerNorm`, which all heads share; it is applied before the turn
    (Dehghani et al. 2023, arXiv:2302.05442; Chameleon, arXiv:2405.09818, section 2.3). Two of them are for queries and for keys.
    `size` is the features of a head, by default an even share of the width; `out_bias` is that of the last layer, where it differs.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        kv_heads: int | None = None,
        qk_norm: Norm | tuple[Norm, Norm] | None = None,
        bias: bool = False,
        size: int | None = None,
        out_bias: bool | None = None,
    ):
        super().__init__()
        kv_heads = kv_heads or heads
        if (not size and width % heads) or heads % kv_heads or (size or width // heads) % 2:
            raise ValueError(
                f"SelfAttention: width {width}, {heads} heads, {kv_heads} kv_heads, size {size}; the width must be an even multiple of heads "
                "(rotary positions turn pairs) or the size even, and heads a multiple of kv_heads; change one of them"
            )
        self.size = size or width // heads
        self.split = [heads, kv_heads, kv_heads]
        self.qkv = nn.Linear(width, sum(self.split) * self.size, bias=bias)
        self.out = nn.Linear(heads * self.size, width, bias=bias if out_bias is None else out_bias)
        of_q, of_k = qk_norm if isinstance(qk_norm, tuple) else (qk_norm, qk_norm)
        self.q_norm, self.k_norm = (norm(self.size) if norm else nn.Identity() for norm in (of_q, of_k))

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

    def __init__(self, width: int, hidden: int | None = None, *, activation: Callable[[Tensor], Tensor] = F.silu, bias: bool = False):
        super().__init__()
        unit = 8 if width < 1024 else 256
        hidden = hidden or -(-width * 8 // (3 * unit)) * unit
        self.gate_up, self.down = nn.Linear(width, 2 * hidden, bias=bias), nn.Linear(hidden, width, bias=bias)
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


class Said(NamedTuple):
    """What conditions say to a step: how its norm is scaled and shifted and how much of it is added, as differences from the plain one."""

    scale: Hidden
    shift: Hidden
    gate: Hidden | None


class PreNorm(nn.Module):
    """A residual step that norms what goes in: x + f(norm x).

    With `condition`, its width, the norm is scaled and shifted by what a place's condition says; a place without one keeps the
    plain norm. Where it is `gated` the condition also says how much of the step is added, and a place without one hears what is said to
    zeros. Source: Peebles and Xie 2022, arXiv:2212.09748, section 3.2 (adaLN-Zero). Differs: it starts as the plain step, not as none.
    """

    inner: Any  # SelfAttention, or an MLP

    def __init__(self, norm: nn.Module, inner: nn.Module, *, dropout: float = 0.0, condition: int | None = None, gated: bool = False):
        super().__init__()
        self.norm, self.inner, self.dropout, self.gated = norm, inner, nn.Dropout(dropout), gated
        self.adapt = nn.Linear(condition, (3 if gated else 2) * condition, bias=gated) if condition else None
        if self.adapt is not None:
            zero(self.adapt)

    def said(self, condition: Hidden | None) -> Said | None:
        """What the conditions of places say, if they say anything."""
        if self.adapt is None or (condition is None and not self.gated):
            return None
        said = self.adapt.bias.expand(1, 1, -1) if condition is None else self.adapt(F.silu(condition))
        scale, shift, *gate = said.chunk(3 if self.gated else 2, -1)
        return Said(scale, shift, gate[0] if gate else None)

    def before(self, x: Hidden, said: Said | None) -> Hidden:
        """What the inner part is given."""
        normed = self.norm(x).to(x.dtype)
        return normed if said is None else normed * (1 + said.scale) + said.shift

    def after(self, x: Hidden, step: Hidden, said: Said | None) -> Hidden:
        """The stream with the step added."""
        step = self.dropout(step) if self.training else step
        return x + (step if said is None or said.gate is None else (1 + said.gate) * step)

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """The stream with the step added."""
        said = self.said(sight.condition)
        return self.after(x, self.inner(self.before(x, said), sight), said)


def zero(linear: nn.Linear) -> None:
    """Let it say nothing, for a start."""
    for parameter in linear.parameters():
        nn.init.zeros_(parameter)


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


class OnlySeen(nn.Module):
    """The last block of a stack beside others (`Experts`) that nothing is asked of: all see its places, which go on as they are.

    Source: the text's last block in Stable Diffusion 3 (Esser et al. 2024, arXiv:2403.03206), in its published code. Differs: what
    its places would look for is not computed.
    """

    def __init__(self, norm: nn.Module, width: int, heads: int, *, condition: int):
        super().__init__()
        self.norm, self.adapt, self.size = norm, nn.Linear(condition, 2 * width), width // heads
        self.kv = nn.Linear(width, 2 * width)
        zero(self.adapt)

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """What starts as linear layers do."""
        return (self.kv,)

    def shown(self, x: Hidden, condition: Hidden | None) -> Float[Tensor, "row place head size"]:
        """Queries of nothing, keys and values [row, place, head, size]."""
        condition = x.new_zeros(1, 1, self.adapt.in_features) if condition is None else condition
        scale, shift = self.adapt(F.silu(condition)).chunk(2, -1)
        keys, values = self.kv(self.norm(x).to(x.dtype) * (1 + scale) + shift).unflatten(-1, (-1, self.size)).chunk(2, 2)
        return torch.cat([torch.zeros_like(keys), keys, values], 2)

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """The stream as it is."""
        return x


AnyBlock = Block | ParallelBlock | OnlySeen


def start(blocks: Sequence[AnyBlock | DecoderBlock]) -> None:
    """Linear weights start normal with variance 1 / inputs, those that write into the stream smaller by how many do so in all."""
    steps = [part for block in blocks for part in block.parts]
    for part in steps:
        last = getattr(part, "out", getattr(part, "down", None))
        for linear in (module for module in part.modules() if isinstance(module, nn.Linear)):
            nn.init.normal_(linear.weight, std=(linear.in_features * (len(steps) if linear is last else 1)) ** -0.5)


class Transformer(nn.Module):
    """A stack of blocks under one attention rule. It serves every order and every rule.

    Observation points are modules: hook `trunk.blocks[i].after_attention`, `.after_mlp` or `trunk.embedded`.
    Without `rotary` places differ by what is read of them alone. Weights start as `start` says.
    """

    opens = False
    blocks: Sequence[AnyBlock]

    def __init__(self, blocks: Sequence[AnyBlock], *, norm: nn.Module, rotary: Rotary | None):
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
        turn = None if self.rotary is None else self.rotary(places, working(embeddings))
        return Sight(turn, mask, condition, opened, working(embeddings))

    @property
    def attention(self) -> SelfAttention:
        """That of the first block: all have its shape."""
        attention = self.blocks[0].parts[0]
        assert isinstance(attention, SelfAttention)
        return attention

    @property
    def active_parameters(self) -> int:
        """All of them work on every place."""
        return sum(parameter.numel() for parameter in self.parameters())

    def cache(self, *, rows: int, capacity: int) -> Cache:
        """An empty cache of this trunk's shape, precision and device."""
        attention, like = self.attention, self.attention.qkv.weight
        return Cache(layers=len(self.blocks), heads=attention.split[1], size=attention.size, rows=rows, capacity=capacity, like=like)
