"""Pictures of any shape in tiles: the whole of it small, and its parts as large as an eye takes them."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from tessera.codecs.base import Encoded
from tessera.codecs.patches import Patches
from tessera.draws import Draw

Resize = Callable[[Tensor, int, int], Tensor]  # a uint8 picture, and the height and the width that it shall have


class Tiled(NamedTuple):
    """Squares of the whole picture and of its tiles, row by row, and which squares of all tiles show it; the others are filling."""

    whole: Float[Tensor, "... element feature"]
    tiles: Float[Tensor, "... height wide element feature"]
    shown: Int[Tensor, "... height wide"]


class Tiles:
    """Pictures of any size -> squares of `patch` x `patch` pixels, of the whole picture and of tiles of `pixels` x `pixels`.

    Of a tile, the last rows and columns that whole squares do not cover are not seen.

    `grids` are the (height, width) that tiles may make up together. The one in which most of the picture's own pixels stay is taken, and of
    those the smallest; the picture is scaled into it with `resize`, and black is filled in on both sides. Source: LLaVA-NeXT
    (Liu et al. 2024, llava-vl.github.io/blog/2024-01-30-llava-next), in its published code. `mean` and `spread` are as of `Patches`.
    """

    def __init__(
        self,
        *,
        pixels: int,
        patch: int,
        grids: Sequence[tuple[int, int]],
        resize: Resize,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        spread: Sequence[float] = (0.5, 0.5, 0.5),
    ):
        self.squares = Patches(pixels=pixels // patch * patch, patch=patch, mean=mean, spread=spread)
        self.pixels, self.patch, self.grids, self.resize = pixels, patch, tuple(grids), resize

    def encode(self, raws: Sequence[UInt8[Tensor, "3 height wide"]], draws: Sequence[Draw] = ()) -> Encoded:
        """`Tiled` squares of each picture."""
        found: list[Any] = [self._tiled(raw) for raw in raws]
        return Encoded(found)

    def _tiled(self, raw: UInt8[Tensor, "3 height wide"]) -> Tiled:
        size = raw.shape[1], raw.shape[2]
        grid = best(size, self.grids)
        rows, columns = (length // self.pixels for length in grid)
        parts = self._filled(raw, grid).unflatten(1, (rows, -1)).unflatten(3, (columns, -1)).permute(1, 3, 0, 2, 4).flatten(0, 1)
        seen, shown = self.squares.pixels, [self.resize(raw, self.pixels, self.pixels), *parts]
        squares = torch.stack([*self.squares.encode([one[:, :seen, :seen] for one in shown]).clean])
        return Tiled(squares[0], squares[1:].unflatten(0, (rows, columns)), self._shown(size, rows, columns))

    def _filled(self, raw: Tensor, grid: tuple[int, int]) -> Tensor:
        """The picture in the middle of the grid's pixels."""
        height, width = within(raw.shape[1:], grid)
        made = torch.zeros(3, *grid, dtype=torch.uint8)
        top, left = (grid[0] - height) // 2, (grid[1] - width) // 2
        made[:, top : top + height, left : left + width] = self.resize(raw, height, width)
        return made

    def _shown(self, size: tuple[int, int], rows: int, columns: int) -> Int[Tensor, "height wide"]:
        """The numbers of the squares between the filling, counted over all tiles; half a square of filling counts as shown."""
        height, width = rows * self.squares.columns, columns * self.squares.columns
        numbers = torch.arange(height * width).view(height, width)
        if size[1] / size[0] > width / height:
            spare = (height - int(round(size[0] * (width / size[1]), 7))) // 2
            return numbers[spare : height - spare]
        spare = (width - int(round(size[1] * (height / size[0]), 7))) // 2
        return numbers[:, spare : width - spare]

    def decode(self, cleans: Sequence[Tensor] | Tensor, draws: Sequence[Draw] = ()) -> Tensor:
        """Raises ValueError: tiles are only looked at."""
        raise ValueError("Tiles: a picture is to be painted; pictures in tiles are only looked at; ask for text")

    def keep(self, mask: Bool[Tensor, "height wide"]) -> Bool[Tensor, "element"]:
        """Raises ValueError: a picture that is looked at is given as a whole."""
        raise ValueError("Tiles: keep was given; pictures in tiles are given as a whole; leave it out")

    def blank(self, length: int | None = None) -> Tensor:
        """Raises ValueError, as `decode` does."""
        return self.decode([])


def within(size: Sequence[int], grid: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a picture that is scaled until it fills the grid in one direction."""
    scales = grid[0] / size[0], grid[1] / size[1]
    if scales[1] < scales[0]:
        return min(ceil(size[0] * scales[1]), grid[0]), grid[1]
    return grid[0], min(ceil(size[1] * scales[0]), grid[1])


def best(size: tuple[int, int], grids: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The grid in which most of the picture's pixels stay, and of those the one with the fewest of its own unused."""

    def worth(grid: tuple[int, int]) -> tuple[int, int]:
        scale = min(grid[0] / size[0], grid[1] / size[1])
        stay = min(int(size[0] * scale) * int(size[1] * scale), size[0] * size[1])
        return stay, stay - grid[0] * grid[1]

    return max(grids, key=worth)
