"""Unified-IO 2: an encoder for all that is given, a decoder for all that is written, words and pictures alike.

Source: Lu et al. 2023, arXiv:2312.17172, section 3. Reads and writes text and pictures. Given pictures pass a frozen eye and a linear
layer; those that are written are codes, whose table is also their head. Queries and keys are normed; places of pictures turn by row and
column. First it learns from a mixture of denoisers, then, and the eye too, from prompts and questions as they are asked.
Differs: the eye is SigLIP's in shape and learned on the world, and codes are Chameleon's (FSQ, read by digits and places too);
modalities have no vectors of their own; the decoder has neither sparse patterns nor dynamic masking. No sound, boxes, actions, and no
history of pictures, so no perceiver, the one part with scaled cosine attention. What was written is read on, causally, by the decoder;
a question behind an answer is encoded when it comes. Losses of pictures weigh double.
Command: `tessera train unified_io_2`.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tessera import parts
from tessera.attention import apart, causal, prefix
from tessera.codecs import BPE, FSQ, Patches
from tessera.data.denoisers import Denoisers
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.ports import Port, Takes
from tessera.readers import Digits, EyeReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, CrossAttention, DecoderBlock, EncoderDecoder, GridRotary, OffsetRMSNorm, PreNorm, SelfAttention, SwiGLU
from tessera.writers import LinearWriter

PAPER = {"width": 2048, "depth": 24, "heads": 16, "levels": (8, 8, 8, 8, 4), "channels": 128, "pixels": 256, "patch": 8}
TINY = {"width": 32, "depth": 2, "heads": 2, "levels": (4, 4), "channels": 16}
PRESETS = {"tiny": {**TINY, "look": (32, 1, 2)}, "paper": {**PAPER, "look": (768, 12, 12)}}


def unified_io_2(
    *,
    width: int = 192,
    depth: int = 4,
    heads: int = 6,
    levels: Sequence = (4,) * 5,
    channels: int = 64,
    pixels: int = 32,
    patch: int = 8,
    look: Sequence = (128, 3, 4),
) -> System:
    """Build Unified-IO 2. `depth` is that of the encoder, and of the decoder; `patch` and `look` are as Janus'."""
    bpe = BPE()
    words, law = TokenReader(nn.Embedding(bpe.size, width), scale=width**0.5), Categorical(allowed=bpe.writable, sampling=Sampling(0.0))
    text = Port("text", Text, codec=bpe, reader=words, writer=LinearWriter(width, bpe.size, tied=words.table), order=Next(), law=law)
    seen, learn_eye = parts.eye(pixels=pixels, patch=patch, width=look[0], depth=look[1], heads=look[2])
    sees = EyeReader(seen, nn.Linear(seen.width, width))
    given = Port("eye", Image, codec=Patches(pixels=pixels, patch=patch), reader=sees, takes=Takes.GIVEN)

    quantizer = FSQ(levels)
    pictures, learn_codes = parts.codes(quantizer, channels=channels, pixels=pixels, stride=patch)
    rows, digits, positions = nn.Embedding(quantizer.size, width), Digits(quantizer, width), nn.Embedding(pictures.elements, width)
    squares = TokenReader(rows, scale=width**0.5, columns=pictures.columns, digits=digits, positions=positions)
    codes = Categorical(allowed=range(quantizer.size), sampling=Sampling(temperature=0.5, guidance=2.0))
    drawer = LinearWriter(width, quantizer.size, tied=rows)
    image = Port("image", Image, codec=pictures, reader=squares, writer=drawer, order=Next(), law=codes, takes=Takes.LEARNED)

    norm = lambda inner: PreNorm(nn.RMSNorm(width), inner)
    look_at = lambda attention: norm(attention(width, heads, qk_norm=OffsetRMSNorm))
    encoder = [Block(look_at(SelfAttention), norm(SwiGLU(width))) for _ in range(depth)]
    decoder = [DecoderBlock(look_at(SelfAttention), look_at(CrossAttention), norm(SwiGLU(width))) for _ in range(depth)]
    norms = (nn.RMSNorm(width), nn.RMSNorm(width))
    trunk, rule = EncoderDecoder(encoder, decoder, norms=norms, rotary=GridRotary(width // heads)), (causal | prefix) & apart

    weights, emphasis, train = {"image": 2.0}, {Task.QUESTION: 4.0}, (trunk, words, squares, sees.projector)
    denoised = Stage("denoised", train=train, documents=30_000, mix=parts.MIX, batch=64, lr=4e-3, decay="constant", weights=weights)
    denoised = replace(denoised, emphasis=emphasis, transform=Denoisers(square=patch))
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(denoised, name="tuned", train=(*train, seen), documents=60_000, mix=asked, decay="cosine", carry=True, transform=None)
    stages = (learn_eye, learn_codes, denoised, tuned)
    return System("unified_io_2", trunk=trunk, ports=(text, image, given), attention=rule, stages=stages, drop=Absent())
