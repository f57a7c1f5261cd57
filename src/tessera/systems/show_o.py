"""Show-o: text one token after another, pictures in any order in a few passes, in one trunk.

Source: Xie et al. 2024, arXiv:2408.12528, and its published code. Text sees what came before; a picture also sees itself. Its
codes are learned as in MaskGIT (arXiv:2202.04200), from those that are not hidden, and written surest first. Reads and writes
text and pictures, parts of pictures too (`keep`): given ones are read as clean codes.
Differs: all but the order and the rule is Chameleon's here, so that the two can be compared: FSQ codes of squares instead of
MAGVIT-v2's, read also by their digits and places; blocks whose MLP comes after attention (`parallel` gives Phi's, half of
whose features turn); table and head tied; its stages and mix, from scratch instead of from a language model. The mask is a
vector of its own instead of an id; there are no task tokens; the markers around a picture do not see it.
Command: `tessera train show_o`.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tessera import parts
from tessera.attention import causal, within
from tessera.codecs import BPE, FSQ, Shifted
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Sampling
from tessera.orders import Masked, Next
from tessera.ports import Port
from tessera.readers import Digits, HiddenReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import MLP, Block, ParallelBlock, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import LinearWriter

PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "levels": (4, 4), "channels": 16},
    "paper": {"width": 2048, "depth": 24, "heads": 32, "levels": (2,) * 13, "channels": 128, "pixels": 256, "stride": 16, "parallel": True},
}


def show_o(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    levels: Sequence = (4,) * 5,
    channels: int = 64,
    pixels: int = 32,
    stride: int = 8,
    parallel: bool = False,
) -> System:
    """Build Show-o. The default trains on two CPU cores in minutes; a `stride` of 4 gives 64 codes instead of 16."""
    bpe, quantizer = BPE(), FSQ(levels)
    pictures, codec = parts.codes(quantizer, channels=channels, pixels=pixels, stride=stride)
    vocabulary = bpe.size + quantizer.size
    table, scale = nn.Embedding(vocabulary, width), width**0.5
    head = LinearWriter(width, vocabulary, tied=table)
    words = Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0))
    text = Port("text", Text, codec=bpe, reader=TokenReader(table, scale=scale), writer=head, order=Next(), law=words)

    known = TokenReader(table, scale=scale, columns=pictures.columns, digits=Digits(quantizer, width, first=bpe.size))
    squares = HiddenReader(known, width, positions=nn.Embedding(pictures.elements, width))
    codes = Categorical(allowed=range(bpe.size, vocabulary), sampling=Sampling(temperature=0.5, guidance=2.0, steps=8))
    shifted = Shifted(pictures, first=bpe.size)
    image = Port("image", Image, codec=shifted, reader=squares, writer=head, order=Masked(compounds=True), law=codes)

    def block() -> Block | ParallelBlock:
        attention = SelfAttention(width, heads, qk_norm=nn.LayerNorm, bias=parallel)
        if parallel:
            return ParallelBlock(nn.LayerNorm(width), attention, MLP(width, activation=nn.GELU("tanh")))
        return Block(PreNorm(nn.RMSNorm(width), attention), PreNorm(nn.RMSNorm(width), SwiGLU(width)))

    norm, rotary = (nn.LayerNorm if parallel else nn.RMSNorm)(width), Rotary(width // heads, portion=0.5 if parallel else 1.0)
    trunk = Transformer([block() for _ in range(depth)], norm=norm, rotary=rotary)
    weights, emphasis = {"image": 2.0}, {Task.QUESTION: 4.0}
    train = (trunk, squares)  # the table is in the squares' reader, and the head is the table
    joint = Stage(
        "joint", train=train, documents=30_000, mix=parts.MIX, batch=64, lr=4e-3, decay="constant", weights=weights, emphasis=emphasis
    )
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=60_000, mix=asked, decay="cosine", carry=True)
    return System("show_o", trunk=trunk, ports=(text, image), attention=causal | within(image), stages=(codec, joint, tuned), drop=Absent())
