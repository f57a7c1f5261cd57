"""InPlace x Regression, as in Transfusion: patches along a flow, with a time place, a condition and a way round the trunk."""

from sketches.parts import InPlace, NoisedReader, Regression, SkipWriter, joint, patches, text_port, transformer
from tessera.attention import causal, within
from tessera.document import Image, Task
from tessera.drops import Absent
from tessera.ports import Port
from tessera.stages import Stage
from tessera.system import System

PRESETS = {"tiny": {}}


def in_place_regression() -> System:
    """The picture's reader and writer are trained first, alone; then all."""
    codec = patches()
    reader, writer = NoisedReader(codec.features), SkipWriter(codec.features)
    image = Port("image", Image, codec=codec, reader=reader, writer=writer, order=InPlace(), law=Regression())
    text, trunk = text_port(), transformer(conditioned=True)
    stages = (
        Stage("adapters", train=(reader, writer), documents=64, mix={Task.DRAW: 1.0}, batch=8, lr=3e-3),
        joint(trunk, text.reader, text.writer, reader, writer),
    )
    return System("in_place_regression", trunk=trunk, ports=(text, image), attention=causal | within(image), stages=stages, drop=Absent())
