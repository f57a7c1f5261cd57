"""Chameleon: text and pictures as tokens of one vocabulary, in one causal trunk.

Source: Chameleon Team 2024, arXiv:2405.09818, section 2 (QK-norm and z-loss: 2.3). Reads and writes text and pictures.
Differs: FSQ codes of squares instead of a VQGAN's, read also by their digits and places; one stage on one mix; the default
is 3 M parameters, not 7 B, without dropout; pictures and answers weigh more in the loss.
Command: `tessera train chameleon` (default), `--scale 3` for the weights that come with the library; time and scores
stand in results/chameleon.json.
"""

from collections.abc import Sequence

from torch import nn

from tessera.attention import causal
from tessera.codecs import BPE, FSQ, Autoencoder, Shifted
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
    pictures = Autoencoder(quantizer=FSQ(levels), pixels=pixels, stride=stride, channels=channels)
    vocabulary = bpe.size + pictures.quantizer.size
    table, head = nn.Embedding(vocabulary, width), LinearWriter(width, vocabulary)
    words = Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0), z_loss=1e-5)
    text = Port("text", Text, codec=bpe, reader=TokenReader(table), writer=head, order=Next(), law=words)

    digits, positions = Digits(levels, width, first=bpe.size), nn.Embedding(pictures.elements, width)
    squares = TokenReader(table, columns=pictures.columns, digits=digits, positions=positions)
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
    pairs = {Task.DRAW: 0.4, Task.CAPTION: 0.2, Task.QUESTION: 0.3}
    codec = Stage("codec", learner=pictures, train=(pictures,), documents=60_000, mix=pairs, lr=2e-3, weight_decay=0.0)
    joint = Stage(
        "joint",
        train=(trunk, squares, head),
        documents=100_000,
        mix={**pairs, Task.TEXT: 0.1},
        batch=32,
        lr=2e-3,
        weights={"image": 2.0},
        emphasis={Task.QUESTION: 4.0},
    )
    return System("chameleon", trunk=trunk, ports=(text, image), attention=causal, stages=(codec, joint), drop=Absent())
