"""Orthus: text as tokens, pictures as continuous features, each drawn by a small diffusion behind one causal trunk.

Source: Kou et al. 2024, arXiv:2412.00127, section 3, and its code. Reads and writes text and pictures. It is made of a Chameleon: the
codec is used without rounding (its painter learns that), a picture is read as a softmax over the codes near each feature, a head that
denoises replaces the codes' logits. As there, `base` learns codes, `adapted` trains the added modules only, `tuned` all but the codec.
Differs: Chameleon's FSQ codes of squares, read also by their digits and places, at a temperature of .2, not 1; while adapting the table
stands still, as words share it; questions weigh more; the default is 4.4 M parameters, not 7 B. Command: `tessera train orthus`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from tessera import parts
from tessera.attention import causal
from tessera.codecs import BPE, FSQ, Shifted, Unquantized
from tessera.document import Image, Task, Text
from tessera.drops import Absent, now_and_then
from tessera.laws import Categorical, Denoiser, Sampling
from tessera.orders import Next
from tessera.paths import Diffusion, scaled_linear_betas, spaced_trailing
from tessera.ports import Port
from tessera.readers import Digits, SoftReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import DenoisingWriter, LinearWriter

PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "levels": (4, 4), "channels": 16, "steps": 3},
    "paper": {"width": 4096, "depth": 32, "heads": 32, "levels": (8, 8, 8, 4, 4), "pixels": 512, "stride": 16, "steps": 100},
}


def orthus(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    levels: Sequence = (4,) * 5,
    channels: int = 64,
    pixels: int = 32,
    stride: int = 8,
    steps: int = 25,
) -> System:
    """Build Orthus. `steps` is how many the head takes from noise to the features of a square."""
    bpe, quantizer = BPE(), FSQ(levels)
    pictures, codec = parts.codes(quantizer, channels=channels, pixels=pixels, stride=stride)
    table, scale = nn.Embedding(bpe.size + quantizer.size, width), width**0.5
    head = LinearWriter(width, bpe.size + quantizer.size, tied=table)
    words = Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0), z_loss=1e-5)
    text = Port("text", Text, codec=bpe, reader=TokenReader(table, scale=scale), writer=head, order=Next(), law=words)

    digits, positions = Digits(quantizer, width, first=bpe.size), nn.Embedding(pictures.elements, width)
    squares = TokenReader(table, scale=scale, columns=pictures.columns, digits=digits, positions=positions)
    law = Categorical(allowed=range(bpe.size, bpe.size + quantizer.size), z_loss=1e-5)
    codes = Port("codes", Image, codec=Shifted(pictures, first=bpe.size), reader=squares, writer=head, order=Next(), law=law)

    features = Unquantized(pictures, scale=2.0)
    book = features.scale * quantizer.lookup(torch.arange(quantizer.size)[None])[0]
    reader, writer = SoftReader(squares, book, first=bpe.size, temperature=0.2), DenoisingWriter(width, features.features)
    path = Diffusion(scaled_linear_betas(), zero_snr=True, spacing=spaced_trailing)
    denoiser = Denoiser(features.features, path, steps=steps, repeats=4, sampling=Sampling(guidance=2.0))
    image = Port("image", Image, codec=features, reader=reader, writer=writer, order=Next(), law=denoiser)

    attention = lambda: PreNorm(nn.RMSNorm(width), SelfAttention(width, heads, qk_norm=nn.LayerNorm))
    blocks = [Block(attention(), PreNorm(nn.RMSNorm(width), SwiGLU(width))) for _ in range(depth)]
    trunk = Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(width // heads))
    chameleon, emphasis = System("orthus_base", trunk=trunk, ports=(text, codes), attention=causal), {Task.QUESTION: 4.0}
    painter = Stage("painter", learner=features, train=(pictures.decoder,), documents=20_000, mix=parts.MIX, weight_decay=0.0)
    base = Stage("base", learner=chameleon, train=(trunk, squares), documents=48_000, mix=parts.MIX, batch=64, lr=4e-3, decay="constant")
    base = replace(base, weights={"codes": 2.0}, emphasis=emphasis, transform=partial(now_and_then, Absent()))
    drawn, asked = {Task.DRAW: 0.9, Task.CAPTION: 0.1}, {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    adapted = Stage("adapted", train=(reader.codebook, writer), documents=8_000, mix=drawn, batch=64, lr=4e-3)
    tuned = Stage("tuned", train=(trunk, reader, writer), documents=34_000, mix=asked, batch=64, lr=4e-3)
    stages = (codec, painter, base, adapted, replace(tuned, weights={"image": 5.0}, emphasis=emphasis))
    return System("orthus", trunk=trunk, ports=(text, image), attention=causal, stages=stages, drop=Absent())
