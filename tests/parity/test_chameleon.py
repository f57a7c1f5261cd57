"""Chameleon's trunk from our parts, against logits computed by the published code from the same weights.

The published rotary turns neighbouring features, ours feature i and i + size / 2: the same up to a permutation of the
features of a head, which products of queries and keys do not see.
"""

import pytest
import torch
from parity.fixture import load
from torch import nn

from tessera.attention import causal
from tessera.hub.chameleon import halves, of_meta
from tessera.hub.filling import filled
from tessera.hub.names import Names, Part, Row, row
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, SwinNorm, Transformer

FIXTURE = load("chameleon_vq_decode")
CONFIG = FIXTURE.config
SIZE = CONFIG["dim"] // CONFIG["n_heads"]
HALVES = halves(1, SIZE)  # where features 2j and 2j + 1 go
VQ = ("encoder.*", "decoder.*", "quantize.*", "quant_conv.*", "post_quant_conv.*")
STEPS = {"prenorm": PreNorm, "swin": SwinNorm}


class NormAfterTurn(SelfAttention):
    """A mutation: queries and keys are turned first and normed afterwards."""

    def forward(self, x, sight):
        q, k, v = self.qkv(x).unflatten(-1, (-1, self.size)).transpose(1, 2).split(self.split, 1)
        seen = sight.attend(self.q_norm(sight.turn(q)), self.k_norm(sight.turn(k)), v)
        return self.out(seen.transpose(1, 2).flatten(-2))


def published(order: torch.Tensor) -> Names:
    """The published names; `order` is how the features of queries and keys stand in a head."""
    names = of_meta(CONFIG["n_heads"], CONFIG["n_kv_heads"], SIZE)
    if torch.equal(order, halves(1, SIZE)):
        return names
    every = lambda part: Part(
        part.name, None if part.rows is None else (torch.arange(len(part.rows) // SIZE)[:, None] * SIZE + order).flatten()
    )
    return {ours: Row(tuple(map(every, row(value).parts))) for ours, value in names.items()}


def logits(step=PreNorm, attention=SelfAttention, order=HALVES, *, places) -> torch.Tensor:
    """What the trunk says, made of our parts."""
    width, heads, eps = CONFIG["dim"], CONFIG["n_heads"], CONFIG["norm_eps"]
    blocks = [
        Block(
            step(nn.RMSNorm(width, eps), attention(width, heads, kv_heads=CONFIG["n_kv_heads"], qk_norm=nn.LayerNorm)),
            step(nn.RMSNorm(width, eps), SwiGLU(width, CONFIG["ffn_hidden"])),
        )
        for _ in range(CONFIG["n_layers"])
    ]
    trunk = Transformer(blocks, norm=nn.RMSNorm(width, eps), rotary=Rotary(SIZE, theta=CONFIG["rope_theta"]))
    filled(trunk, published(order), FIXTURE.weights, unread=["tok_embeddings.*", "output.*", *VQ])
    ids = FIXTURE.inputs["token_ids"]
    with torch.no_grad():
        hidden = trunk(FIXTURE.weights["tok_embeddings.weight"][ids][None], None, places(order=list(range(len(ids)))), causal)
        return hidden[0] @ FIXTURE.weights["output.weight"].T


@pytest.mark.parametrize("norms", STEPS)
def test_the_trunk_is_the_published_one(norms, places):
    FIXTURE.check(f"logits_{norms}", logits(STEPS[norms], places=places))


@pytest.mark.parametrize(
    "mutation",
    [
        {"order": torch.arange(SIZE)},  # neighbouring features left where they were
        {"step": SwinNorm},
        {"attention": NormAfterTurn},
    ],
    ids=["rotary layout", "norm placement", "norm after the turn"],
)
def test_a_mutated_trunk_is_not(mutation, places):
    assert not FIXTURE.agrees("logits_prenorm", logits(**mutation, places=places))


def test_swin_norm_is_not_the_other_one(places):
    assert not FIXTURE.agrees("logits_swin", logits(PreNorm, places=places))
