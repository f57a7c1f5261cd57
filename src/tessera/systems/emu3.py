"""Emu3: next-token prediction is all you need. Text and pictures as tokens of one vocabulary, a token behind every row of a picture.

Source: Wang et al. 2024, arXiv:2409.18869, sections 2.1 to 2.3. Reads and writes text and pictures. Trunk as Llama-2's, with
grouped keys and values and rotary positions of base 1,000,000; losses of pictures weigh half.
Differs: FSQ codes of squares instead of a MoVQGAN's over four frames, read also by their digits and places; no films; table and
head are tied; a marker stands in front of a picture, not its size in words; prompts are left out for guidance, not replaced by
what is not wanted; losses of pictures weigh double here; no dropout; a second stage with more questions; MLPs
of the paper preset are 11,008 wide, not 14,336. Its published weights are another matter: `tessera draw --hub`, docs/hub.md.
Command: `tessera train emu3`.
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
from tessera.readers import Digits, RowReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import LinearWriter

PAPER = {"width": 4096, "depth": 32, "heads": 32, "kv_heads": 8, "levels": (8, 8, 8, 8, 8), "channels": 128, "pixels": 720, "stride": 8}
PRESETS = {"tiny": {"width": 32, "depth": 2, "heads": 2, "kv_heads": 1, "levels": (4, 4), "channels": 16}, "paper": PAPER}


def emu3(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    kv_heads: int = 2,
    levels: Sequence = (4,) * 5,
    channels: int = 64,
    pixels: int = 32,
    stride: int = 8,
) -> System:
    """Build Emu3. `kv_heads` are those of keys and values, which groups of heads share."""
    bpe = BPE()
    quantizer = FSQ(levels)
    pictures, codec = parts.codes(quantizer, channels=channels, pixels=pixels, stride=stride)
    ended = bpe.size + quantizer.size  # the id behind a row, the last of the vocabulary
    table, scale = nn.Embedding(ended + 1, width), width**0.5
    head = LinearWriter(width, ended + 1, tied=table)
    words = Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0))
    text = Port("text", Text, codec=bpe, reader=TokenReader(table, scale=scale), writer=head, order=Next(), law=words)

    digits, positions = Digits(quantizer, width, first=bpe.size), nn.Embedding(pictures.elements, width)
    rows = RowReader(TokenReader(table, scale=scale, digits=digits, positions=positions), columns=pictures.columns, end=ended)
    codes = Categorical(allowed=range(bpe.size, ended), sampling=Sampling(temperature=0.5, guidance=2.0))
    image = Port("image", Image, codec=Shifted(pictures, first=bpe.size), reader=rows, writer=head, order=Next(), law=codes)

    norm = lambda inner: PreNorm(nn.RMSNorm(width), inner)
    blocks = [Block(norm(SelfAttention(width, heads, kv_heads=kv_heads)), norm(SwiGLU(width))) for _ in range(depth)]
    trunk = Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(width // heads, theta=1e6))

    weights, emphasis = {"image": 2.0}, {Task.QUESTION: 4.0}
    train = (trunk, rows)  # the table is in the rows' reader, and the head is the table
    joint = Stage("joint", train=train, documents=30_000, mix=parts.MIX, batch=64, lr=4e-3, decay="constant", weights=weights)
    joint = replace(joint, emphasis=emphasis)
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=60_000, mix=asked, decay="cosine", carry=True)
    return System("emu3", trunk=trunk, ports=(text, image), attention=causal, stages=(codec, joint, tuned), drop=Absent())
