"""Chameleon: text and pictures as tokens of one vocabulary, in one causal trunk.

Source: Chameleon Team 2024, arXiv:2405.09818, section 2 (QK-norm and z-loss: 2.3). Reads and writes text and pictures.
Differs: FSQ codes of squares instead of a VQGAN's, read also by their digits and places; table and head are tied; a second
stage with more questions stands for the paper's tuning; the default is 3.6 M parameters, not 7 B; no dropout; answers weigh
more in the loss.
Command: `tessera train chameleon`; the weights of level easy that come with the library learned as all do in the fair table (`tessera
compare chameleon`) and then edits and stories too (docs/systems/chameleon.md). Time and scores stand in results/chameleon.json.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tessera import parts
from tessera.attention import causal
from tessera.codecs import BPE, FSQ, Shifted
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.ports import Port
from tessera.readers import Digits, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import LinearWriter

PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "levels": (4, 4), "channels": 16},
    "paper": {"width": 4096, "depth": 32, "heads": 32, "levels": (8, 8, 8, 4, 4), "channels": 128, "pixels": 512, "stride": 16},
}


def chameleon(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    levels: Sequence = (4,) * 5,
    channels: int = 64,
    pixels: int = 32,
    stride: int = 8,
    tokenizer: str | None = None,
) -> System:
    """Build Chameleon. The default trains on two CPU cores in minutes; the paper's own BPE is to be named as `tokenizer`."""
    bpe = BPE(tokenizer)
    quantizer = FSQ(levels)
    pictures, codec = parts.codes(quantizer, channels=channels, pixels=pixels, stride=stride)
    vocabulary = bpe.size + quantizer.size
    table, scale = nn.Embedding(vocabulary, width), width**0.5
    head = LinearWriter(width, vocabulary, tied=table)
    words = Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0), z_loss=1e-5)
    text = Port("text", Text, codec=bpe, reader=TokenReader(table, scale=scale), writer=head, order=Next(), law=words)

    digits, positions = Digits(quantizer, width, first=bpe.size), nn.Embedding(pictures.elements, width)
    squares = TokenReader(table, scale=scale, columns=pictures.columns, digits=digits, positions=positions)
    codes = Categorical(allowed=range(bpe.size, vocabulary), sampling=Sampling(temperature=0.5, guidance=2.0), z_loss=1e-5)
    shifted = Shifted(pictures, first=bpe.size)
    image = Port("image", Image, codec=shifted, reader=squares, writer=head, order=Next(), law=codes)

    trunk = Transformer(
        [
            Block(PreNorm(nn.RMSNorm(width), SelfAttention(width, heads, qk_norm=nn.LayerNorm)), PreNorm(nn.RMSNorm(width), SwiGLU(width)))
            for _ in range(depth)
        ],
        norm=nn.RMSNorm(width),
        rotary=Rotary(width // heads),
    )
    train, emphasis = (trunk, squares), {Task.QUESTION: 4.0}  # the table is in the squares' reader, and the head is the table
    joint = Stage("joint", train=train, documents=30_000, mix=parts.MIX, batch=64, lr=8e-3, decay="constant", emphasis=emphasis)
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=60_000, mix=asked, decay="cosine", carry=True)
    return System("chameleon", trunk=trunk, ports=(text, image), attention=causal, stages=(codec, joint, tuned), drop=Absent())
