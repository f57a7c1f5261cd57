"""Attention rules: who may look at whom, said once over places and compiled to any mask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

from tessera.places import FIELDS, PADDING, Places, View

Predicate = Callable[[Places, Places], Tensor]


@runtime_checkable
class Numbered(Protocol):
    """What a rule needs to know of a port: its number, bound when a system is built, and its name."""

    name: str
    number: int


def among(numbers: Tensor, ports: Sequence[Numbered]) -> Tensor:
    """Where the number is that of one of these ports."""
    return torch.isin(numbers, torch.tensor([port.number for port in ports], dtype=torch.long, device=numbers.device))


@dataclass(frozen=True)
class AttentionRule:
    """A predicate over (looking place, looked-at place), composed with `&`, `|` and `~`."""

    name: str
    allows: Predicate

    def __and__(self, other: "AttentionRule") -> "AttentionRule":
        return AttentionRule(f"({self} & {other})", lambda q, k: self.allows(q, k) & other.allows(q, k))

    def __or__(self, other: "AttentionRule") -> "AttentionRule":
        return AttentionRule(f"({self} | {other})", lambda q, k: self.allows(q, k) | other.allows(q, k))

    def __invert__(self) -> "AttentionRule":
        return AttentionRule(f"~{self}", lambda q, k: ~self.allows(q, k))

    def __str__(self) -> str:
        return self.name

    def full(self, q: Places, k: Places) -> Tensor:
        """The rule inside one document, under the bar between views; padding looks at itself, lest its softmax be empty."""
        return (q.document == k.document) & ((bar.allows(q, k) & self.allows(q, k)) | (q.document == PADDING))

    def looks_ahead(self, ports: Sequence[Numbered]) -> bool:
        """Whether a place that one of these ports reads may look at what comes later: it is another then when more is there.

        What is given together, with nothing learned between, is there at once.
        """
        numbers, either = (torch.tensor(one, device="cpu") for one in ([port.number for port in ports], [0, 1]))
        looks, seen, looks_learned, seen_learned, turn = torch.cartesian_prod(numbers, numbers, either, either, either).T
        later = (seen_learned == 1) | (turn == 1)
        return bool((self.allows(_sample(looks, looks_learned, 0), _sample(seen, seen_learned, 1, turn)) & later).any())

    def dense(self, queries: Places, keys: Places) -> Bool[Tensor, "row query key"]:
        """The mask written out, True where a query may look. The oracle of every faster mask."""
        return self.full(Places(queries.data.unsqueeze(-1)), Places(keys.data.unsqueeze(-2)))

    def mask_mod(self, queries: Places, keys: Places) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """The same mask as FlexAttention wants it: a function of (row, head, query, key) numbers."""
        # a lambda, because FlexAttention counts arguments, which shape checking would wrap away
        return lambda row, head, query, key: self.full(Places(queries.data[:, row, query]), Places(keys.data[:, row, key]))


def _sample(port: Tensor, learned: Tensor, number: int, turn: Tensor | None = None) -> Places:
    """The first, or the second place of a document, each a segment of its own."""
    facts = {"port": port, "learned": learned, "segment": torch.full_like(port, number), "order": torch.full_like(port, number)}
    facts |= {} if turn is None else {"turn": turn}
    return Places(torch.stack([facts.get(name, torch.zeros_like(port)) for name in FIELDS]))


def _across_views(q: Places, k: Places) -> Tensor:
    return torch.where(q.segment == k.segment, q.view == k.view, k.view == View.PUBLIC.value)  # compiled, tensor == enum is False


bar = AttentionRule("bar", _across_views)
"""Inside a segment a place sees its own view only; other segments see public views only. Part of every rule."""

everywhere = AttentionRule("everywhere", lambda q, k: q.document == k.document)
"""Look at the whole document."""

causal = AttentionRule("causal", lambda q, k: q.order >= k.order)
"""Look at itself and at what came before."""

prefix = AttentionRule("prefix", lambda q, k: (q.turn == k.turn) & (q.learned == 0) & (k.learned == 0))
"""Look anywhere among what is given together, with nothing learned between."""

apart = AttentionRule("apart", lambda q, k: (q.learned == 1) | (k.learned == 0))
"""What is given does not look at what is learned."""


def lately(places: int) -> AttentionRule:
    """Look at so many places back at most, its own included."""
    return AttentionRule(f"lately({places})", lambda q, k: q.order - k.order < places)


def within(port: Numbered, *, behind: int = 0) -> AttentionRule:
    """Look anywhere inside the same segment, if `port` reads it; of its places those `behind` so many (a time, say, in front)."""
    inside = lambda q, k: (q.segment == k.segment) & (q.port == port.number)
    if not behind:
        return AttentionRule(f"within({port.name})", inside)
    return AttentionRule(f"within({port.name}, behind={behind})", lambda q, k: inside(q, k) & (q.order >= q.begins + behind))
