"""Features of a codec of codes as they are before rounding."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Encoded, Losses, bytes_of, floats
from tessera.codecs.quantizers import Features
from tessera.codecs.reconstruction import Coder, Noised, noised
from tessera.document import Document
from tessera.draws import Draw


class Unquantized(nn.Module):
    """A picture codec of codes, used without its codebook: clean elements are the encoder's features, and are painted as they are.

    `scale` multiplies features, so that they vary by about 1 for those who denoise them. Its own stage (`losses_of`) shows the
    painter what is not rounded, under noise of a strength up to `noise` as where the codes were learned.
    Source: Orthus (Kou et al. 2024, arXiv:2412.00127).
    """

    codec: Coder
    pixels: int

    def __init__(self, codec: Coder, *, scale: float = 1.0, noise: float = 0.2):
        super().__init__()
        self.codec, self.scale, self.noise = codec, scale, noise
        self.pixels, self.elements, self.features = codec.pixels, codec.elements, codec.quantizer.features

    def arrange(self, documents: Sequence[Document], draws: Sequence[Draw]) -> Noised:
        """All pictures of the documents, whoever gave them, and how the encoder sees them."""
        return noised(self.codec, documents, draws, self.noise)

    def losses_of(self, pictures: Noised) -> Losses:
        """Summed over pictures: squared error per pixel."""
        if not len(pictures.pixels):  # documents without a picture
            return {"pixels": (next(self.parameters())[:0].sum(), 0)}
        error = (self.codec.paint(self._unrounded(pictures.seen)).to(pictures.pixels) - pictures.pixels).square().mean((1, 2, 3))
        return {"pixels": (error.sum(), len(error))}

    @torch.no_grad()
    def encode(self, raws: Sequence[Tensor], draws: Sequence[Draw] = ()) -> Encoded:
        """Features of each uint8 picture."""
        return Encoded(self.scale * self._unrounded(floats(raws, next(self.parameters()), self.pixels)))

    @torch.no_grad()
    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Tensor:
        """uint8 pictures, clipped."""
        return bytes_of(self.codec.paint(torch.stack(tuple(cleans)).to(next(self.parameters())) / self.scale)).cpu()

    def keep(self, mask: Tensor) -> Tensor:
        """As the codec says."""
        return self.codec.keep(mask)

    def blank(self, length: int | None = None) -> Float[Tensor, "element feature"]:
        """Zeros."""
        return torch.zeros(self.elements, self.features)

    def _unrounded(self, pixels: Float[Tensor, "batch 3 height wide"]) -> Features:
        return self.codec.quantizer.unrounded(self.codec.latents(pixels))
