"""Encoder and decoder: what is given passes through one stack, what is learned through another that looks at the first."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor, nn

from tessera.attention import AttentionRule
from tessera.places import FIELDS, Places
from tessera.trunk.base import Hidden, Served
from tessera.trunk.cache import Cache, Pass
from tessera.trunk.halves import Half, Halves, HalvesCache, HalvesPass, Some
from tessera.trunk.layers import Sight, working
from tessera.trunk.rotary import GridRotary, Rotary, Turn
from tessera.trunk.transformer import Block, DecoderBlock, ParallelBlock, start


class Side(NamedTuple):
    """One half in one pass: its places, what they hold, their conditions, their turn, and its cache."""

    half: Half
    x: Some
    condition: Some | None
    turn: Turn
    opened: Pass | None

    def sight(self, rule: AttentionRule, of: "Side", encoded: Some | None = None) -> Sight:
        """What its places see of a side: of their own, or of the other, which is `encoded`."""
        keys = of.half.places if of.opened is None else of.opened.places
        other = None if encoded is None else (encoded, of.turn)
        return Sight(self.turn, rule.dense(self.half.places, keys), self.condition, of.opened, other=other)


class EncoderDecoder(nn.Module):
    """Blocks for what is given, and blocks for what is learned, which look at themselves and at what the first have made of the given.

    All attend under one rule: given places among themselves, learned ones among themselves, and learned ones at given ones. It serves
    every order, and every rule under which what is given does not look at what is learned. What a document gives behind something
    learned is encoded when it comes; what is given together comes in one pass. Observation points of a half show its places alone,
    at the front of their rows.
    Source: T5 (Raffel et al. 2019, arXiv:1910.10683, section 2.1), with the parts of Transformer. Raises ValueError where heads differ.
    """

    halved = True
    encoder: Sequence[Block | ParallelBlock]
    decoder: Sequence[DecoderBlock]

    def __init__(
        self,
        encoder: Sequence[Block | ParallelBlock],
        decoder: Sequence[DecoderBlock],
        *,
        norms: tuple[nn.Module, nn.Module],
        rotary: Rotary | GridRotary,
    ):
        super().__init__()
        shapes = {(attention.split[1], attention.size) for block in (*encoder, *decoder) for attention in block.parts[:1]}
        shapes |= {(block.parts[1].kv_heads, block.parts[1].size) for block in decoder}
        if len(shapes) != 1:
            raise ValueError(
                f"EncoderDecoder: attentions of (kv_heads, head size) {sorted(shapes)}; one for all is accepted; change those that differ"
            )
        self.embedded, self.rotary = nn.Identity(), rotary
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)  # type: ignore[assignment]
        self.encoder_norm, self.decoder_norm = norms
        start(encoder)
        start(decoder)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The encoder's, then the decoder's."""
        return [*self.encoder, *self.decoder]

    @property
    def active_parameters(self) -> int:
        """Those that work on a given place, or on a learned one if they are more: one has cross-attention's keys, the other its queries."""
        count = lambda modules: sum(parameter.numel() for module in modules for parameter in module.parameters())
        across = count(block.parts[1].kv for block in self.decoder)
        return max(count((*self.encoder, self.encoder_norm)) + across, count((*self.decoder, self.decoder_norm)) - across)

    def serves(self, rule: AttentionRule, ports: Sequence[Served]) -> None:
        """Raises ValueError where what is given would look at what is learned, which it cannot."""
        numbers = torch.arange(max(len(ports), 1), device="cpu")  # also where the trunk is none yet
        given, learned = _stand(numbers[:, None], segment=2, order=1, begins=1, turn=1), _stand(numbers[None], learned=1)
        if rule.full(given, learned).any():
            raise ValueError(
                f"EncoderDecoder: attention {rule}, under which what is given looks at what is learned; rules that forbid it are accepted, "
                "because the encoder does not see the decoder; say (causal | prefix) & apart"
            )

    def forward(
        self, embeddings: Hidden, condition: Hidden | None, places: Places, rule: AttentionRule, opened: HalvesPass | None = None
    ) -> Hidden:
        """Hidden states of the places. With `opened`, a pass of the cache, they also see what its rows hold."""
        halves, dtype = Halves.of(places) if opened is None else opened.halves, working(embeddings)
        x, passes = self.embedded(embeddings), (None, None) if opened is None else (opened.given, opened.learned)
        given, learned = (
            Side(half, half.of(x), None if condition is None else half.of(condition), self.rotary(half.places, dtype), seen)
            for half, seen in zip((halves.given, halves.learned), passes, strict=True)
        )
        encoded, hidden = self._encoded(given, rule), learned.x
        sight, across = learned.sight(rule, learned), learned.sight(rule, given, encoded)
        for block in self.decoder:
            hidden = block(hidden, sight, across)
        return halves.together(encoded, self.decoder_norm(hidden))

    def _encoded(self, given: Side, rule: AttentionRule) -> Some:
        """What is given, as the decoder sees it."""
        x = given.x
        if x.shape[1]:
            sight = given.sight(rule, given)
            for block in self.encoder:
                x = block(x, sight)
        elif given.opened is not None:
            given.opened.skip(len(self.encoder))
        return self.encoder_norm(x)

    def cache(self, *, rows: int, capacity: int) -> HalvesCache:
        """An empty cache: given places have keys and values in all blocks (the decoder looks at them too), learned ones in its own."""
        attention, encoder, decoder = self.decoder[0].parts[0], len(self.encoder), len(self.decoder)
        given, learned = (
            Cache(layers=layers, heads=attention.split[1], size=attention.size, rows=rows, capacity=capacity, like=attention.qkv.weight)
            for layers in (encoder + decoder, decoder)
        )
        return HalvesCache(given, learned)


def _stand(port: Int[Tensor, "row place"], **facts: int) -> Places:
    """Places of these ports that have the other facts in common."""
    return Places(torch.stack([port if name == "port" else torch.full_like(port, facts.get(name, 0)) for name in FIELDS]))
