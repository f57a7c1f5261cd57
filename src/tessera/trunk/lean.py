"""The lean form of a transformer: the same hidden states from fewer operations, for the few places of a pass that writes.

A small trunk on a CPU spends such a pass calling operations, not computing. The plain modules stay the oracle.
"""

from collections.abc import Callable, MutableMapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from tessera.attention import AttentionRule
from tessera.places import Places
from tessera.trunk.base import Hidden, Trunk
from tessera.trunk.cache import Pass
from tessera.trunk.layers import SelfAttention, SwiGLU
from tessera.trunk.rotary import Turn
from tessera.trunk.transformer import Block, PreNorm, Transformer

Flat = Float[Tensor, "place width"]  # the places of all rows, one after another
Norm = Callable[[Tensor], Tensor]
SMALL = 2**20  # numbers of a weight

_kept: MutableMapping[Tensor, tuple[Tensor, Tensor]] = WeakTensorKeyDictionary()


def lean_form(trunk: Trunk) -> Callable[..., Hidden]:
    """What to call instead of this trunk while it writes: its lean form, or itself where it has none."""
    if type(trunk) is Transformer and trunk.rotary is not None and all(map(_usual, trunk.blocks)):
        return Lean(trunk)
    return trunk


def _usual(block: nn.Module) -> bool:
    """Whether it is the block of most language models: RMSNorm before attention and a SwiGLU, without biases or conditions."""
    if type(block) is not Block or not all(type(step) is PreNorm and step.adapt is None for step in block.steps):
        return False
    attention, mlp = block.parts
    if type(attention) is not SelfAttention or type(mlp) is not SwiGLU:
        return False
    linears, norms = (attention.qkv, attention.out, mlp.gate_up, mlp.down), (attention.q_norm, attention.k_norm)
    bare = all(type(one) is nn.Linear and one.bias is None for one in linears)
    return bare and len({(type(norm), getattr(norm, "eps", 0)) for norm in norms}) == 1 and all(map(_scales, norms))


def _scales(norm: nn.Module) -> bool:
    """Whether it is none, or one with all its weights."""
    known = type(norm) in (nn.LayerNorm, nn.RMSNorm)
    return type(norm) is nn.Identity or (known and all(one is not None for one in norm._parameters.values()))


class Lean:
    """A trunk for writing, called as the trunk is: the same numbers, to rounding. It looks at the trunk's weights and copies few.

    The trunk itself passes where that is asked for: under a hook or autocast, with gradients, conditions or in half precision.
    """

    def __init__(self, trunk: Transformer):
        self.trunk, self.blocks, self.norm = trunk, [_Lean(block) for block in trunk.blocks if isinstance(block, Block)], _lean(trunk.norm)
        self.hooks = [hooks for module in trunk.modules() for hooks in (module._forward_hooks, module._forward_pre_hooks)]

    def __call__(self, embeddings: Hidden, condition: Hidden | None, places: Places, rule: AttentionRule, opened: Pass) -> Hidden:
        """Hidden states of the places, which also see what the rows of the cache hold."""
        if self.plain(embeddings, condition):
            return self.trunk(embeddings, condition, places, rule, opened)
        sight = self.trunk.sight(embeddings, None, places, rule, opened)
        assert isinstance(sight.turn, Turn)
        turn, x = Turn(*(part.transpose(1, 2) for part in sight.turn)), embeddings.flatten(0, 1)
        for block in self.blocks:
            x = block(x, turn, sight.mask, opened)
        return self.norm(x).view_as(embeddings)

    def plain(self, embeddings: Hidden, condition: Hidden | None) -> bool:
        """Whether the trunk itself has to pass."""
        half = embeddings.dtype not in (torch.float32, torch.float64)
        if condition is not None or half or torch.is_grad_enabled() or self.trunk.training:
            return True
        return any(self.hooks) or torch.is_autocast_enabled(embeddings.device.type)


class _Lean:
    """One block of it."""

    def __init__(self, block: Block):
        attention, mlp = block.parts
        assert isinstance(attention, SelfAttention) and isinstance(mlp, SwiGLU)
        self.before, self.between = (_lean(step.norm) for step in block.steps)
        self.of_heads, self.activation = _norm_of_heads(attention), mlp.activation
        linears = (attention.qkv, attention.out, mlp.gate_up, mlp.down)
        self.qkv, self.out, self.gate_up, self.down = (side_by_side(linear.weight) for linear in linears)
        self.size, (self.heads, self.kv_heads, _) = attention.size, attention.split

    def __call__(self, x: Flat, turn: Turn, mask: Tensor | None, opened: Pass) -> Flat:
        """The stream behind the block."""
        qkv = (self.before(x) @ self.qkv).view(*turn.cos.shape[:2], -1, self.size)
        qk = qkv[:, :, : self.heads + self.kv_heads]
        normed = self.of_heads(qk)
        torch.addcmul(normed * turn.cos, normed.roll(self.size // 2, -1), turn.sin, out=qk)
        keys, values = opened.extend_with(qkv[:, :, self.heads :])
        q = qkv[:, :, : self.heads].transpose(1, 2)
        seen = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, enable_gqa=self.heads != self.kv_heads)
        x = torch.addmm(x, seen.transpose(1, 2).reshape(len(x), -1), self.out)
        gate, up = (self.between(x) @ self.gate_up).chunk(2, -1)
        return torch.addmm(x, self.activation(gate).mul_(up), self.down)


def side_by_side(weight: Float[Tensor, "feature width"]) -> Float[Tensor, "width feature"]:
    """A weight transposed, and laid out so: a CPU multiplies 16 places by it in about half the time.

    That is a copy, made where the weight is small, and kept for the next time. Whether the weight has changed since is told by its
    product with one vector, whoever changed it and however.
    """
    if weight.numel() > SMALL or not weight.is_cpu:
        return weight.detach().t()
    product = weight.detach() @ torch.linspace(1, 2, weight.shape[1], dtype=weight.dtype)
    kept = _kept.get(weight)
    if kept is None or not torch.equal(kept[0], product):
        kept = _kept[weight] = product, weight.detach().t().contiguous()
    return kept[1]


def _lean(norm: nn.Module) -> Norm:
    """The norm, RMSNorm in five operations."""
    return _RMS(norm.weight, norm.eps) if type(norm) is nn.RMSNorm and _scales(norm) else norm


def _norm_of_heads(attention: SelfAttention) -> Norm:
    """The norms of queries and of keys at once."""
    q, k, (heads, kv_heads, _) = attention.q_norm, attention.k_norm, attention.split
    if isinstance(q, nn.Identity):
        return q

    def both(name: str) -> Tensor:
        """A row for each head."""
        rows = (getattr(norm, name).detach().expand(number, -1) for norm, number in ((q, heads), (k, kv_heads)))
        return torch.cat(list(rows))

    if isinstance(q, nn.RMSNorm):
        return _RMS(both("weight"), q.eps)
    assert isinstance(q, nn.LayerNorm)
    weight, bias, eps = both("weight"), both("bias"), q.eps
    return lambda x: torch.addcmul(bias, F.layer_norm(x, (attention.size,), eps=eps), weight)


class _RMS:
    """RMSNorm, with rows of weights where heads have their own. Without `eps` it is the precision's smallest difference, as in torch."""

    def __init__(self, weight: Tensor, eps: float | None):
        size = weight.shape[-1]
        eps = torch.finfo(weight.dtype).eps if eps is None else eps
        self.scale, self.eps = weight.detach() * size**0.5, weight.new_tensor(size * eps)

    def __call__(self, x: Tensor) -> Tensor:
        """Features of root mean square 1, scaled."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return (x * torch.addcmul(self.eps, length, length).rsqrt_()).mul_(self.scale)
