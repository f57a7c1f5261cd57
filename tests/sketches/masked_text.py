"""Text too in any order, on canvases, but read as it was written: Masked x Categorical, and pictures along a flow."""

from torch import nn

from sketches.parts import WIDTH, InPlace, NoisedReader, Regression, SkipWriter, joint, patches, transformer
from tessera.attention import causal, everywhere, within
from tessera.codecs import BPE, Canvas
from tessera.document import Image, Text
from tessera.drops import Absent
from tessera.laws import Categorical
from tessera.orders import Masked
from tessera.ports import Port
from tessera.readers import HiddenReader, TokenReader
from tessera.system import System
from tessera.writers import LinearWriter

PRESETS = {"tiny": {}, "joint": {"all_see_all": True}}


def masked_text(*, all_see_all: bool = False) -> System:
    """Attention is open inside texts and inside pictures, or everywhere."""
    bpe, codec = BPE(canvas=Canvas(24, 16)), patches()
    words, out = HiddenReader(TokenReader(nn.Embedding(bpe.size, WIDTH)), WIDTH), LinearWriter(WIDTH, bpe.size)
    law = Categorical(allowed=bpe.writable)
    text = Port("text", Text, codec=bpe, reader=words, writer=out, order=Masked(steps=3), law=law)
    reader, writer = NoisedReader(codec.features), SkipWriter(codec.features)
    image = Port("image", Image, codec=codec, reader=reader, writer=writer, order=InPlace(), law=Regression())
    trunk, rule = transformer(conditioned=True), everywhere if all_see_all else causal | within(text) | within(image)
    stages = (joint(trunk, words, out, reader, writer),)
    return System("masked_text", trunk=trunk, ports=(text, image), attention=rule, stages=stages, drop=Absent())
