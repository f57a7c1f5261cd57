"""Pictures as squares of pixels: no weights, nothing lost."""

from collections.abc import Sequence
from itertools import product
from math import pi

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tessera.codecs.base import Cleans, Encoded, bytes_of, floats
from tessera.draws import Draw


def patchify(pixels: Float[Tensor, "batch channel height wide"], patch: int) -> Float[Tensor, "batch element feature"]:
    """Squares in reading order; inside a square channel, row, column."""
    b, c, h, w = pixels.shape
    squares = pixels.reshape(b, c, h // patch, patch, w // patch, patch)
    return squares.permute(0, 2, 4, 1, 3, 5).reshape(b, h // patch * (w // patch), c * patch * patch)


def unpatchify(squares: Float[Tensor, "batch element feature"], patch: int, columns: int) -> Float[Tensor, "batch channel height wide"]:
    """The picture of squares in reading order, `columns` side by side."""
    b, n, f = squares.shape
    grid = squares.reshape(b, n // columns, columns, f // patch**2, patch, patch)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(b, f // patch**2, n // columns * patch, columns * patch)


def cosines(patch: int) -> Float[Tensor, "feature value"]:
    """An orthonormal basis of squares of pixels, a row for each feature, the coarsest first: 2-D cosines of three opponent colours.

    It stands for the principal components of natural squares, which it nearly is (Ahmed et al. 1974).
    """
    at = torch.arange(patch, dtype=torch.float64)
    waves = (pi / patch * (at + 0.5) * at[:, None]).cos() * (2 / patch) ** 0.5
    waves[0] *= 0.5**0.5
    colours = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]], dtype=torch.float64)
    colours = colours / colours.norm(dim=1, keepdim=True)
    coarsest = sorted(product(range(patch), repeat=2), key=lambda place: (sum(place), max(place)))
    features = [torch.einsum("c,y,x->cyx", colour, waves[row], waves[column]) for row, column in coarsest for colour in colours]
    return torch.stack(features).flatten(1).to(torch.get_default_dtype())


def kept_patches(mask: Bool[Tensor, "height wide"], patch: int) -> Bool[Tensor, "element"]:
    """The squares that lie wholly inside the mask. Raises ValueError where it cannot be cut into squares."""
    if any(side % patch for side in mask.shape):
        raise ValueError(f"keep: a mask of {tuple(mask.shape)}; one of the picture's size is accepted, in squares of {patch}; make it so")
    return patchify(mask[None, None].float(), patch)[0].eq(1).all(-1)


class Patches:
    """Pictures of `pixels` x `pixels` <-> squares of `patch` x `patch` pixels, from -1 to 1.

    `mean` and `spread`, of each colour from 0 to 1, are what published eyes want pixels to be taken from and divided by instead.
    """

    def __init__(
        self, *, pixels: int = 32, patch: int = 4, mean: Sequence[float] = (0.5, 0.5, 0.5), spread: Sequence[float] = (0.5, 0.5, 0.5)
    ):
        if pixels % patch:
            raise ValueError(f"Patches: patch {patch} in pictures of {pixels} pixels; the patch must divide them; choose another")
        self.patch, self.pixels, self.columns = patch, pixels, pixels // patch
        self.elements, self.features = self.columns**2, 3 * patch**2
        self.mean, self.spread = tuple(mean), tuple(spread)

    def encode(self, raws: Sequence[Tensor], draws: Sequence[Draw] = ()) -> Encoded:
        """Squares of each uint8 picture."""
        mean, spread = self._scale()
        return Encoded(patchify((floats(raws, torch.empty(0), self.pixels) + (1 - mean)) / spread, self.patch))

    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Tensor:
        """uint8 pictures, clipped."""
        mean, spread = self._scale()
        return bytes_of(unpatchify(torch.stack(tuple(cleans)), self.patch, self.columns) * spread + (mean - 1))

    def _scale(self) -> tuple[Tensor, Tensor]:
        """Mean and spread of colours from 0 to 2: those from -1 to 1, moved."""
        return 2 * torch.tensor(self.mean).view(3, 1, 1), 2 * torch.tensor(self.spread).view(3, 1, 1)

    def keep(self, mask: Bool[Tensor, "height wide"]) -> Bool[Tensor, "element"]:
        """Squares wholly inside the mask are given."""
        return kept_patches(mask, self.patch)

    def blank(self, length: int | None = None) -> Float[Tensor, "element feature"]:
        """Squares of the mean colour."""
        return torch.zeros(self.elements, self.features)
