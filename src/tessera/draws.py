"""Randomness as an argument: what a document draws in training, and what a batch of rows draws in writing."""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Generator, Tensor

MIX = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: spreads neighbouring keys over all seeds


def seed_of(*key: int) -> int:
    """One seed from several whole numbers, the same on every machine."""
    seed = 0
    for part in key:
        seed = ((seed ^ part) * MIX + 1) % 2**64
        seed ^= seed >> 29
    return seed % 2**63


def generator(*key: int) -> Generator:
    """A random number generator of its own for this key."""
    return Generator().manual_seed(seed_of(*key))


class Draw:
    """One document's randomness in training, so that its draws do not depend on the batch around it.

    `progress` runs from 0 to 1 over the stage: schedules that change while training read it here.
    """

    def __init__(self, *key: int, progress: float = 0.0):
        self._key, self.progress = key, progress

    @cached_property
    def rng(self) -> Generator:
        """Made when first asked for: many documents draw nothing."""
        return generator(*self._key)


class Streams:
    """The generators of several rows, drawn side by side: `counts[i]` numbers come from `rngs[i]`."""

    def __init__(self, rngs: Sequence[Generator], counts: Sequence[int], like: Tensor):
        self._rngs, self._counts, self._like = rngs, counts, like

    def uniform(self, *shape: int) -> Float[Tensor, "answer ..."]:
        """Numbers in [0, 1) in float64, drawn on the CPU so that devices agree."""
        return self._each(torch.rand, shape).to(self._like.device)

    def normal(self, *shape: int) -> Float[Tensor, "answer ..."]:
        """Standard normal numbers, in the precision of the hidden states."""
        return self._each(torch.randn, shape).to(self._like)

    def _each(self, sample: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        rows = zip(self._rngs, self._counts, strict=True)
        return torch.cat([sample(count, *shape, generator=rng, dtype=torch.float64) for rng, count in rows])


def normal_like(like: Tensor, rng: Generator) -> Tensor:
    """Standard normal noise in the shape and precision of `like`, drawn on the CPU so that devices agree."""
    return torch.randn(like.shape, generator=rng, dtype=torch.float64).to(like)
