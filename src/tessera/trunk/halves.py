"""Halves: places told apart by what is given and what is learned, each half at the front of its rows, and a cache of both."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tessera.places import FIELDS, PADDING, Places
from tessera.trunk.base import Hidden
from tessera.trunk.cache import Cache, Pass, Snapshot

Some = Float[Tensor, "row ... width"]  # hidden states of some of the places


class Half(NamedTuple):
    """The places of one half, moved to the front of their rows: where they stood, what is true of them, how many each row has."""

    stood: Int[Tensor, "row place"]
    places: Places
    counts: list[int]

    def of(self, x: Hidden) -> Some:
        """What belongs to them; rows are padded behind with anything."""
        return taken(x, self.stood)


class Halves(NamedTuple):
    """Given and learned places of some rows, and where each place is found behind all given and all learned ones."""

    given: Half
    learned: Half
    back: Int[Tensor, "row place"]

    @classmethod
    def of(cls, places: Places) -> "Halves":
        """Told apart by what is learned; padding belongs to neither."""
        given, learned = ((places.document != PADDING) & (places.learned == side) for side in (0, 1))
        front = _half(places, given)
        rank, behind = (mine.cumsum(1) - 1 for mine in (given, learned))
        return cls(front, _half(places, learned), torch.where(learned, front.stood.shape[1] + behind, rank.clamp(min=0)))

    def together(self, given: Some, learned: Some) -> Hidden:
        """Both halves, every place where it stood; what padding holds means nothing."""
        return taken(torch.cat([given, learned], 1), self.back)


def taken(x: Some, index: Int[Tensor, "row place"]) -> Hidden:
    """The places of these numbers, row by row."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))


def _half(places: Places, mine: Bool[Tensor, "row place"]) -> Half:
    counts = mine.sum(1)
    each = counts.cpu().tolist()
    index = (~mine).long().argsort(dim=1, stable=True)[:, : max(each)]
    padded = torch.arange(index.shape[1], device=index.device) >= counts[:, None]
    data = places.data.take_along_dim(index[None], 2)
    data[FIELDS.index("document")].masked_fill_(padded, PADDING)
    return Half(index, Places(data), each)


class HalvesPass(NamedTuple):
    """The cache as one pass sees it: the new places of either half, and what the rows hold."""

    halves: Halves
    given: Pass
    learned: Pass

    def commit(self, keep: Sequence[bool]) -> None:
        """Keep the new places of the rows where `keep` is True; those of the others will be overwritten."""
        self.given.commit(keep)
        self.learned.commit(keep)


class HalvesCache:
    """What was given and what was learned of documents being written, each half with keys and values of its own layers."""

    pads = True

    def __init__(self, given: Cache, learned: Cache):
        self.given, self.learned = given, learned

    def take(self) -> int:
        """An empty row, of the same number in both."""
        row, same = self.given.take(), self.learned.take()
        assert row == same
        return row

    def give(self, row: int) -> None:
        """The row is free again."""
        self.given.give(row)
        self.learned.give(row)

    def copy(self, row: int, others: Sequence[int]) -> None:
        """Other rows hold what this one does."""
        self.given.copy(row, others)
        self.learned.copy(row, others)

    def snapshot(self, rows: Sequence[int]) -> tuple[Snapshot, Snapshot]:
        """What `restore` needs to forget all that is committed to these rows from now on."""
        return self.given.snapshot(rows), self.learned.snapshot(rows)

    def restore(self, snapshot: tuple[Snapshot, Snapshot]) -> None:
        """The rows are as they were at the snapshot."""
        self.given.restore(snapshot[0])
        self.learned.restore(snapshot[1])

    def open(self, rows: Sequence[int], new: Places, counts: Sequence[int] | None = None) -> HalvesPass:
        """One pass of new places through the trunk, for these rows; each half counts its own."""
        halves = Halves.of(new)
        given, learned = halves.given, halves.learned
        opened = self.given.open(rows, given.places, given.counts), self.learned.open(rows, learned.places, learned.counts)
        return HalvesPass(halves, *opened)
