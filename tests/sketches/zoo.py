"""Three ways of writing pictures on one trunk, chosen by the kind of segment: batches of rows in very different states."""

from dataclasses import dataclass

from torch import nn

from sketches.parts import (
    COLUMNS,
    MIX,
    PATCH,
    PIXELS,
    WIDTH,
    Denoiser,
    DenoisingWriter,
    InPlace,
    NoisedReader,
    Regression,
    RowEndReader,
    SkipWriter,
    joint,
    patches,
    text_port,
    transformer,
)
from tessera.attention import causal, within
from tessera.codecs import VQ, Autoencoder
from tessera.document import Image
from tessera.drops import Absent
from tessera.laws import Categorical
from tessera.orders import Masked, Next
from tessera.ports import Port
from tessera.readers import HiddenReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.writers import LinearWriter

PRESETS = {"tiny": {}}


@dataclass(frozen=True, eq=False)
class Unmasked(Image):
    """A picture written in any order."""


@dataclass(frozen=True, eq=False)
class Flowed(Image):
    """A picture written all at once."""


@dataclass(frozen=True, eq=False)
class Denoised(Image):
    """A picture written patch after patch."""


def zoo(codes: int = 16) -> System:
    """A codebook that its own stage moves, patches along a flow, and patches of which a place at each row's end predicts the next."""
    vq, squares, text, trunk = (
        Autoencoder(quantizer=VQ(size=codes, features=4), pixels=PIXELS, stride=PATCH, channels=16),
        patches(),
        text_port(),
        transformer(conditioned=True),
    )
    size = squares.features
    tokens = {"reader": HiddenReader(TokenReader(nn.Embedding(codes, WIDTH), columns=COLUMNS), WIDTH), "writer": LinearWriter(WIDTH, codes)}
    unmasked = Port("unmasked", Unmasked, codec=vq, order=Masked(steps=3), law=Categorical(allowed=range(codes)), **tokens)
    noised = {"reader": NoisedReader(size), "writer": SkipWriter(size)}
    flowed = Port("flowed", Flowed, codec=squares, order=InPlace(), law=Regression(), **noised)
    rows = {"reader": RowEndReader(size), "writer": DenoisingWriter(size)}
    denoised = Port("denoised", Denoised, codec=squares, order=Next(), law=Denoiser(), **rows)
    ports = (text, unmasked, flowed, denoised)
    stages = (
        Stage("codec", learner=vq, train=(vq,), documents=64, mix=MIX, batch=8, lr=3e-3),
        joint(trunk, *(module for port in ports for module in (port.reader, port.writer))),
    )
    return System("zoo", trunk=trunk, ports=ports, attention=causal | within(unmasked) | within(flowed), stages=stages, drop=Absent())
