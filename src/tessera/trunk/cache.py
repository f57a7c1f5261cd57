"""The cache: keys and values of places already seen, so that writing pays for new places only."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tessera.places import FIELDS, UNUSED, Places


class Snapshot(NamedTuple):
    """How far some rows were filled. Keys beyond are overwritten, never cleared, so this is all there is to keep."""

    rows: Tensor
    lengths: Tensor


class Cache:
    """Keys and values [layer][row, head, place, size] with the Places they belong to, and a length per row.

    New places are always written behind a row's length; `commit` moves the length past them, and without it the next
    pass overwrites them (a peek: steps in place leave nothing behind). Rows are taken and given back as documents need
    them. `capacity`, in places, grows when a row outgrows it.
    """

    def __init__(self, *, layers: int, heads: int, size: int, rows: int, capacity: int, like: Tensor):
        self.keys = [like.new_zeros(rows, heads, capacity, size) for _ in range(layers)]
        self.values = [torch.zeros_like(keys) for keys in self.keys]
        self.places = torch.full((len(FIELDS), rows, capacity), UNUSED, device=like.device)
        self.lengths = torch.zeros(rows, dtype=torch.long)  # on the CPU: read by Python at every pass
        self._unused = list(range(rows))[::-1]

    def take(self) -> int:
        """An empty row."""
        return self._unused.pop()

    def give(self, row: int) -> None:
        """The row is free again."""
        self.lengths[row] = 0
        self.places[:, row] = UNUSED
        self._unused.append(row)

    def snapshot(self, rows: Sequence[int]) -> Snapshot:
        """What `restore` needs to forget all that is committed to these rows from now on."""
        index = torch.tensor(rows)
        return Snapshot(index, self.lengths[index])

    def restore(self, snapshot: Snapshot) -> None:
        """The rows are as they were at the snapshot."""
        for row, length in zip(snapshot.rows.tolist(), snapshot.lengths.tolist(), strict=True):
            self.lengths[row] = length
            self.places[:, row, length:] = UNUSED

    def open(self, rows: Sequence[int], new: Places) -> "Pass":
        """One pass of new places [field, row, place] through the trunk, for these rows."""
        lengths = self.lengths[torch.tensor(rows)]
        count = new.data.shape[-1]
        used = int(lengths.max()) + count
        self._reserve(used)
        side_by_side = list(rows) == list(range(rows[0], rows[0] + len(rows)))  # then a slice saves copying the cache
        where = slice(rows[0], rows[0] + len(rows)) if side_by_side else torch.tensor(rows, device=self.places.device)
        at = (lengths[:, None] + torch.arange(count)).to(self.places.device)
        opened = Pass(self, rows, where, at, used)
        self.places[:, opened.index, at] = new.data
        return opened

    def _reserve(self, used: int) -> None:
        capacity = self.places.shape[-1]
        if used <= capacity:
            return
        more = max(used, 2 * capacity) - capacity
        for store in (self.keys, self.values):
            for layer, old in enumerate(store):
                store[layer] = torch.cat([old, old.new_zeros(*old.shape[:2], more, old.shape[3])], 2)
        unused = torch.full((*self.places.shape[:2], more), UNUSED, device=self.places.device)
        self.places = torch.cat([self.places, unused], -1)


class Pass:
    """The cache as one pass sees it: its rows, old places and new ones."""

    def __init__(self, cache: Cache, rows: Sequence[int], where: slice | Tensor, at: Tensor, used: int):
        self.cache, self.rows, self.where, self.at, self.used = cache, rows, where, at, used
        self.index = torch.tensor(rows, device=at.device)[:, None]
        self.layer = 0

    @property
    def places(self) -> Places:
        """All places a new one may look at, its own included; unused ones among them fit no document."""
        return Places(self.cache.places[:, self.where, : self.used])

    def extend(
        self, keys: Float[Tensor, "row kvhead place size"], values: Float[Tensor, "row kvhead place size"]
    ) -> tuple[Float[Tensor, "row kvhead key size"], Float[Tensor, "row kvhead key size"]]:
        """Keys and values of the next layer, old and new. Called once per layer, in order."""
        old_keys, old_values = self.cache.keys[self.layer], self.cache.values[self.layer]
        old_keys[self.index, :, self.at] = keys.transpose(1, 2)
        old_values[self.index, :, self.at] = values.transpose(1, 2)
        self.layer += 1
        return old_keys[self.where, :, : self.used], old_values[self.where, :, : self.used]

    def commit(self, keep: Sequence[bool]) -> None:
        """Keep the new places of the rows where `keep` is True; those of the others will be overwritten."""
        count = self.at.shape[1]
        for row, kept in zip(self.rows, keep, strict=True):
            if kept:
                self.cache.lengths[row] += count
            else:
                start = int(self.cache.lengths[row])
                self.cache.places[:, row, start : start + count] = UNUSED
