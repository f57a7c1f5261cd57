"""Codes of a picture folded: each element is a piece of the grid, several codes together."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Int, Shaped
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Codec, Encoded
from tessera.draws import Draw


@runtime_checkable
class Grid(Protocol):
    """A picture codec whose elements are a grid of so many columns, in reading order."""

    pixels: int
    columns: int
    elements: int


class Folded(nn.Module):
    """A picture codec of codes in a grid, of which `rows` x `columns` make one element, [element, level], both in reading order.

    Source: SynerGen-VL (Li et al. 2024, arXiv:2412.09604), token folding. Raises ValueError where pieces do not fill the grid.
    """

    codec: Codec

    def __init__(self, codec: Codec, *, rows: int, columns: int):
        super().__init__()
        assert isinstance(codec, Grid)
        down, across = codec.elements // codec.columns, codec.columns
        if down % rows or across % columns:
            raise ValueError(
                f"Folded: pieces of {rows} x {columns} codes in a grid of {down} x {across}; the pieces must fill it; choose others"
            )
        self.codec, self.pixels, self.levels = codec, codec.pixels, rows * columns
        self.columns, self.elements = across // columns, codec.elements // self.levels
        self.shape = (down // rows, rows, across // columns, columns)

    def fold(self, codes: Shaped[Tensor, "number"]) -> Shaped[Tensor, "element level"]:
        """Something of each code, piece by piece."""
        return codes.reshape(self.shape).transpose(1, 2).reshape(self.elements, self.levels)

    def unfold(self, pieces: Shaped[Tensor, "element level"]) -> Shaped[Tensor, "number"]:
        """The same again in the order of the grid."""
        down, rows, across, columns = self.shape
        return pieces.reshape(down, across, rows, columns).transpose(1, 2).flatten()

    def encode(self, raws: Sequence, draws: Sequence[Draw] = ()) -> Encoded:
        """The pieces of each picture."""
        encoded = self.codec.encode(raws, draws)
        return Encoded([self.fold(clean) for clean in encoded.clean], encoded.nats)

    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Sequence | Tensor:
        """The pictures of pieces."""
        return self.codec.decode([self.unfold(clean) for clean in cleans], draws)

    def keep(self, mask: Bool[Tensor, "height wide"]) -> Bool[Tensor, "element"]:
        """Pieces of which all codes are given."""
        return self.fold(self.codec.keep(mask)).all(1)

    def blank(self, length: int | None = None) -> Int[Tensor, "element level"]:
        """Pieces of blank codes."""
        return self.fold(self.codec.blank(length))
