"""Masked: elements in any order, several at a time, each from all that is known so far."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from tessera.draws import Draw, Streams
from tessera.orders.base import Ask, Context, Coroutine, Corrupted, Done, Writing
from tessera.orders.deciding import Confident, Deciding, Surest, Turn

Schedule = Callable[[float], float]
"""The share of elements that is hidden at a time between 0 (all of them) and 1 (none)."""


def cosine(time: float) -> float:
    """Much is hidden for long: few elements become known at first, while little is known of the others."""
    return math.cos(math.pi / 2 * time)


def linear(time: float) -> float:
    """As many elements become known in every pass."""
    return 1 - time


class Power:
    """1 - time ** exponent: above 1 it begins slowly as `cosine` does, below 1 fast."""

    def __init__(self, exponent: float):
        self.exponent = exponent

    def __call__(self, time: float) -> float:
        return 1 - time**self.exponent


class PartlyHidden(NamedTuple):
    """A segment as the trunk sees it: its elements, 0 where they are hidden, and which are."""

    value: Tensor
    hidden: Bool[Tensor, "..."]


class Masked:
    """Hide some elements and learn them from the others; write in a few passes, some elements becoming known in each.

    In training `schedule` at a uniform time says which share of the elements not given is hidden (at least one); the loss
    is taken of these. In writing each of `steps` passes sees all elements, and `decide` says which of the hidden ones become
    known: as many as `schedule` says, or more. Every pass decides at least one, so there are never more passes than elements.
    A request that bounds the `nats` of a pass is written by `Surest`, whatever the usual way is.

    Where it is a `bound`, the hidden elements of a segment together stand for all that are to be written. With the schedule
    `linear` they are then any number of them, all as likely, and the loss is a bound on the nats of the segment, over orders:
    masked diffusion (Sahoo et al. 2024, arXiv:2406.07524; Nie et al. 2025, arXiv:2502.09992, appendix A).

    Source: Chang et al. 2022, arXiv:2202.04200 (MaskGIT), section 3; Xie et al. 2024, arXiv:2408.12528 (Show-o). Differs:
    the schedule counts the elements that are to be written, as MaskGIT's code does, where Show-o's counts given ones too;
    what is decided is never hidden again, whatever the noise; a last hidden element alone is drawn once.
    """

    lead, shared = 0, False

    def __init__(self, *, schedule: Schedule = cosine, steps: int = 8, decide: Deciding = Confident(), bound: bool = False):
        self.schedule, self.steps, self.decide, self.bound = schedule, steps, decide, bound

    def corrupt(self, clean: Tensor, keep: Bool[Tensor, "element"], context: Context, draw: Draw) -> Corrupted:
        """A share of what is not given is hidden and learned; nothing only where all is given."""
        free = (~keep).nonzero()[:, 0]
        share = self.schedule(float(torch.rand((), generator=draw.rng)))
        count = math.ceil(share * len(free)) if self.bound else round(share * len(free))
        some = torch.randperm(len(free), generator=draw.rng)[: max(1, count)]
        hidden = torch.zeros_like(keep).index_fill(0, free[some], True)
        return Corrupted(hide(clean, hidden), clean, hidden, len(free) / max(1, len(some)) if self.bound else 1.0)

    def reveal(self, clean: Tensor) -> PartlyHidden:
        """A given segment as the trunk sees it: nothing is hidden."""
        return hide(clean, torch.zeros(len(clean), dtype=torch.bool))

    def write(self, w: Writing) -> Coroutine:
        """Show the whole segment in every pass, leaving nothing behind; `like` also holds what was drawn and hidden again."""
        clean, hidden, steps = w.like, ~w.keep, w.steps or self.steps
        decide = self.decide if w.nats is None else Surest(w.nats)
        total = int(hidden.sum())
        for step in range(1, steps + 1):
            where = hidden.nonzero()[:, 0]
            if not len(where):
                break
            seen = yield Ask(hide(clean, hidden), clean=clean, known=1 - len(where) / len(clean))
            least = len(where) - self._left(step / steps, total, len(where))
            uniform = Streams([w.rng], [len(where)], w.like).uniform()
            known = yield from decide(Turn(seen.of(where), clean, where, least, step, steps, uniform))
            hidden = hidden.index_fill(0, where[known], False)
        return Done(clean)

    def _left(self, time: float, total: int, unknown: int) -> int:
        """How many elements stay hidden until the next pass: some, and fewer than before, until the last."""
        if time == 1 or unknown == 1:
            return 0
        scheduled = math.floor(total * self.schedule(time) + 1e-9)  # a product that is whole but for rounding is whole
        return max(1, min(unknown - 1, scheduled))


def hide(clean: Tensor, hidden: Bool[Tensor, "element"]) -> PartlyHidden:
    """The elements, those that are hidden blank."""
    return PartlyHidden(clean.masked_fill(hidden.view(-1, *[1] * (clean.ndim - 1)), 0), hidden)
