"""MetaMorph: visual instruction tuning that also predicts. A language model reads what an eye sees, and says what it would see next.

Source: Tong et al. 2024, arXiv:2412.14164, section 2. Reads and writes text and pictures. Pictures are features of a frozen eye
of unit length, read through an MLP and regressed one after another by a head of three linear layers, in cosine distance; a
decoder, trained apart on the eye's features, paints pictures by them.
Differs: the decoder is a small flow on pixels, not a tuned Stable Diffusion; the eye learned on the world; its elements are
resampled in the paper preset only; features are read with their positions too; without a pretrained language model
(`--init-trunk`) a stage of text stands for it; prompts are left out for guidance; queries and keys of the trunk
made here are normed; mixes are Chameleon's, losses of pictures weigh eightfold.
Command: `tessera train metamorph`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import nn

from tessera import parts
from tessera.document import Image, Task
from tessera.drops import Absent
from tessera.laws import Regression, cosine_distance
from tessera.orders import Next
from tessera.perceptron import perceptron
from tessera.ports import Port
from tessera.readers import FeatureReader
from tessera.speaker import Speaker, speaker, transformer
from tessera.stages import Stage
from tessera.system import System
from tessera.writers import MLPWriter

PAPER = {"width": 4096, "depth": 32, "heads": 32, "channels": 256, "pixels": 378, "patch": 14}
PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "channels": 16, "look": (32, 1, 2, 0)},
    "paper": {**PAPER, "look": (1152, 27, 16, 8)},
}


def metamorph(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    channels: int = 64,
    pixels: int = 32,
    patch: int = 8,
    look: Sequence = (128, 3, 4, 0),
    language: Speaker | None = None,
) -> System:
    """Build MetaMorph. `look` is the width, the depth and the heads of the eye, and the grid its features are resampled to, if they are."""
    speaks = language or speaker(width, partial(transformer, width, depth, heads, qk_norm=nn.RMSNorm))
    text, width = speaks.port(), speaks.width

    seen, learn_eye = parts.eye(pixels=pixels, patch=patch, width=look[0], depth=look[1], heads=look[2])
    codec, learn_painter = parts.features(seen, columns=look[3], channels=channels)
    positions = nn.Embedding(codec.elements, width)
    squares = FeatureReader(perceptron(seen.width, width, width), columns=codec.columns, positions=positions)
    drawer = MLPWriter(width, width, width, seen.width)
    image = Port("image", Image, codec=codec, reader=squares, writer=drawer, order=Next(), law=Regression(cosine_distance, unit=True))

    trunk = speaks.tower()
    told = Stage("language", train=(trunk, *speaks.parts), documents=4_000, mix={Task.TEXT: 1.0}, batch=64, lr=4e-3)
    pairs, weights, emphasis = {Task.DRAW: 0.5, Task.CAPTION: 0.5}, {"image": 8.0}, {Task.QUESTION: 4.0}
    adapt = replace(told, name="adapters", train=(squares, drawer), mix=pairs, weights=weights)
    opened = (trunk, *speaks.parts, squares, drawer)
    joint = replace(adapt, name="joint", train=opened, documents=32_000, mix=parts.MIX, decay="constant", emphasis=emphasis)
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", documents=50_000, mix=asked, decay="cosine", carry=True)
    stages = (learn_eye, learn_painter, *(() if speaks.learned else (told,)), adapt, joint, tuned)
    return System("metamorph", trunk=trunk, ports=(text, image), attention=speaks.looks, stages=stages, drop=Absent())
