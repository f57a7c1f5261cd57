"""Emu: pictures as a causal row of embeddings; a language model classifies the next token or regresses the next embedding.

Source: Sun et al. 2023, arXiv:2307.05222, section 2. Reads and writes text and pictures. A causal former, whose queries see each
other causally and all that a frozen eye saw, makes a row of each picture; rows are read and regressed in squared error by a
linear layer each; a decoder paints pictures by them.
Differs: the former learns first, in a stage of its own, by having pictures painted from its rows, and then stands: beside its own
target it would make all rows alike; the eye, SigLIP's in shape, stays as it learned on the world; the decoder is a small flow on
pixels, not a tuned Stable Diffusion; no video; rows are read with their positions; queries and keys are normed; prompts are left out
for guidance; mixes are Chameleon's, losses of rows weigh fourfold.
Command: `tessera train emu`.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tessera import parts
from tessera.attention import causal
from tessera.codecs import BPE, CausalFormer
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Regression, Sampling, squared_error
from tessera.orders import Next
from tessera.ports import Port
from tessera.readers import FeatureReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import LinearWriter

PAPER = {"width": 5120, "depth": 40, "heads": 40, "channels": 256, "pixels": 224, "patch": 14, "row": (32, 5120)}
PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "channels": 16, "look": (32, 1, 2), "row": (4, 16)},
    "paper": {**PAPER, "look": (1408, 40, 16)},
}


def emu(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    channels: int = 64,
    pixels: int = 32,
    patch: int = 8,
    look: Sequence = (128, 3, 4),
    row: Sequence = (8, 128),
) -> System:
    """Build Emu. `look` is the width, the depth and the heads of the eye; `row` is how many embeddings a picture is, and their size."""
    bpe, (elements, features) = BPE(), row
    table = nn.Embedding(bpe.size, width)
    words, head = TokenReader(table, scale=width**0.5), LinearWriter(width, bpe.size, tied=table)
    law = Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0))
    text = Port("text", Text, codec=bpe, reader=words, writer=head, order=Next(), law=law)

    seen, learn_eye = parts.eye(pixels=pixels, patch=patch, width=look[0], depth=look[1], heads=look[2])
    sizes = {"width": seen.width, "heads": look[2]}
    former = CausalFormer(seen=seen.width, squares=seen.elements, elements=elements, features=features, **sizes)
    codec, learn_former, learn_painter = parts.row(seen, former, channels=channels)
    rows = FeatureReader(nn.Linear(features, width), positions=nn.Embedding(elements, width))
    drawer = LinearWriter(width, features, bias=True)
    image = Port("image", Image, codec=codec, reader=rows, writer=drawer, order=Next(), law=Regression(squared_error))

    norm = lambda inner: PreNorm(nn.RMSNorm(width), inner)
    blocks = [Block(norm(SelfAttention(width, heads, qk_norm=nn.RMSNorm)), norm(SwiGLU(width))) for _ in range(depth)]
    trunk = Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(width // heads))

    weights, emphasis = {"image": 4.0}, {Task.QUESTION: 4.0}
    train, documents = (trunk, words, rows, drawer), 30_000
    joint = Stage("joint", train=train, documents=documents, mix=parts.MIX, batch=64, lr=4e-3, weights=weights, emphasis=emphasis)
    joint = replace(joint, decay="constant")
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=60_000, mix=asked, decay="cosine", carry=True)
    stages = (learn_eye, learn_former, learn_painter, joint, tuned)
    return System("emu", trunk=trunk, ports=(text, image), attention=causal, stages=stages, drop=Absent())
