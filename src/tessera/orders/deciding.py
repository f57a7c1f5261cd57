"""Deciding: which hidden elements become known in a pass, before they are drawn or by what was drawn."""

import math
from collections.abc import Generator
from typing import Any, NamedTuple, Protocol

from jaxtyping import Float, Int
from torch import Tensor

from tessera.orders.base import Pick, Seen, Weigh


class Turn(NamedTuple):
    """One pass of many: what was seen of the elements that are hidden, and at least how many of them shall become known.

    `clean` is the segment and `where` the numbers of its hidden elements. `uniform` holds a uniform number for each, of the
    request's own; `step` counts from 1 to `steps`.
    """

    seen: Seen
    clean: Tensor
    where: Int[Tensor, "answer"]
    least: int
    step: int
    steps: int
    uniform: Float[Tensor, "answer"]

    def fill(self, some: Int[Tensor, "answer"] | slice) -> Generator[Pick, Any, Tensor]:
        """Draw these of the hidden elements into the segment. Returns how sure the law is of each."""
        drawn = yield Pick(self.seen.of(some))
        self.clean[self.where[some]] = drawn.value.to(self.clean)
        return drawn.confidence


class Deciding(Protocol):
    """Draws elements into the segment; returns which of the hidden ones are known from now on, as numbers into `where`."""

    def __call__(self, turn: Turn) -> Generator[Pick | Weigh, Any, Int[Tensor, "answer"]]: ...


class Confident:
    """Draws all that is hidden and keeps what the law is surest of.

    Confidence is the law's, a logarithm, plus Gumbel noise times a temperature, which falls from `temperature` to 0
    over the passes: in a line, or, where it `compounds`, by the same factors multiplied up, as in Show-o's code. It leans
    towards likely elements, even when one becomes known in a pass.

    Source: Chang et al. 2022, arXiv:2202.04200 (MaskGIT), section 3.2; Xie et al. 2024, arXiv:2408.12528 (Show-o).
    """

    def __init__(self, temperature: float = 1.0, *, compounds: bool = False):
        self.temperature, self.compounds = temperature, compounds

    def __call__(self, turn: Turn) -> Generator[Pick, Any, Int[Tensor, "answer"]]:
        confidence = (yield from turn.fill(slice(None))).to(turn.uniform)
        return (confidence + self.at(turn.step, turn.steps) * gumbel(turn.uniform)).topk(turn.least).indices

    def at(self, step: int, steps: int) -> float:
        """The temperature in a pass."""
        factors = [1 - one / steps for one in range(1, step + 1)]
        return self.temperature * (math.prod(factors) if self.compounds else factors[-1])


def by_chance(turn: Turn) -> Generator[Pick, Any, Int[Tensor, "answer"]]:
    """Any of the hidden elements, as many as have to be; only those are drawn. One in a pass, they follow the model."""
    some = turn.uniform.topk(turn.least).indices
    yield from turn.fill(some)
    return some


class Surest:
    """Those that the model leaves least open, as many as do not depend on each other by more than so many `nats`; only they are drawn.

    How much a model leaves open is the entropy of an element, without temperature and cut tails. What k elements hold in
    common is at most the sum of their entropies less the largest: that many nats is what they lose, at most, by being drawn
    apart. So 0 decides one in a pass (and all that are certain), and infinity all. The elements are chosen before they are
    drawn: unlike confidence this leans towards none, and one in a pass they follow the model.

    Source: Ben-Hamu et al. 2025, arXiv:2505.24857 (EB-Sampler), section 3. Differs: no fewer than the schedule says, so that
    the number of passes is bounded too.
    """

    def __init__(self, nats: float):
        self.nats = nats

    def __call__(self, turn: Turn) -> Generator[Pick | Weigh, Any, Int[Tensor, "answer"]]:
        entropy, surest = (yield Weigh(turn.seen)).to(turn.uniform).sort(stable=True)
        shared = entropy.cumsum(0) - entropy
        some = surest[: max(turn.least, int((shared <= self.nats).sum()))]
        yield from turn.fill(some)
        return some


def log(x: Float[Tensor, "answer"]) -> Float[Tensor, "answer"]:
    """Logarithms, of numbers below 1e-20 that of 1e-20: a uniform number may be 0."""
    return x.clamp(min=1e-20).log()


def gumbel(uniform: Float[Tensor, "answer"]) -> Float[Tensor, "answer"]:
    """Gumbel noise from uniform numbers: the largest of log p plus noise belongs to each i with probability p[i]."""
    return -log(-log(uniform))
