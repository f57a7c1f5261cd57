"""Random numbers that are the same on every machine, forever: a counter-based stream under a named key."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

Item = TypeVar("Item")


@runtime_checkable
class Chooser(Protocol):
    """Whatever chooses: dice, or each way in turn (`every`)."""

    def choose(self, items: Sequence[Item]) -> Item: ...


class Dice:
    """Draws keyed by any values that print the same everywhere: Dice("v1", "easy", "train", 17).

    Only the raw Philox stream is used, which NumPy promises never to change; its distributions may change.
    """

    def __init__(self, *key: object):
        digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
        self._bits = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
        self._block: list[float] = []

    def uniform(self) -> float:
        """A number in [0, 1)."""
        if not self._block:
            self._block = ((self._bits.random_raw(32) >> 11) * 2.0**-53).tolist()
        return self._block.pop()

    def below(self, n: int) -> int:
        """A whole number in [0, n)."""
        return int(self.uniform() * n)

    def choose(self, items: Sequence[Item]) -> Item:
        """One of the items, each as likely."""
        return items[int(self.uniform() * len(items))]

    def sample(self, items: Sequence[Item], n: int) -> list[Item]:
        """n different items, in random order."""
        pool = list(items)
        return [pool.pop(self.below(len(pool))) for _ in range(n)]

    def weighted(self, items: Sequence[Item], weights: Sequence[float]) -> Item:
        """One of the items, as likely as its weight."""
        left = self.uniform() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return items[-1]


def every(make: Callable[[Chooser], Item]) -> Iterator[Item]:
    """What `make` makes under every way in which its choices can fall, those made last varying first."""
    path: list[int] = []
    while True:
        choices = _Path(path)
        yield make(choices)
        while path and path[-1] + 1 == choices.ways[len(path) - 1]:
            path.pop()
        if not path:
            return
        path[-1] += 1


class _Path:
    """Choices that follow a path, and take the first of what lies beyond it, which makes the path longer."""

    def __init__(self, path: list[int]):
        self.path, self.ways = path, list[int]()

    def choose(self, items: Sequence[Item]) -> Item:
        if len(self.ways) == len(self.path):
            self.path.append(0)
        self.ways.append(len(items))
        return items[self.path[len(self.ways) - 1]]
