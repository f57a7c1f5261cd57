"""MonoFormer: one transformer that looks back over text, and everywhere over a picture that it denoises.

Source: Zhao et al. 2024, arXiv:2409.16280, section 3. The same blocks predict words and denoise pictures; only the mask differs. A place
in front of the picture tells the time, which also scales and shifts the norm in front of the last layer.
Differs: pictures are also read (clean) and asked about; the text model is not pretrained; queries and keys are normed; the VAE (of single
squares), the mixes and weights are Transfusion's, and so is the path: velocities, mostly where noise is strong. `flow=False` learns the
noise of a diffusion, as in the paper, without its variances. The place of the time looks at the whole picture, which in the published
code looks back only.
Command: `tessera train monoformer`.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tessera import parts
from tessera.attention import causal, within
from tessera.codecs import BPE
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Regression, Sampling
from tessera.orders import InPlace, Next
from tessera.paths import DDIM, Diffusion, Predicts, leaning, linear_betas
from tessera.ports import Port
from tessera.readers import TimedReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import AdaptedWriter, LinearWriter

PAPER = {"width": 2048, "depth": 22, "heads": 32, "kv_heads": 4, "hidden": 5632, "pixels": 256, "vae": (512, 4, 8, 2), "flow": False}
PRESETS = {"tiny": {"width": 32, "depth": 2, "heads": 2, "kv_heads": 1, "vae": (16, 4, 8, 1)}, "paper": PAPER}


def monoformer(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    kv_heads: int | None = None,
    hidden: int | None = None,
    pixels: int = 32,
    vae: Sequence = (64, 16, 8, 1),
    flow: bool = True,
) -> System:
    """Build MonoFormer. `hidden` is the width inside MLPs; `vae` is as Transfusion's."""
    bpe = BPE()
    table = nn.Embedding(bpe.size, width)
    head, words = LinearWriter(width, bpe.size, tied=table), Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0))
    read = TokenReader(table, scale=width**0.5)
    text = Port("text", Text, codec=bpe, reader=read, writer=head, order=Next(), law=words)

    codec, learn_codec = parts.latents(pixels=pixels, channels=vae[0], features=vae[1], stride=vae[2], patch=vae[3])
    reader, writer = TimedReader(codec.features, width, columns=codec.columns), AdaptedWriter(width, codec.features, told=width)
    noise = InPlace(Diffusion(linear_betas()), predicts=Predicts.NOISE, solver=DDIM(eta=1.0, bound=5.0))
    order, drawn = InPlace(leaning(3.0)) if flow else noise, Regression(sampling=Sampling(guidance=2.0, steps=32))
    image = Port("image", Image, codec=codec, reader=reader, writer=writer, order=order, law=drawn)

    norm = lambda inner: PreNorm(nn.RMSNorm(width), inner)
    look = lambda: SelfAttention(width, heads, kv_heads=kv_heads, qk_norm=nn.RMSNorm)
    blocks = [Block(norm(look()), norm(SwiGLU(width, hidden))) for _ in range(depth)]
    trunk = Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(width // heads))

    train, weights, emphasis = (trunk, read, reader, writer), {"image": 5.0}, {Task.QUESTION: 4.0}
    joint = Stage("joint", train=train, documents=30_000, mix=parts.MIX, batch=64, lr=4e-3, weights=weights, emphasis=emphasis)
    joint = replace(joint, decay="constant")
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=60_000, mix=asked, decay="cosine", carry=True)
    stages, rule = (learn_codec, joint, tuned), causal | within(image)
    return System("monoformer", trunk=trunk, ports=(text, image), attention=rule, stages=stages, drop=Absent())
