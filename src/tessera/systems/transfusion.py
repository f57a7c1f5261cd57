"""Transfusion: the next word is predicted, a whole picture is denoised, in one trunk.

Source: Zhou et al. 2024, arXiv:2408.11039, section 3. Reads and writes text and pictures.
Differs: the VAE sees each square alone and learned on the world; given pictures are read clean, where the paper noises those in front of
captions too; a second stage with more questions; elements have learned positions; queries and keys are normed; 3.4 M parameters, not 7 B.
It learns velocities along a straight path, mostly where noise is strong. To predict the noise, as in the paper (`flow=False`), needs no
prompt there: 20 % came out right. `unet`: channels of U-Net blocks around it. Command: `tessera train transfusion`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import nn

from tessera import parts
from tessera.attention import within
from tessera.clocks import Clock
from tessera.codecs import VAE
from tessera.document import Image, Task
from tessera.drops import Absent
from tessera.laws import Regression, Sampling
from tessera.orders import InPlace
from tessera.paths import DDIM, Diffusion, Predicts, cosine_betas, leaning
from tessera.ports import Port
from tessera.readers import GridReader, NoisyReader
from tessera.speaker import Speaker, speaker, transformer
from tessera.stages import Stage
from tessera.system import System
from tessera.unets import UNetDown, UNetUp
from tessera.writers import GridWriter, LinearWriter

PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "vae": (16, 4, 8, 1)},
    "paper": {"width": 4096, "depth": 32, "heads": 32, "pixels": 256, "vae": (512, 8, 8, 2), "unet": 512, "flow": False},
}


def transfusion(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    pixels: int = 32,
    vae: Sequence = (64, 16, 8, 1),
    unet: int = 0,
    flow: bool = True,
    language: Speaker | None = None,
) -> System:
    """Build Transfusion. `vae` is the codec's width, latents for a square, pixels along it, and squares along an element."""
    speaks = language or speaker(width, partial(transformer, width, depth, heads, qk_norm=nn.RMSNorm))
    text, width = speaks.port(), speaks.width

    codec, learn_codec = parts.latents(pixels=pixels, channels=vae[0], features=vae[1], stride=vae[2], patch=vae[3])
    reader, writer = around_unet(codec, width, unet) if unet else around_linear(codec, width)
    diffusion = InPlace(Diffusion(cosine_betas()), predicts=Predicts.NOISE, solver=DDIM(eta=1.0, bound=5.0))
    order, drawn = InPlace(leaning(3.0)) if flow else diffusion, Sampling(guidance=2.0, steps=32)
    image = Port("image", Image, codec=codec, reader=reader, writer=writer, order=order, law=Regression(sampling=drawn))
    trunk, weights, emphasis = speaks.tower(), {"image": 5.0}, {Task.QUESTION: 4.0}
    train = (trunk, *speaks.parts, reader, writer)
    joint = Stage("joint", train, 30_000, parts.MIX, batch=64, lr=4e-3, decay="constant", weights=weights, emphasis=emphasis)
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=60_000, mix=asked, decay="cosine", carry=True)
    stages, rule = (learn_codec, joint, tuned), speaks.looks | within(image)
    return System("transfusion", trunk=trunk, ports=(text, image), attention=rule, stages=stages, drop=Absent())


def around_linear(codec: VAE, width: int) -> tuple[NoisyReader, LinearWriter]:
    """A linear layer on each side of the trunk."""
    positions = nn.Embedding(codec.elements, width)
    return NoisyReader(codec.features, width, columns=codec.columns, positions=positions), LinearWriter(width, codec.features)


def around_unet(codec: VAE, width: int, channels: int) -> tuple[GridReader, GridWriter]:
    """The two halves of a U-Net."""
    down, up = (net(codec.features, channels, width, patch=codec.patch) for net in (UNetDown, UNetUp))
    positions = nn.Embedding(codec.elements, width)
    return GridReader(down, width, clock=Clock(width), columns=codec.columns, positions=positions), GridWriter(
        width, up, columns=codec.columns
    )
