"""MetaMorph: visual instruction tuning that also predicts. A language model reads what an eye sees, and says what it would see next.

Source: Tong et al. 2024, arXiv:2412.14164, section 2. Reads and writes text and pictures. Pictures are features of a frozen eye
of unit length, read through an MLP and regressed one after another by a head of three linear layers, in cosine distance; a
decoder, trained apart on the eye's features, paints pictures by them.
Differs: the decoder is a small flow on pixels, not a tuned Stable Diffusion; the eye learned on the world; its elements are
resampled in the paper preset only; features are read with their positions too; a stage of text stands for the pretrained
language model; prompts are left out for guidance; mixes and weights are Chameleon's.
Command: `tessera train metamorph`.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tessera import parts
from tessera.attention import causal
from tessera.codecs import BPE
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Regression, Sampling, cosine_distance
from tessera.orders import Next
from tessera.perceptron import perceptron
from tessera.ports import Port
from tessera.readers import FeatureReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import LinearWriter, MLPWriter

PAPER = {"width": 4096, "depth": 32, "heads": 32, "channels": 256, "pixels": 378, "patch": 14, "columns": 8}
PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "channels": 16, "look": (32, 1, 2)},
    "paper": {**PAPER, "look": (1152, 27, 16)},
}


def metamorph(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    channels: int = 64,
    pixels: int = 32,
    patch: int = 8,
    columns: int = 0,
    look: Sequence = (128, 3, 4),
) -> System:
    """Build MetaMorph. `look` is the width, the depth and the heads of the eye, `columns` the grid its features are resampled to."""
    bpe = BPE()
    table = nn.Embedding(bpe.size, width)
    words, head = TokenReader(table, scale=width**0.5), LinearWriter(width, bpe.size, tied=table)
    law = Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0))
    text = Port("text", Text, codec=bpe, reader=words, writer=head, order=Next(), law=law)

    seen, learn_eye = parts.eye(pixels=pixels, patch=patch, width=look[0], depth=look[1], heads=look[2])
    codec, learn_painter = parts.features(seen, columns=columns, channels=channels)
    positions = nn.Embedding(codec.elements, width)
    squares = FeatureReader(perceptron(seen.width, width, width), columns=codec.columns, positions=positions)
    drawer = MLPWriter(width, width, width, seen.width)
    image = Port("image", Image, codec=codec, reader=squares, writer=drawer, order=Next(), law=Regression(cosine_distance, unit=True))

    norm = lambda inner: PreNorm(nn.RMSNorm(width), inner)
    blocks = [Block(norm(SelfAttention(width, heads)), norm(SwiGLU(width))) for _ in range(depth)]
    trunk = Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(width // heads))

    told = Stage("language", train=(trunk, words), documents=4_000, mix={Task.TEXT: 1.0}, batch=64, lr=4e-3)
    pairs, weights, emphasis = {Task.DRAW: 0.5, Task.CAPTION: 0.5}, {"image": 8.0}, {Task.QUESTION: 4.0}
    adapt = replace(told, name="adapters", train=(squares, drawer), mix=pairs, weights=weights)
    opened = (trunk, words, squares, drawer)
    joint = replace(adapt, name="joint", train=opened, documents=32_000, mix=parts.MIX, decay="constant", emphasis=emphasis)
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=50_000, mix=asked, decay="cosine", carry=True)
    stages = (learn_eye, learn_painter, told, adapt, joint, tuned)
    return System("metamorph", trunk=trunk, ports=(text, image), attention=causal, stages=stages, drop=Absent())
