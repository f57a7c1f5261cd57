"""Pictures as a small grid of codes: each square of pixels becomes one, and a convolutional decoder joins them again."""

from collections.abc import Sequence

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Encoded, Losses
from tessera.codecs.patches import kept_patches, patchify
from tessera.codecs.quantizers import Features, Quantizer
from tessera.codecs.reconstruction import Noised, Painted, blank_codes, decode_codes, encode_codes, noised, reconstruct, reconstruction
from tessera.codecs.squares import STEM, square_decoder, square_encoder
from tessera.document import Document
from tessera.draws import Draw


class Autoencoder(nn.Module):
    """Pictures <-> codes on a grid of `pixels / stride` columns, through any quantizer.

    The encoder looks at one square of `stride` pixels at a time, so that a code is a function of its square alone and the
    same content always has the same code; the decoder looks around. Measured on the world's easy level, codes then carry
    4.0 nats each instead of 5.4 with a convolutional encoder, and none of it is noise to the model that predicts them.
    `stride` is 4 times a power of two. Its own stage (`losses_of`) learns reconstruction in mean squares; the quantizer's
    commitment is added with its own weight. While it learns, the encoder sees each picture under Gaussian noise of a
    strength between 0 and `noise` (pixels run from -1 to 1): so that what it painted itself gets the same codes again.
    """

    quantizer: Quantizer

    def __init__(self, *, quantizer: Quantizer, pixels: int = 32, stride: int = 8, channels: int = 64, depth: int = 1, noise: float = 0.2):
        super().__init__()
        doublings = max(stride // STEM, 1).bit_length() - 1
        if stride != STEM << doublings or pixels % stride:
            raise ValueError(
                f"Autoencoder: stride {stride} for {pixels} pixels; {STEM} times a power of two that divides the pixels is accepted"
            )
        self.pixels, self.stride, self.columns, self.noise = pixels, stride, pixels // stride, noise
        self.elements = self.columns**2
        self.encoder = square_encoder(stride, quantizer.features, channels=channels, depth=depth)
        self.quantizer = quantizer
        self.decoder = square_decoder(stride, quantizer.features, channels=channels, depth=depth)

    def forward(self, pixels: Float[Tensor, "batch 3 height wide"]) -> Painted:
        """What becomes of a batch of pictures from -1 to 1."""
        return reconstruct(self, pixels)

    def latents(self, pixels: Float[Tensor, "batch 3 height wide"]) -> Features:
        """The features of each square before rounding."""
        return self.encoder(patchify(pixels, self.stride))

    def paint(self, features: Features) -> Float[Tensor, "batch 3 height wide"]:
        """Pictures from -1 to 1, not clipped."""
        return self.decoder(features.transpose(1, 2).unflatten(2, (self.columns, self.columns)))

    def arrange(self, documents: Sequence[Document], draws: Sequence[Draw]) -> Noised:
        """All pictures of the documents, whoever gave them, and how the encoder sees them."""
        return noised(self, documents, draws, self.noise)

    def losses_of(self, pictures: Noised) -> Losses:
        """Summed over pictures: squared error per pixel; and over codes: commitment."""
        return reconstruction(self, pictures)

    def encode(self, raws: Sequence[Tensor], draws: Sequence[Draw] = ()) -> Encoded:
        """Codes of each uint8 picture; [element], or [element, level] with a residual quantizer."""
        return encode_codes(self, raws)

    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Tensor:
        """uint8 pictures."""
        return decode_codes(self, cleans)

    def keep(self, mask: Bool[Tensor, "height wide"]) -> Bool[Tensor, "element"]:
        """Codes whose square of pixels lies wholly inside the mask are given."""
        return kept_patches(mask, self.stride)

    def blank(self, length: int | None = None) -> Int[Tensor, "element ..."]:
        """Code 0 everywhere."""
        return blank_codes(self)
