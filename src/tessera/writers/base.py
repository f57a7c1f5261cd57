"""What every writer says: hidden states turned into what a law needs."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Writer(Protocol):
    """hidden (and what the reader sent round the trunk) -> parameters of a law, which may tell it more.

    `elementwise` says that each answer is alone; if not, the writer is handed those of whole segments, one segment after another.
    """

    elementwise: bool

    def __call__(self, hidden: Float[Tensor, "*answers width"], aside: Tensor | None, *told: Tensor) -> Tensor: ...
