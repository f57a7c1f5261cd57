"""Next x Denoiser, as in MMAR: patches one after another, each drawn by a small flow, with a place at each row's end."""

from sketches.parts import Denoiser, DenoisingWriter, RowEndReader, joint, patches, text_port, transformer
from tessera.attention import causal
from tessera.document import Image
from tessera.drops import Absent
from tessera.orders import Next
from tessera.ports import Port
from tessera.system import System

PRESETS = {"tiny": {}}


def next_denoiser() -> System:
    """The element behind a row's end is predicted from the place that ends the row."""
    codec = patches()
    reader, writer = RowEndReader(codec.features), DenoisingWriter(codec.features)
    image = Port("image", Image, codec=codec, reader=reader, writer=writer, order=Next(), law=Denoiser())
    text, trunk = text_port(), transformer()
    stages = (joint(trunk, text.reader, text.writer, reader, writer),)
    return System("next_denoiser", trunk=trunk, ports=(text, image), attention=causal, stages=stages, drop=Absent())
