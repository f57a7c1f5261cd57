"""The lean form of a transformer."""

from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tessera.attention import AttentionRule
from tessera.places import Places
from tessera.trunk.base import Hidden, Trunk
from tessera.trunk.cache import Pass
from tessera.trunk.layers import SelfAttention, SwiGLU
from tessera.trunk.lean.common import RMS, Flat, Norm, Plain, lean_norm, scales, side_by_side
from tessera.trunk.lora import bare
from tessera.trunk.rotary import Turn
from tessera.trunk.transformer import Block, PreNorm, Transformer


def usual_transformer(trunk: Trunk) -> TypeGuard[Transformer]:
    """Whether it is that of most language models: rotary, RMSNorm before attention and a SwiGLU, without biases or conditions."""
    return type(trunk) is Transformer and trunk.rotary is not None and all(map(_usual, trunk.blocks))


def _usual(block: nn.Module) -> bool:
    if type(block) is not Block or not all(type(step) is PreNorm and step.adapt is None for step in block.steps):
        return False
    attention, mlp = block.parts
    if type(attention) is not SelfAttention or type(mlp) is not SwiGLU:
        return False
    linears, norms = (attention.qkv, attention.out, mlp.gate_up, mlp.down), (attention.q_norm, attention.k_norm)
    alike = len({(type(norm), getattr(norm, "eps", 0)) for norm in norms}) == 1
    return alike and all(map(bare, linears)) and all(map(scales, norms))


class LeanTransformer:
    """A transformer for writing, called as the trunk is: the same numbers, to rounding. It looks at the trunk's weights and copies few.

    The trunk itself passes where that is asked for (`Plain`).
    """

    def __init__(self, trunk: Transformer):
        self.trunk, self.plain, self.norm = trunk, Plain(trunk), lean_norm(trunk.norm)
        self.blocks = [_LeanBlock(block) for block in trunk.blocks if isinstance(block, Block)]

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


class _LeanBlock:
    """One block of it."""

    def __init__(self, block: Block):
        attention, mlp = block.parts
        assert isinstance(attention, SelfAttention) and isinstance(mlp, SwiGLU)
        self.before, self.between = (lean_norm(step.norm) for step in block.steps)
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
        return RMS(both("weight"), q.eps)
    assert isinstance(q, nn.LayerNorm)
    weight, bias, eps = both("weight"), both("bias"), q.eps
    return lambda x: torch.addcmul(bias, F.layer_norm(x, (attention.size,), eps=eps), weight)
