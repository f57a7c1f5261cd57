"""Manners: how pictures and words are put to a system whose makers have settled that."""

from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from torch import Tensor

from tessera.document import Document


@runtime_checkable
class Manners(Protocol):
    """What stands between a user's pictures and words and those that a published system learned from."""

    def picture(self, picture: UInt8[Tensor, "3 height wide"]) -> UInt8[Tensor, "3 ..."]:
        """A picture of any size, scaled, cut or padded as the system wants it."""
        ...

    def drawing(self, picture: UInt8[Tensor, "3 height wide"]) -> UInt8[Tensor, "3 ..."]:
        """A picture of any size as the system draws them, for it to be learned."""
        ...

    def document(self, document: Document) -> Document:
        """The same segments with what the system is used to hearing around them: whose turn it is, what is asked of it."""
        ...
