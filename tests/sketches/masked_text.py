"""Text too in any order, as in D-DiT: Masked x Categorical over texts of one length, and pictures along a flow."""

import torch
from torch import nn

from sketches.parts import WIDTH, InPlace, NoisedReader, Regression, SkipWriter, joint, patches, transformer
from tessera.attention import causal, within
from tessera.codecs import BPE
from tessera.codecs.base import Encoded
from tessera.document import Image, Text
from tessera.drops import Absent
from tessera.laws import Categorical
from tessera.orders import Masked
from tessera.ports import Port
from tessera.readers import HiddenReader, TokenReader
from tessera.system import System
from tessera.writers import LinearWriter

PRESETS = {"tiny": {}}


class Padded:
    """A text codec whose texts all have `length` ids, filled up with `end`."""

    def __init__(self, codec: BPE, length: int):
        self.codec, self.length, self.markers, self.tokenizer, self.decode = codec, length, codec.markers, codec.tokenizer, codec.decode

    def encode(self, raws, draws=()):
        rows = self.codec.encode(raws, draws).clean
        return Encoded([torch.cat([row, torch.full((self.length - len(row),), self.markers.end)]) for row in rows])

    def keep(self, mask):
        return self.codec.keep(mask)

    def blank(self, length=None):
        return torch.zeros(self.length + 1, dtype=torch.long)  # and the `end` that closes every text


def masked_text(length: int = 24) -> System:
    """Attention is open inside texts and inside pictures."""
    bpe, codec = BPE(), patches()
    words, out = HiddenReader(TokenReader(nn.Embedding(bpe.size, WIDTH)), WIDTH), LinearWriter(WIDTH, bpe.size)
    law = Categorical(allowed=bpe.writable)
    text = Port("text", Text, codec=Padded(bpe, length), reader=words, writer=out, order=Masked(steps=3), law=law)
    reader, writer = NoisedReader(codec.features), SkipWriter(codec.features)
    image = Port("image", Image, codec=codec, reader=reader, writer=writer, order=InPlace(), law=Regression())
    trunk, rule = transformer(conditioned=True), causal | within(text) | within(image)
    stages = (joint(trunk, words, out, reader, writer),)
    return System("masked_text", trunk=trunk, ports=(text, image), attention=rule, stages=stages, drop=Absent())
