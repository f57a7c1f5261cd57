"""What every writer says: hidden states turned into what a law needs."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

Which = slice | Int[Tensor, "feature"]  # some of the features a writer may give


@runtime_checkable
class Writer(Protocol):
    """hidden (and what the reader sent round the trunk) -> parameters of a law, or, where the others would be waste, `only` some."""

    def __call__(self, hidden: Float[Tensor, "*answers width"], aside: Tensor | None, only: Which | None = None) -> Tensor: ...
