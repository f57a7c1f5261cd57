"""What every codec says: raw segments to clean elements and back."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tessera.draws import Draw

Losses = dict[str, tuple[Tensor, float | int]]  # by name: the sum of a loss over what it was taken of, and how many those are
Cleans = Sequence[Tensor] | Tensor  # the clean elements of several segments: one tensor where all have one shape


class Encoded(NamedTuple):
    """Clean elements of each segment, and what encoding itself cost, in nats, where a codec has a likelihood."""

    clean: Cleans
    nats: Float[Tensor, "batch"] | None = None


class EncodedSegment(NamedTuple):
    """The same of one segment. What is only looked at may be more than one tensor: a named tuple of them."""

    clean: Any
    nats: Float[Tensor, ""] | None = None


@runtime_checkable
class Codec(Protocol):
    """raw <-> clean, for several segments of one shape at once. Frozen, unless a stage names it: then gradient passes `encode`."""

    def encode(self, raws: Sequence[Any], draws: Sequence[Draw]) -> Encoded:
        """The clean elements of each raw segment."""
        ...

    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Sequence[Any] | Tensor:
        """The raw segment of each row of clean elements. What they leave open is drawn; without draws it is what is likeliest."""
        ...

    def keep(self, mask: Bool[Tensor, "height wide"]) -> Bool[Tensor, "element"]:
        """Which elements are given when these pixels are: those that lie wholly inside the mask."""
        ...

    def blank(self, length: int | None) -> Tensor:
        """A clean segment with nothing in it yet, to be written; `length` matters where segments vary."""
        ...


def paints(codec: Any) -> bool:
    """Whether a codec makes pictures of what is written. Some published files hold none of what would, and say so (`paints`)."""
    return getattr(codec, "paints", True)


def floats(pictures: Sequence[Tensor], like: Tensor, pixels: int) -> Float[Tensor, "batch 3 height wide"]:
    """uint8 pictures of `pixels` x `pixels` as numbers from -1 to 1, on the device and in the precision of `like`."""
    for picture in pictures:
        if picture.dtype != torch.uint8 or picture.shape != (3, pixels, pixels):
            raise ValueError(
                f"picture: {picture.dtype} of shape {tuple(picture.shape)}; torch.uint8 of shape (3, {pixels}, {pixels}) is accepted; "
                f"open it with tessera.open_picture(path, {pixels})"
            )
    return numbers_of(pictures, like)


def numbers_of(pictures: Sequence[Tensor], like: Tensor) -> Float[Tensor, "batch 3 height wide"]:
    """uint8 pictures of one shape, whatever it is, as numbers from -1 to 1."""
    return torch.stack(tuple(pictures)).to(like.device).to(like.dtype) / 127.5 - 1


@runtime_checkable
class PictureCodec(Protocol):
    """What the codec of a picture port says besides: the side of the (square) pictures it takes."""

    pixels: int


def bytes_of(pixels: Float[Tensor, "batch 3 height wide"]) -> Tensor:
    """Pictures from numbers: -1 to 1 becomes uint8, what lies outside is clipped."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
