"""MMAR: text one token after another, pictures as continuous tokens in random order, each drawn by a light diffusion behind the trunk.

Source: Yang et al. 2024, arXiv:2410.10798, section 3. Its pictures are masked autoregression (MAR, arXiv:2406.11838), not next-token:
they see themselves, some tokens are hidden and learned from the others, and writing reveals more of them in every pass, in random
order. The head predicts velocities, so that what is rounded to bfloat16 does not blow up near pure noise (`predicts="noise"` shows
what does). Reads and writes text and pictures, parts of pictures too (`keep`); given ones are read clean, so nothing is lost to them.
Differs: latents of a small VAE go in through one linear layer (there a ViT comes first), with a position for each; everything is
trained from scratch (there a language model stays, with low-rank experts for pictures); the share that is hidden follows a cosine in
both stages (there 70 % and more, then any); queries and keys are normed; guidance is usual in strength; the default is 4.2 M
parameters, not 0.5 or 7 B.
Command: `tessera train mmar`.
"""

from dataclasses import replace

from torch import nn

from tessera import parts
from tessera.attention import causal, within
from tessera.codecs import BPE
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Denoiser, Sampling
from tessera.orders import Masked, Next, by_chance
from tessera.paths import Diffusion, Predicts, cosine_betas
from tessera.ports import Port
from tessera.readers import HiddenReader, LinearReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import DenoisingWriter, LinearWriter

PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "channels": 16, "steps": 3},
    "paper": {"width": 896, "depth": 24, "heads": 14, "channels": 128, "pixels": 256, "stride": 16, "steps": 100},
}


def mmar(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    channels: int = 64,
    pixels: int = 32,
    stride: int = 8,
    steps: int = 25,
    predicts: str = "velocity",
) -> System:
    """Build MMAR. A token stands for `stride` pixels squared; `steps` lead from noise to one; `predicts` is velocity, noise or clean."""
    bpe = BPE()
    table = nn.Embedding(bpe.size, width)
    head, words = LinearWriter(width, bpe.size, tied=table), Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0))
    told = TokenReader(table, scale=width**0.5)
    text = Port("text", Text, codec=bpe, reader=told, writer=head, order=Next(), law=words)

    latents, codec = parts.latents(pixels=pixels, stride=stride, channels=channels)
    known = LinearReader(latents.features, width, columns=latents.columns)
    reader, writer = HiddenReader(known, width, positions=nn.Embedding(latents.elements, width)), DenoisingWriter(width, latents.features)
    path, drawing = Diffusion(cosine_betas()), Sampling(guidance=2.0, steps=8)
    denoiser = Denoiser(latents.features, path, predicts=Predicts(predicts), steps=steps, repeats=4, sampling=drawing)
    image = Port("image", Image, codec=latents, reader=reader, writer=writer, order=Masked(decide=by_chance), law=denoiser)

    trunk = Transformer(
        [
            Block(PreNorm(nn.RMSNorm(width), SelfAttention(width, heads, qk_norm=nn.LayerNorm)), PreNorm(nn.RMSNorm(width), SwiGLU(width)))
            for _ in range(depth)
        ],
        norm=nn.RMSNorm(width),
        rotary=Rotary(width // heads),
    )
    weights, emphasis = {"image": 5.0}, {Task.QUESTION: 4.0}
    joint = Stage("joint", train=(trunk, told, reader, writer), documents=30_000, mix=parts.MIX, batch=64, lr=4e-3)
    joint = replace(joint, decay="constant", weights=weights, emphasis=emphasis)
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=60_000, mix=asked, decay="cosine", carry=True)
    stages, rule = (codec, joint, tuned), causal | within(image)
    return System("mmar", trunk=trunk, ports=(text, image), attention=rule, stages=stages, drop=Absent())
