"""JetFormer: pictures as soft tokens of an invertible flow that learns with the trunk, from raw pixels, in one stage.

Source: Tschannen et al. 2024, arXiv:2411.19722, section 3; the flow is Jet (arXiv:2412.15129). Reads and writes text and
pictures; both losses are likelihoods. Features of the flow that are no token are noise, and pixels are learned under noise
that fades. A picture that is read passes the flow without noise and without gradient.
Differs: guidance is trained without the prompt, not with a blank one; no noise on soft tokens, no dropout; queries and keys are
normed; soft tokens have learned positions; fewer couplings of wider reach; the flow begins with cosines in place of pixels, the
coarse ones kept; noise fades from 32, not 64; text weighs as much as pictures do, answers more; it is drawn cooler (temperature .3 for
components and values, not 1 and about .95), which follows prompts better.
Command: `tessera train jetformer`. Time and scores stand in results/jetformer.json.
"""

from collections.abc import Sequence
from functools import partial
from math import log

import torch.nn.functional as F
from torch import nn

from tessera import parts
from tessera.attention import causal
from tessera.codecs import BPE, Couplings, NormalizingFlow, Settled, cosines
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Mixture, Sampling
from tessera.orders import Next
from tessera.ports import Port, Takes
from tessera.readers import LinearReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, OffsetRMSNorm, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import LinearWriter

PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "pixels": 8, "patch": 4, "mixture": (3, 6), "flow": (3, 16, 1)},
    "paper": {"width": 1536, "depth": 48, "heads": 16, "pixels": 256, "patch": 16, "mixture": (1024, 128), "flow": (32, 512, 6)},
}


def jetformer(
    *,
    width: int = 192,
    depth: int = 4,
    heads: int = 6,
    pixels: int = 32,
    patch: int = 8,
    mixture: Sequence = (16, 64),
    flow: Sequence = (9, 96, 1),
    tokenizer: str | None = None,
) -> System:
    """Build JetFormer: `mixture` are components and features of a soft token, `flow` couplings, their width and their blocks."""
    bpe, columns, features = BPE(tokenizer), pixels // patch, 3 * patch**2
    components, kept = mixture
    couplings = Couplings(columns=columns, features=features, kinds=("channels",) * flow[0], width=flow[1], blocks=flow[2])
    soft = NormalizingFlow(couplings, pixels=pixels, patch=patch, kept=kept, noise=(32.0, 3.0), basis=cosines(patch), spread=4.0)

    words = Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0))
    reader, head = TokenReader(nn.Embedding(bpe.size, width)), LinearWriter(width, bpe.size, bias=True)
    text = Port("text", Text, codec=bpe, reader=reader, writer=head, order=Next(), law=words)

    tokens = LinearReader(kept, width, columns=columns, positions=nn.Embedding(columns**2, width))
    law = Mixture(components=components, features=kept, sampling=Sampling(temperature=0.3, guidance=4.0))
    out = LinearWriter(width, law.parameters, bias=True)
    image = Port("image", Image, codec=soft, reader=tokens, writer=out, order=Next(), law=law, takes=Takes.LEARNED)
    seen = Port("seen", Image, codec=Settled(soft), reader=tokens, takes=Takes.GIVEN)

    gated = partial(SwiGLU, width, 4 * width, activation=partial(F.gelu, approximate="tanh"))
    step = lambda inner: PreNorm(OffsetRMSNorm(width), inner)
    blocks = [Block(step(SelfAttention(width, heads, kv_heads=1, qk_norm=OffsetRMSNorm)), step(gated())) for _ in range(depth)]
    trunk = Transformer(blocks, norm=OffsetRMSNorm(width), rotary=Rotary(width // heads))

    bits = 1 / (features * log(2))  # of a picture's loss, in nats a square: bits a value
    train, weights = (trunk, soft, reader, head, tokens, out), {"image": bits}
    joint = Stage("joint", train=train, documents=90_000, mix=parts.MIX, batch=64, lr=4e-3, weights=weights, emphasis={Task.QUESTION: 4.0})
    return System("jetformer", trunk=trunk, ports=(text, image, seen), attention=causal, stages=(joint,), drop=Absent())
