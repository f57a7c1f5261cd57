"""Pictures of any shape as one line of ids, as a tokenizer's vocabulary spells them."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor, nn

from tessera.codecs.base import Encoded, numbers_of
from tessera.codecs.reconstruction import Coder
from tessera.codecs.shifted import Shifted
from tessera.draws import Draw


class Lines(nn.Module):
    """Pictures of any size -> the ids of `codes`, row by row: `begins` in front, which is told rows and columns, `ended` behind each row.

    Behind the last stand the ids `ends`. Sides are multiples of `stride`, that of the codec. Only looked at: what is drawn has one shape.
    Source: Emu3 (Wang et al. 2024, arXiv:2409.18869, section 2.2), in its code.
    """

    codes: Shifted
    marked = False

    def __init__(self, codes: Shifted, *, stride: int, begins: Callable[[int, int], Sequence[int]], ended: int, ends: Sequence[int]):
        super().__init__()
        self.codes, self.stride, self.begins, self.ended, self.ends = codes, stride, begins, ended, tuple(ends)
        self.pixels = codes.pixels  # the side of one whose shape nobody told

    @torch.no_grad()
    def encode(self, raws: Sequence[UInt8[Tensor, "3 height wide"]], draws: Sequence[Draw] = ()) -> Encoded:
        """A line for each picture; all have one shape."""
        codec = self.codes.codec
        assert isinstance(codec, Coder)
        height, width = raws[0].shape[1:]
        if height % self.stride or width % self.stride:
            raise ValueError(
                f"Lines: a picture of {height} x {width} pixels; multiples of {self.stride} are accepted; scale it by the system's "
                "manners (`system.manners.picture`)"
            )
        ids = self.codes.shifted(codec.quantizer(codec.latents(numbers_of(raws, next(codec.parameters())))).codes)
        return Encoded([self._line(grid) for grid in ids.unflatten(1, (height // self.stride, -1))])

    def _line(self, grid: Int[Tensor, "height wide"]) -> Int[Tensor, "element"]:
        rows, columns = grid.shape
        spelt = torch.cat([grid, grid.new_full((rows, 1), self.ended)], 1).flatten()
        return torch.cat([spelt.new_tensor(self.begins(rows, columns)), spelt, spelt.new_tensor(self.ends)])

    def decode(self, cleans: Sequence[Tensor] | Tensor, draws: Sequence[Draw] = ()) -> Tensor:
        """Raises ValueError: lines are only looked at."""
        raise ValueError("Lines: a picture is to be painted; pictures of any shape are only looked at; ask for text")

    def keep(self, mask: Bool[Tensor, "height wide"]) -> Bool[Tensor, "element"]:
        """Raises ValueError: a picture that is looked at is given as a whole."""
        raise ValueError("Lines: keep was given; pictures of any shape are given as a whole; leave it out")

    def blank(self, length: int | None = None) -> Tensor:
        """Raises ValueError, as `decode` does."""
        return self.decode([])
