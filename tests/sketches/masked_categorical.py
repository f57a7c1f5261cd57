"""Masked x Categorical, as in Show-o: codes of a picture in any order, attention causal but open inside a picture."""

from torch import nn

from sketches.parts import COLUMNS, MIX, PATCH, PIXELS, WIDTH, joint, text_port, transformer
from tessera.attention import causal, within
from tessera.codecs import VQ, Autoencoder
from tessera.document import Image
from tessera.drops import Absent
from tessera.laws import Categorical
from tessera.orders import Masked
from tessera.ports import Port
from tessera.readers import HiddenReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.writers import LinearWriter

PRESETS = {"tiny": {}}


def masked_categorical(codes: int = 16) -> System:
    """A picture is four codes of a codebook that its own stage moves."""
    codec = Autoencoder(quantizer=VQ(size=codes, features=4), pixels=PIXELS, stride=PATCH, channels=16)
    reader = HiddenReader(TokenReader(nn.Embedding(codes, WIDTH), columns=COLUMNS), WIDTH)
    writer = LinearWriter(WIDTH, codes)
    image = Port("image", Image, codec=codec, reader=reader, writer=writer, order=Masked(steps=3), law=Categorical(allowed=range(codes)))
    text, trunk = text_port(), transformer()
    stages = (
        Stage("codec", learner=codec, train=(codec,), documents=64, mix=MIX, batch=8, lr=3e-3),
        joint(trunk, text.reader, text.writer, reader, writer),
    )
    return System("masked_categorical", trunk=trunk, ports=(text, image), attention=causal | within(image), stages=stages, drop=Absent())
