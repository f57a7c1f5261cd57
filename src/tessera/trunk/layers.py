"""Layers: what blocks are made of, attention and MLPs, and what the places of one pass see."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tessera.trunk.base import Hidden
from tessera.trunk.cache import Pass
from tessera.trunk.rotary import Turn


def normed(norm: nn.Module, heads: Tensor) -> Tensor:
    """Queries or keys, normed in the precision of the norm's weights, which under autocast is more than their own."""
    weight: Tensor = getattr(norm, "weight", heads)
    return norm(heads.to(weight.dtype)).to(heads.dtype)


def working(x: Tensor) -> torch.dtype:
    """The precision that matrices are multiplied in."""
    device = x.device.type
    casts = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if casts else x.dtype


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
        if q.is_meta:  # where nothing is computed, fused kernels are not taken by themselves, and scores would be kept
            return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, attn_mask=mask)[0]
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
                f"SelfAttention: width {width}, {heads} heads, {kv_heads} kv_heads, size {size}; the width must be an even multiple of "
                "heads, or the size even (rotary positions turn pairs), and heads a multiple of kv_heads; change one of them"
            )
        self.size = size or width // heads
        self.split = [heads, kv_heads, kv_heads]
        self.qkv = nn.Linear(width, sum(self.split) * self.size, bias=bias)
        self.out = nn.Linear(heads * self.size, width, bias=bias if out_bias is None else out_bias)
        of_q, of_k = qk_norm if isinstance(qk_norm, tuple) else (qk_norm, qk_norm)
        self.q_norm, self.k_norm = (norm(self.size) if norm else nn.Identity() for norm in (of_q, of_k))

    @property
    def joined(self) -> dict[str, list[int]]:
        """Which layer is several in one, and how many features each of them says."""
        return {"qkv": [heads * self.size for heads in self.split]}

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """Every place's mixture of what it sees."""
        q, k, v = self.qkv(x).unflatten(-1, (sum(self.split), self.size)).transpose(1, 2).split_with_sizes(self.split, 1)
        q, k = normed(self.q_norm, q), normed(self.k_norm, k)
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
        q, k = normed(self.q_norm, q), normed(self.k_norm, k)
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

    @property
    def joined(self) -> dict[str, list[int]]:
        """Which layer is several in one, and how many features each of them says."""
        return {"gate_up": [self.down.in_features] * 2}

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
