"""Next over what a VQGAN says of a picture: its codes, as in Show-o's tokenizer, or its features unrounded, as in Orthus."""

from torch import nn

from sketches.parts import COLUMNS, MIX, PIXELS, WIDTH, Denoiser, DenoisingWriter, RowEndReader, joint, text_port, transformer
from tessera.attention import causal
from tessera.codecs import LFQ, VQGAN, ConvDecoder, ConvEncoder, Unquantized
from tessera.document import Image
from tessera.drops import Absent
from tessera.laws import Categorical
from tessera.orders import Next
from tessera.ports import Port
from tessera.readers import Digits, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.writers import LinearWriter

PRESETS = {"tiny": {}, "unrounded": {"rounded": False}}


def convolved(rounded: bool = True) -> System:
    """A picture is four codes of four signs, or four times the four numbers whose signs those are."""
    nets = {"features": 8, "channels": 8, "multiples": (1, 1, 2), "blocks": 1, "groups": 4}
    pictures = VQGAN(encoder=ConvEncoder(**nets), decoder=ConvDecoder(**nets), quantizer=LFQ(4), pixels=PIXELS)
    size = pictures.quantizer.size
    if rounded:
        reader = TokenReader(nn.Embedding(size, WIDTH), columns=COLUMNS, digits=Digits(pictures.quantizer, WIDTH))
        codec, writer, law = pictures, LinearWriter(WIDTH, size), Categorical(allowed=range(size))
    else:
        codec, reader, writer, law = Unquantized(pictures), RowEndReader(4), DenoisingWriter(4), Denoiser()
    image = Port("image", Image, codec=codec, reader=reader, writer=writer, order=Next(), law=law)
    text, trunk = text_port(), transformer()
    stages = (
        Stage("codec", learner=pictures, train=(pictures,), documents=64, mix=MIX, batch=8, lr=3e-3),
        joint(trunk, text.reader, text.writer, reader, writer),
    )
    return System("convolved", trunk=trunk, ports=(text, image), attention=causal, stages=stages, drop=Absent())
