"""Three ways of writing pictures on one trunk, chosen by the kind of segment: batches of rows in very different states."""

from dataclasses import dataclass

from sketches.in_place_regression import in_place_regression
from sketches.masked_categorical import masked_categorical
from sketches.next_denoiser import next_denoiser
from sketches.parts import joint, text_port, transformer
from tessera.attention import causal, within
from tessera.document import Image
from tessera.drops import Absent
from tessera.ports import Port
from tessera.system import System

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


def zoo() -> System:
    """Every picture port of the other sketches, each for a kind of its own."""
    kinds = {Unmasked: masked_categorical, Flowed: in_place_regression, Denoised: next_denoiser}
    text, trunk, pictures = text_port(), transformer(conditioned=True), []
    for kind, sketch in kinds.items():
        like = sketch().by_name["image"]
        parts = {"codec": like.codec, "reader": like.reader, "writer": like.writer, "order": like.order, "law": like.law}
        pictures.append(Port(kind.__name__.lower(), kind, **parts))
    modules = [module for port in (text, *pictures) for module in (port.reader, port.writer)]
    rule = causal | within(pictures[0]) | within(pictures[1])
    return System("zoo", trunk=trunk, ports=(text, *pictures), attention=rule, stages=(joint(trunk, *modules),), drop=Absent())
