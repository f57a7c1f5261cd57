"""Show-o: text one token after another, pictures in any order in a few passes, in one trunk.

Source: Xie et al. 2024, arXiv:2408.12528, and its published code. Text sees what came before; a picture also sees itself. Its
codes are learned as in MaskGIT (arXiv:2202.04200), from those that are not hidden, and written surest first. Reads and writes
text and pictures, parts of pictures too (`keep`): given ones are read as clean codes.
Differs: all but the order, the rule, the rate and the weight of codes (double) is Chameleon's here, to compare them: FSQ codes of squares
instead of MAGVIT-v2's, read also by their digits and places; blocks whose MLP comes after attention (the paper preset has Phi's, half of
whose features turn); table and head tied; its stages and mix, from scratch unless from a language model (`--init-trunk`). Its 16 codes
are so few that each has a pass. The mask is a vector, not an id; there are no task tokens; the markers around a picture do not see it.
Command: `tessera train show_o`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import nn

from tessera import parts
from tessera.attention import within
from tessera.codecs import FSQ, Shifted
from tessera.document import Image, Task
from tessera.drops import Absent
from tessera.laws import Categorical, Sampling
from tessera.orders import Confident, Masked
from tessera.ports import Port
from tessera.readers import Digits, HiddenReader, TokenReader
from tessera.speaker import Speaker, speaker, transformer
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import MLP, ParallelBlock, Rotary, SelfAttention, Transformer

PHI = {"recipe": "tessera.systems.show_o:phi", "arguments": {"width": 2048, "depth": 24, "heads": 32}}
PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "levels": (4, 4), "channels": 16},
    "paper": {"levels": (2,) * 13, "channels": 128, "pixels": 256, "stride": 16, "language": PHI},
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
    language: Speaker | None = None,
) -> System:
    """Build Show-o. The default trains on two CPU cores in minutes; a `stride` of 4 gives 64 codes instead of 16."""
    quantizer = FSQ(levels)
    alone = language or speaker(width, partial(transformer, width, depth, heads, qk_norm=nn.LayerNorm))
    pictures, codec = parts.codes(quantizer, channels=channels, pixels=pixels, stride=stride)
    speaks, first, width = alone.extended(quantizer.size), alone.size, alone.width
    text, words = speaks.port(), speaks.reader

    digits = Digits(quantizer, width, first=first)
    known = TokenReader(words.table, scale=words.scale, columns=pictures.columns, digits=digits)
    squares = HiddenReader(known, width, positions=nn.Embedding(pictures.elements, width))
    order = Masked(decide=Confident(compounds=True))
    codes = Categorical(allowed=range(first, speaks.size), sampling=Sampling(temperature=0.5, guidance=2.0, steps=16))
    image = Port("image", Image, codec=Shifted(pictures, first=first), reader=squares, writer=speaks.writer, order=order, law=codes)

    trunk, weights, emphasis = speaks.tower(), {"image": 2.0}, {Task.QUESTION: 4.0}
    train = (trunk, squares, *speaks.parts[1:])  # the table is in the squares' reader, and the head may be the table
    joint = Stage("joint", train, 30_000, parts.MIX, batch=64, lr=4e-3, decay="constant", weights=weights, emphasis=emphasis)
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=60_000, mix=asked, decay="cosine", carry=True)
    stages, rule = (codec, joint, tuned), speaks.looks | within(image)
    return System("show_o", trunk=trunk, ports=(text, image), attention=rule, stages=stages, drop=Absent())


def phi(width: int, depth: int, heads: int) -> Speaker:
    """A language model in Phi's shape: attention and MLP side by side, half of the features turn."""
    attention = lambda: SelfAttention(width, heads, qk_norm=nn.LayerNorm, bias=True)
    block = lambda: ParallelBlock(nn.LayerNorm(width), attention(), MLP(width, activation=nn.GELU("tanh")))
    rotary = partial(Rotary, width // heads, portion=0.5)
    return speaker(width, lambda: Transformer([block() for _ in range(depth)], norm=nn.LayerNorm(width), rotary=rotary()))
