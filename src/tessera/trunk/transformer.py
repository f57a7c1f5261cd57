"""The transformer: blocks composed from norm, attention and MLP objects, in a stack with named observation points."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tessera.attention import AttentionRule
from tessera.places import Places
from tessera.trunk.base import Hidden, Served
from tessera.trunk.cache import Cache, Pass
from tessera.trunk.layers import MLP, CrossAttention, SelfAttention, Sight, SwiGLU, working
from tessera.trunk.rotary import Rotary


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
    `rest` is how much of a gated step is added where the condition says nothing of it: 0 makes it the published one.
    """

    inner: Any  # SelfAttention, or an MLP

    def __init__(
        self,
        norm: nn.Module,
        inner: nn.Module,
        *,
        dropout: float = 0.0,
        condition: int | None = None,
        gated: bool = False,
        rest: float = 1.0,
    ):
        super().__init__()
        self.norm, self.inner, self.dropout, self.gated = norm, inner, nn.Dropout(dropout), gated
        self.rest = rest if gated else None
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
        return x + (step if said is None or said.gate is None or self.rest is None else (self.rest + said.gate) * step)

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


class ScaledNorm(nn.Module):
    """A residual step that norms what goes in and scales what comes out: x + scale f(norm x), a number for each feature, small at first.

    DINOv2's, after CaiT (Touvron et al. 2021, arXiv:2103.17239).
    """

    inner: Any  # SelfAttention, or an MLP

    def __init__(self, norm: nn.Module, inner: nn.Module, width: int, *, start: float = 1e-5):
        super().__init__()
        self.norm, self.inner, self.scale = norm, inner, nn.Parameter(torch.full((width,), start))

    def forward(self, x: Hidden, sight: Sight) -> Hidden:
        """The stream with the step added."""
        return x + self.scale * self.inner(self.norm(x).to(x.dtype), sight)


Step = PreNorm | SwinNorm | ScaledNorm


class Block(nn.Module):
    """Attention, then an MLP, each a residual step (`PreNorm`, `SwinNorm`, `ScaledNorm`), with an observation point behind each."""

    def __init__(self, attention: Step, mlp: Step):
        super().__init__()
        self.attention, self.mlp = attention, mlp
        self.after_attention, self.after_mlp = nn.Identity(), nn.Identity()

    @property
    def steps(self) -> tuple[Step, Step]:
        """Both residual steps."""
        return self.attention, self.mlp

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

    def __init__(self, attention: Step, cross: Step, mlp: Step):
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

    halved = False
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
