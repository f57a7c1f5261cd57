"""LMFusion: a language model that stays as it is, and beside it a tower for pictures; they meet in self-attention.

Source: Shi et al. 2024, arXiv:2412.15188, section 3; the towers are those of Mixture-of-Transformers (arXiv:2411.04996). Reads and
writes text and pictures. The text's tower learns from text alone, then never moves again: only what belongs to pictures does.
Differs: without a language model (`--init-trunk`), of which both towers are copies, the text's is trained here, on texts and on questions
and captions whose pictures are left out, and the picture's starts fresh; the way into that is linear, not a U-Net; the VAE is
Transfusion's, of single squares; pictures are read clean, and drawn along Transfusion's path.
Command: `tessera train lmfusion`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import nn

from tessera import parts
from tessera.attention import within
from tessera.document import Document, Image, Task
from tessera.draws import Draw
from tessera.drops import Absent
from tessera.laws import Regression, Sampling
from tessera.orders import InPlace
from tessera.paths import leaning
from tessera.ports import Port
from tessera.readers import NoisyReader
from tessera.speaker import Speaker, speaker, transformer
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Experts
from tessera.writers import LinearWriter

PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "vae": (16, 4, 8, 1)},
    "paper": {"width": 4096, "depth": 32, "heads": 32, "pixels": 256, "vae": (512, 8, 8, 2)},
}


def lmfusion(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    pixels: int = 32,
    vae: Sequence = (64, 16, 8, 1),
    language: Speaker | None = None,
) -> System:
    """Build LMFusion. `vae` is as Transfusion's."""
    speaks = language or speaker(width, partial(transformer, width, depth, heads))
    text, width = speaks.port(), speaks.width

    codec, learn_codec = parts.latents(pixels=pixels, channels=vae[0], features=vae[1], stride=vae[2], patch=vae[3])
    reader = NoisyReader(codec.features, width, columns=codec.columns, positions=nn.Embedding(codec.elements, width))
    writer, drawn = LinearWriter(width, codec.features, bias=True), Regression(sampling=Sampling(guidance=2.0, steps=32))
    image = Port("image", Image, codec=codec, reader=reader, writer=writer, order=InPlace(leaning(3.0)), law=drawn)

    words, pictures = speaks.tower(), speaks.tower()
    trunk = Experts((words, pictures), {image: 1})

    mix, weights, emphasis = {Task.TEXT: 0.7, Task.QUESTION: 0.2, Task.CAPTION: 0.1}, {"image": 5.0}, {Task.QUESTION: 4.0}
    told = Stage("language", train=(words, *speaks.parts), documents=16_000, mix=mix, batch=64, lr=4e-3, transform=unseen)
    train = (pictures, reader, writer)
    joint = Stage(
        "joint", train=train, documents=24_000, mix=parts.MIX, batch=64, lr=4e-3, decay="constant", weights=weights, emphasis=emphasis
    )
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=50_000, mix=asked, decay="cosine", carry=True)
    stages, rule = (learn_codec, *(() if speaks.learned else (told,)), joint, tuned), speaks.looks | within(image)
    return System("lmfusion", trunk=trunk, ports=(text, image), attention=rule, stages=stages, drop=Absent())


def unseen(document: Document, draw: Draw) -> Document:
    """The document without its pictures."""
    return replace(document, segments=tuple(segment for segment in document if not isinstance(segment, Image)))
