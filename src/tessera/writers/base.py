"""What every writer says: hidden states turned into what a law needs."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Writer(Protocol):
    """hidden (and what the reader sent round the trunk) -> parameters of a law, which may tell it more."""

    def __call__(self, hidden: Float[Tensor, "*answers width"], aside: Tensor | None, *told: Tensor) -> Tensor: ...


@runtime_checkable
class Whole(Protocol):
    """What a writer says besides whose elements are not alone: it is asked for all `elements` of a segment, segment after segment."""

    elements: int


@runtime_checkable
class Partial(Protocol):
    """What a writer says besides that can say some of its features alone, for less."""

    def some(self, hidden: Float[Tensor, "*answers width"], features: slice) -> Tensor: ...
