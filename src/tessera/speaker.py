"""Speakers: what a system speaks with, made afresh, or a language model that has learned to."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor, nn

from tessera.attention import AttentionRule, causal
from tessera.codecs import BPE
from tessera.document import Text
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.ports import Port
from tessera.readers import TokenReader
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.trunk.layers import Norm
from tessera.writers import LinearWriter


@dataclass(frozen=True)
class Speaker:
    """The codec of text, the reader and the writer of ids, which of them a text may hold, and what makes trunks that think in these.

    `looks` is the rule by which places look back, which a system may widen (`speaks.looks | within(image)`). Where it has `learned`
    before, every trunk that it makes has, and no stage need stand for that.
    """

    codec: BPE
    reader: TokenReader
    writer: LinearWriter
    allowed: Int[Tensor, "value"]
    tower: Callable[[], Transformer]
    looks: AttentionRule = causal
    learned: bool = False

    @property
    def width(self) -> int:
        """Features of a place."""
        return self.reader.table.embedding_dim

    @property
    def size(self) -> int:
        """How many ids there are."""
        return self.reader.table.num_embeddings

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """What moves when it learns words: the head is the table where they are tied."""
        return (self.reader,) if self.writer.out.weight is self.reader.table.weight else (self.reader, self.writer)

    def port(self) -> Port:
        """The port of text."""
        law = Categorical(allowed=self.allowed, sampling=Sampling(temperature=0.0))
        return Port("text", Text, codec=self.codec, reader=self.reader, writer=self.writer, order=Next(), law=law)

    def extended(self, ids: int) -> "Speaker":
        """The same with so many ids more, for codes or markers, which are no text. Their rows are drawn with the spread of those there."""
        table = nn.Embedding(self.size + ids, self.width)
        writer = LinearWriter(self.width, self.size + ids, tied=table if len(self.parts) == 1 else None)
        with torch.no_grad():
            for taller, known in ((table.weight, self.reader.table.weight), (writer.out.weight, self.writer.out.weight)):
                taller[: self.size] = known
                taller[self.size :] = torch.randn_like(taller[self.size :]) * known.std()
        return replace(self, reader=TokenReader(table, scale=self.reader.scale), writer=writer)


def speaker(width: int, tower: Callable[[], Transformer]) -> Speaker:
    """One that has everything to learn, over the tokenizer that comes with the library. Table and head are tied."""
    bpe = BPE()
    table = nn.Embedding(bpe.size, width)
    head = LinearWriter(width, bpe.size, tied=table)
    return Speaker(bpe, TokenReader(table, scale=width**0.5), head, bpe.writable, tower)


def transformer(width: int, depth: int, heads: int, *, qk_norm: Norm | None = None) -> Transformer:
    """A trunk as language models have it: normed before every step, with rotary positions and gated MLPs."""
    norm = lambda inner: PreNorm(nn.RMSNorm(width), inner)
    blocks = [Block(norm(SelfAttention(width, heads, qk_norm=qk_norm)), norm(SwiGLU(width))) for _ in range(depth)]
    return Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(width // heads))
