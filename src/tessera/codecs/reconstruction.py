"""What codecs of rounded features share: features to codes to pictures, and learning to paint again what was seen."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Encoded, Losses, bytes_of, floats
from tessera.codecs.quantizers import Features, Quantizer
from tessera.document import Document
from tessera.draws import Draw


@runtime_checkable
class Coder(Protocol):
    """A codec with features between its encoder and its decoder, which its quantizer rounds."""

    pixels: int
    elements: int
    quantizer: Quantizer

    def latents(self, pixels: Float[Tensor, "batch 3 height wide"]) -> Features:
        """The features of pictures from -1 to 1, before rounding."""
        ...

    def paint(self, features: Features) -> Float[Tensor, "batch 3 height wide"]:
        """Pictures from -1 to 1, not clipped, from features, rounded or not."""
        ...

    def keep(self, mask: Bool[Tensor, "height wide"]) -> Bool[Tensor, "element"]:
        """Which elements are given when these pixels are."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


@runtime_checkable
class Sized(Protocol):
    """A module for pictures of so many `pixels` along their side."""

    pixels: int

    def parameters(self) -> Iterator[nn.Parameter]: ...


class Noised(NamedTuple):
    """Pictures to learn from: as they shall be painted, and as the encoder sees them."""

    pixels: Float[Tensor, "batch 3 height wide"]
    seen: Float[Tensor, "batch 3 height wide"]


class Painted(NamedTuple):
    """What became of pictures on their way through codes: the reconstruction, the codes and the commitment loss."""

    pixels: Float[Tensor, "batch 3 height wide"]
    codes: Int[Tensor, "batch element ..."]
    commitment: Float[Tensor, "batch element"]


def reconstruct(codec: Coder, pixels: Float[Tensor, "batch 3 height wide"]) -> Painted:
    """Pictures from -1 to 1 through the codec's codes and back."""
    rounded, codes, commitment = codec.quantizer(codec.latents(pixels).to(pixels.dtype))
    return Painted(codec.paint(rounded), codes, commitment)


def noised(codec: Sized, documents: Sequence[Document], draws: Sequence[Draw], noise: float) -> Noised:
    """All pictures of the documents, whoever gave them, also under Gaussian noise of a strength between 0 and `noise` each."""
    like = next(codec.parameters())
    pictures, noises = [], []
    for document, draw in zip(documents, draws, strict=True):
        for picture in document.pictures:
            strength = noise * torch.rand((), generator=draw.rng)
            pictures.append(picture)
            noises.append(strength * torch.randn(picture.shape, generator=draw.rng))
    if not pictures:
        nothing = like.new_zeros(0, 3, codec.pixels, codec.pixels)
        return Noised(nothing, nothing)
    pixels = floats(pictures, like, codec.pixels)
    return Noised(pixels, pixels + torch.stack(noises).to(pixels))


def reconstruction(codec: Coder, pictures: Noised) -> Losses:
    """Summed over pictures: squared error per pixel; and over codes: commitment."""
    if not len(pictures.pixels):  # documents without a picture
        nothing = next(codec.parameters())[:0].sum()
        return {"pixels": (nothing, 0), "commitment": (nothing, 0)}
    painted, _, commitment = reconstruct(codec, pictures.seen)
    error = (painted.to(pictures.pixels.dtype) - pictures.pixels).square().mean((1, 2, 3))
    return {"pixels": (error.sum(), len(error)), "commitment": (commitment.sum(), commitment.numel())}


@torch.no_grad()
def encode_codes(codec: Coder, raws: Sequence[Tensor]) -> Encoded:
    """Codes of each uint8 picture; [element], or [element, level] with a residual quantizer."""
    return Encoded(codec.quantizer(codec.latents(floats(raws, next(codec.parameters()), codec.pixels))).codes)


@torch.no_grad()
def decode_codes(codec: Coder, cleans: Cleans) -> Tensor:
    """uint8 pictures, clipped, of codes."""
    like = next(codec.parameters())
    codes = torch.stack(tuple(cleans)).to(like.device)
    return bytes_of(codec.paint(codec.quantizer.lookup(codes).to(like.dtype))).cpu()


def blank_codes(codec: Coder) -> Int[Tensor, "element ..."]:
    """Code 0 everywhere."""
    levels = getattr(codec.quantizer, "quantizers", None)
    return torch.zeros((codec.elements, *((len(levels),) if levels else ())), dtype=torch.long)
