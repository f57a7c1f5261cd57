"""Janus: an eye for the pictures it looks at and codes for those it draws, in one causal trunk.

Source: Wu et al. 2024, arXiv:2410.13848, section 3. Text is read and written. Pictures are written as codes, with a table, an
adaptor and a head of their own, and read by an eye and its adaptor: given ones, and those just written. All look back only.
Differs: codes are Chameleon's (FSQ, read by digits and places too), so that the two compare their ports, and their table is
as wide as the trunk; table and head of text are tied; a stage of text stands for the pretrained language model; prompts are
left out for guidance, not padded; queries and keys are normed; mixes are Chameleon's, losses of pictures weigh double; the eye, which
learned to match captions and so little of places, opens a stage earlier.
Command: `tessera train janus`.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tessera import parts
from tessera.attention import causal
from tessera.codecs import BPE, FSQ, Patches
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.perceptron import perceptron
from tessera.ports import Port, Takes
from tessera.readers import Digits, EyeReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import LinearWriter, MLPWriter

PAPER = {"width": 2048, "depth": 24, "heads": 16, "levels": (8, 8, 8, 8, 4), "channels": 128, "pixels": 384, "patch": 16}
TINY = {"width": 32, "depth": 2, "heads": 2, "levels": (4, 4), "channels": 16}
PRESETS = {"tiny": {**TINY, "look": (32, 1, 2)}, "paper": {**PAPER, "look": (1024, 24, 16)}}


def janus(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    levels: Sequence = (4,) * 5,
    channels: int = 64,
    pixels: int = 32,
    patch: int = 8,
    look: Sequence = (128, 3, 4),
) -> System:
    """Build Janus. `patch` is the side of a square, for codes and eye; `look` is the width, the depth and the heads of the eye."""
    bpe = BPE()
    table = nn.Embedding(bpe.size, width)
    words, head = TokenReader(table, scale=width**0.5), LinearWriter(width, bpe.size, tied=table)
    law = Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0))
    text = Port("text", Text, codec=bpe, reader=words, writer=head, order=Next(), law=law)

    seen, learn_eye = parts.eye(pixels=pixels, patch=patch, width=look[0], depth=look[1], heads=look[2])
    reader = EyeReader(seen, perceptron(seen.width, width, width))
    given = Port("eye", Image, codec=Patches(pixels=pixels, patch=patch), reader=reader, takes=Takes.AFTERWARDS)

    quantizer = FSQ(levels)
    pictures, learn_codes = parts.codes(quantizer, channels=channels, pixels=pixels, stride=patch)
    rows, digits, positions = nn.Embedding(quantizer.size, width), Digits(quantizer, width), nn.Embedding(pictures.elements, width)
    adaptor, drawer = perceptron(width, width, width), MLPWriter(width, width, quantizer.size)
    squares = TokenReader(rows, columns=pictures.columns, digits=digits, adaptor=adaptor, positions=positions)
    codes = Categorical(allowed=range(quantizer.size), sampling=Sampling(temperature=0.5, guidance=2.0))
    image = Port("image", Image, codec=pictures, reader=squares, writer=drawer, order=Next(), law=codes, takes=Takes.LEARNED)

    norm = lambda inner: PreNorm(nn.RMSNorm(width), inner)
    blocks = [Block(norm(SelfAttention(width, heads, qk_norm=nn.RMSNorm)), norm(SwiGLU(width))) for _ in range(depth)]
    trunk = Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(width // heads))

    told = {Task.TEXT: 0.9, Task.CAPTION: 0.05, Task.QUESTION: 0.05}  # data of one's own may have no text alone
    language = Stage("language", train=(trunk, words), documents=4_000, mix=told, batch=64, lr=4e-3)
    pairs, weights, emphasis = {Task.DRAW: 0.5, Task.CAPTION: 0.4, Task.QUESTION: 0.1}, {"image": 2.0}, {Task.QUESTION: 4.0}
    adapt = replace(language, name="adaptors", train=(squares, drawer, reader.projector), mix=pairs, weights=weights)
    opened = (trunk, words, seen, *adapt.train)
    unified = replace(adapt, name="unified", train=opened, documents=32_000, mix=parts.MIX, decay="constant", emphasis=emphasis)
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(unified, name="tuned", documents=50_000, mix=asked, decay="cosine", carry=True)
    stages = (learn_eye, learn_codes, language, adapt, unified, tuned)
    return System("janus", trunk=trunk, ports=(text, image, given), attention=causal, stages=stages, drop=Absent())
