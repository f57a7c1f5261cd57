"""The cache: keys and values of places already seen, so that writing pays for new places only."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tessera.places import FIELDS, UNUSED, Places


class Snapshot(NamedTuple):
    """How far some rows were filled. Keys beyond are overwritten, never cleared, so this is all there is to keep."""

    rows: tuple[int, ...]
    lengths: tuple[int, ...]


class Cache:
    """Keys and values, `layers[i][row, 2, head, place, size]`, with the Places they belong to, and a length per row.

    What a head looks back at lies side by side, so that attention reads it in one go.

    New places are always written behind a row's length; `commit` moves the length past them, and without it the next
    pass overwrites them (a peek: steps in place leave nothing behind). Rows are taken and given back as documents need
    them. `capacity`, in places, grows when a row outgrows it.
    """

    pads = True

    def __init__(self, *, layers: int, heads: int, size: int, rows: int, capacity: int, like: Tensor):
        self.layers = [like.new_zeros(rows, 2, heads, capacity, size) for _ in range(layers)]
        self.heads = heads
        self.places = torch.full((len(FIELDS), rows, capacity), UNUSED, device=like.device)
        self.lengths = [0] * rows
        self._unused = list(range(rows))[::-1]

    def take(self) -> int:
        """An empty row."""
        return self._unused.pop()

    def give(self, row: int) -> None:
        """The row is free again."""
        self.lengths[row] = 0
        self.places[:, row] = UNUSED
        self._unused.append(row)

    def copy(self, row: int, others: Sequence[int]) -> None:
        """Other rows hold what this one does."""
        length = self.lengths[row]
        for store in self.layers:
            store[others, ..., :length, :] = store[row, ..., :length, :].clone()
        self.places[:, others] = self.places[:, row, None].clone()
        for other in others:
            self.lengths[other] = length

    def snapshot(self, rows: Sequence[int]) -> Snapshot:
        """What `restore` needs to forget all that is committed to these rows from now on."""
        return Snapshot(tuple(rows), tuple(self.lengths[row] for row in rows))

    def restore(self, snapshot: Snapshot) -> None:
        """The rows are as they were at the snapshot."""
        for row, length in zip(*snapshot, strict=True):
            self.lengths[row] = length
            self.places[:, row, length:] = UNUSED

    def open(self, rows: Sequence[int], new: Places, counts: Sequence[int] | None = None) -> "Pass":
        """One pass of new places [field, row, place] through the trunk, for these rows.

        `counts` says how many of each row's are real, where some rows are padded behind them: only those are committed.
        """
        lengths, count = [self.lengths[row] for row in rows], new.data.shape[-1]
        self._reserve(max(lengths) + count)
        opened = Pass(self, rows, lengths, [count] * len(rows) if counts is None else counts, count)
        self.places.flatten(1, 2).index_copy_(1, opened.at, new.data.flatten(1, 2))
        return opened

    def _reserve(self, used: int) -> None:
        capacity = self.places.shape[-1]
        if used <= capacity:
            return
        more = max(used, 2 * capacity) - capacity
        for i, old in enumerate(self.layers):  # one after another, lest all be there twice
            self.layers[i] = F.pad(old, (0, 0, 0, more))
        unused = torch.full((*self.places.shape[:2], more), UNUSED, device=self.places.device)
        self.places = torch.cat([self.places, unused], -1)


def selected(rows: Sequence[int], device: torch.device) -> slice | Tensor:
    """What to index rows by: those side by side are a slice, and nothing is copied."""
    first = rows[0]
    return slice(first, first + len(rows)) if list(rows) == list(range(first, first + len(rows))) else torch.tensor(rows, device=device)


class Pass:
    """The cache as one pass sees it: its rows, old places and new ones."""

    def __init__(self, cache: Cache, rows: Sequence[int], lengths: Sequence[int], counts: Sequence[int], count: int):
        self.cache, self.rows, self.counts, self.count = cache, rows, counts, count
        self.used, self.layer = max(lengths) + count, 0
        device, capacity = cache.places.device, cache.places.shape[-1]
        self.where, numbers = selected(rows, device), torch.tensor(rows, device=device)
        place = torch.tensor(lengths, device=device)[:, None] + torch.arange(count, device=device)
        heads = numbers[:, None, None] * 2 * cache.heads + torch.arange(2 * cache.heads, device=device)
        self.at = (numbers[:, None] * capacity + place).flatten()  # among the places of all rows
        self._at_heads = (heads * capacity + place[:, :, None]).flatten()  # among those of all heads of all rows

    @property
    def places(self) -> Places:
        """All places a new one may look at, its own included; unused ones among them fit no document."""
        return Places(self.cache.places[:, self.where, : self.used])

    def extend(
        self, keys: Float[Tensor, "row kvhead place size"], values: Float[Tensor, "row kvhead place size"]
    ) -> tuple[Float[Tensor, "row kvhead key size"], Float[Tensor, "row kvhead key size"]]:
        """Keys and values of the next layer, old and new. Called once per layer, in order."""
        return self.extend_with(torch.cat([keys, values], 1).transpose(1, 2))

    def extend_with(
        self, both: Float[Tensor, "row place head size"]
    ) -> tuple[Float[Tensor, "row kvhead key size"], Float[Tensor, "row kvhead key size"]]:
        """The same for keys and values of all heads, one behind the other in each place."""
        store = self.cache.layers[self.layer]
        self.layer += 1
        store.view(-1, both.shape[-1]).index_copy_(0, self._at_heads, both.flatten(0, 2).to(store.dtype))
        keys, values = store[self.where, ..., : self.used, :].unbind(1)
        return keys, values

    def skip(self, layers: int) -> None:
        """The next layers have nothing new."""
        self.layer += layers

    def commit(self, keep: Sequence[bool]) -> None:
        """Keep the new places of the rows where `keep` is True; those of the others will be overwritten."""
        for row, real, kept in zip(self.rows, self.counts, keep, strict=True):
            start = self.cache.lengths[row]
            end = start + real if kept else start
            self.cache.lengths[row] = end
            if end < start + self.count:
                self.cache.places[:, row, end : start + self.count] = UNUSED
