"""D-DiT: text and a picture are two streams of one diffusion transformer, and each can be written from the other.

Source: Li et al. 2025, arXiv:2501.00289 (Dual Diffusion), section 3, and its published code; the trunk is the MM-DiT of Stable Diffusion 3
(arXiv:2403.03206, section 4). Reads and writes text and pictures: a picture as a flow, text by masked diffusion on a canvas of fixed
length, which `end` fills up. All places see each other, so a prompt sees the picture that is drawn for it; nothing is cached, and a
document is learned segment by segment.
Differs: each place is told its own time, a hidden word that of noise and a known one that of clean, where the paper tells both
streams the picture's; text is read by a table with rotary positions, not by T5; it starts fresh, not from Stable Diffusion;
how many words are hidden is drawn once a text, not word by word; words are written in 16 passes, surest first, not in 64 by chance; its
VAE (of single squares), stages, mix and path are Transfusion's.
Command: `tessera train d_dit`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import nn

from tessera import parts
from tessera.attention import everywhere
from tessera.clocks import Clock
from tessera.codecs import BPE, Canvas
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Regression, Sampling
from tessera.orders import Confident, InPlace, Masked, linear
from tessera.paths import leaning
from tessera.ports import Port
from tessera.readers import AdaptiveReader, HiddenReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import MLP, Block, Experts, PreNorm, Rotary, SelfAttention, Transformer
from tessera.writers import AdaptedWriter, LinearWriter

PAPER = {"width": 1536, "depth": 24, "heads": 24, "pixels": 512, "vae": (512, 16, 8, 2), "canvas": (256, 256)}
PRESETS = {"tiny": {"width": 32, "depth": 2, "heads": 2, "vae": (16, 4, 8, 1), "canvas": (24, 16)}, "paper": PAPER}


def d_dit(
    *, width: int = 160, depth: int = 5, heads: int = 5, pixels: int = 32, vae: Sequence = (64, 16, 8, 1), canvas: Sequence = (48, 8)
) -> System:
    """Build D-DiT. `vae` is as Transfusion's; `canvas` is how many ids a text has, and one that goes on from a text before it."""
    bpe, clock = BPE(canvas=Canvas(*canvas)), Clock(width)
    table = nn.Embedding(bpe.size, width)
    read = HiddenReader(TokenReader(table, scale=width**0.5), width, clock=clock)
    head, words = LinearWriter(width, bpe.size, tied=table), Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0))
    unmasking = Masked(schedule=linear, steps=16, decide=Confident(0.0), bound=True)
    text = Port("text", Text, codec=bpe, reader=read, writer=head, order=unmasking, law=words)

    codec, learn_codec = parts.latents(pixels=pixels, channels=vae[0], features=vae[1], stride=vae[2], patch=vae[3])
    positions = nn.Embedding(codec.elements, width)
    reader = AdaptiveReader(codec.features, width, clock=clock, columns=codec.columns, positions=positions)
    writer, drawn = AdaptedWriter(width, codec.features, told=width), Regression(sampling=Sampling(guidance=2.0, steps=32))
    image = Port("image", Image, codec=codec, reader=reader, writer=writer, order=InPlace(leaning(3.0)), law=drawn)

    norm = partial(nn.LayerNorm, width, eps=1e-6, elementwise_affine=False)

    def tower(last: nn.Module) -> Transformer:
        step = partial(PreNorm, condition=width, gated=True)
        gelu = nn.GELU("tanh")
        attention = lambda: step(norm(), SelfAttention(width, heads, bias=True))
        blocks = [Block(attention(), step(norm(), MLP(width, activation=gelu))) for _ in range(depth)]
        return Transformer(blocks, norm=last, rotary=Rotary(width // heads))

    trunk = Experts((tower(norm()), tower(nn.Identity())), {image: 1})  # the picture's writer has a norm of its own
    train, weights, emphasis = (trunk, read, reader, writer), {"image": 5.0}, {Task.QUESTION: 4.0}
    joint = Stage("joint", train=train, documents=30_000, mix=parts.MIX, batch=64, lr=4e-3, weights=weights, emphasis=emphasis)
    joint = replace(joint, decay="constant")
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=60_000, mix=asked, decay="cosine", carry=True)
    return System("d_dit", trunk=trunk, ports=(text, image), attention=everywhere, stages=(learn_codec, joint, tuned), drop=Absent())
