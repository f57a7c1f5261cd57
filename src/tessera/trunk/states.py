"""States: what a recurrent trunk remembers of documents being written, of one size however long they are."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from tessera.places import Places
from tessera.trunk.cache import selected


class State(NamedTuple):
    """Of some rows in one layer: the last inputs of the convolution, and the memory."""

    tail: Float[Tensor, "row past width"]
    memory: Float[Tensor, "row head size state"]


class Kept(NamedTuple):
    """The states of some rows, copied."""

    rows: tuple[int, ...]
    layers: tuple[State, ...]


class StateCache:
    """The states of rows, layer by layer.

    Rows are taken and given back as documents need them; `commit` moves a row's state on, and without it a pass leaves nothing behind.
    A state would remember padding.
    """

    pads = False

    def __init__(self, empty: State, *, layers: int, rows: int):
        self.layers = [State(*(part.clone() for part in empty)) for _ in range(layers)]
        self._unused = list(range(rows))[::-1]

    def take(self) -> int:
        """An empty row."""
        return self._unused.pop()

    def give(self, row: int) -> None:
        """The row is free again."""
        for layer in self.layers:
            for part in layer:
                part[row] = 0
        self._unused.append(row)

    def copy(self, row: int, others: Sequence[int]) -> None:
        """Other rows hold what this one does."""
        for layer in self.layers:
            for part in layer:
                part[others] = part[row].clone()

    def snapshot(self, rows: Sequence[int]) -> Kept:
        """What `restore` needs to forget all that is committed to these rows from now on."""
        return Kept(tuple(rows), tuple(State(*(part[list(rows)].clone() for part in layer)) for layer in self.layers))

    def restore(self, kept: Kept) -> None:
        """The rows are as they were at the snapshot."""
        for layer, old in zip(self.layers, kept.layers, strict=True):
            for part, was in zip(layer, old, strict=True):
                part[list(kept.rows)] = was

    def open(self, rows: Sequence[int], new: Places, counts: Sequence[int] | None = None) -> "StatePass":
        """One pass of new places through the trunk, for these rows; all are real."""
        return StatePass(self, rows)


class StatePass:
    """The cache as one pass sees it: asked for the state of each layer in turn, and told what became of it."""

    def __init__(self, cache: StateCache, rows: Sequence[int]):
        self.cache, self.rows, self.after = cache, list(rows), list[State]()
        self.where = selected(self.rows, cache.layers[0].tail.device)

    def state(self) -> State:
        """Of the next layer."""
        tail, memory = self.cache.layers[len(self.after)]
        return State(tail[self.where], memory[self.where])

    def pass_on(self, state: State) -> None:
        """What the layer has made of it."""
        self.after.append(state)

    def commit(self, keep: Sequence[bool]) -> None:
        """Rows where `keep` is True go on from here; the others are as they were."""
        kept = [i for i, one in enumerate(keep) if one]
        some, where = (slice(None), self.where) if all(keep) else (kept, [self.rows[i] for i in kept])
        for layer, after in zip(self.cache.layers, self.after, strict=True):
            for part, new in zip(layer, after, strict=True):
                part[where] = new[some].to(part)
