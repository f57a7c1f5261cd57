"""Two ways into one trunk, as in Janus: codes to write pictures, an eye to read them, also those just written."""

from torch import nn

from sketches.parts import PIXELS, WIDTH, RowEndReader, joint, patches, text_port, transformer
from tessera.attention import causal, within
from tessera.codecs import VQ, Autoencoder
from tessera.document import Image
from tessera.drops import Absent
from tessera.laws import Categorical
from tessera.orders import Next
from tessera.ports import Port, Takes
from tessera.readers import TokenReader
from tessera.system import System
from tessera.writers import LinearWriter

PRESETS = {"tiny": {}, "sharp": {"look": 2}}


def janus_like(codes: int = 16, look: int = 8) -> System:
    """The eye sees squares of `look` pixels: fewer places than there are codes, or ("sharp") more."""
    codec, squares = Autoencoder(quantizer=VQ(size=codes, features=4), pixels=PIXELS, stride=4, channels=16), patches(look)
    reader, writer = TokenReader(nn.Embedding(codes, WIDTH), columns=codec.columns), LinearWriter(WIDTH, codes)
    law = Categorical(allowed=range(codes))
    image = Port("codes", Image, codec=codec, reader=reader, writer=writer, order=Next(), law=law, takes=Takes.LEARNED)
    eye = Port("eye", Image, codec=squares, reader=RowEndReader(squares.features, columns=squares.columns), takes=Takes.AFTERWARDS)
    text, trunk = text_port(), transformer()
    stages = (joint(trunk, text.reader, text.writer, reader, writer, eye.reader),)
    return System("janus_like", trunk=trunk, ports=(text, image, eye), attention=causal | within(eye), stages=stages, drop=Absent())
