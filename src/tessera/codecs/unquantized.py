"""Features of a codec of codes as they are before rounding."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Encoded, bytes_of, floats
from tessera.codecs.reconstruction import Painter
from tessera.draws import Draw


class Unquantized(nn.Module):
    """A picture codec of codes, used without its codebook: clean elements are the encoder's features, and are painted as they are.

    Source: Orthus (Kou et al. 2024, arXiv:2412.00127).
    """

    codec: Painter
    pixels: int

    def __init__(self, codec: Painter):
        super().__init__()
        self.codec, self.pixels, self.elements, self.features = codec, codec.pixels, codec.elements, codec.quantizer.features

    @torch.no_grad()
    def encode(self, raws: Sequence[Tensor], draws: Sequence[Draw] = ()) -> Encoded:
        """Features of each uint8 picture."""
        return Encoded(self.codec.latents(floats(raws, next(self.parameters()), self.pixels)))

    @torch.no_grad()
    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Tensor:
        """uint8 pictures, clipped."""
        return bytes_of(self.codec.paint(torch.stack(tuple(cleans)).to(next(self.parameters())))).cpu()

    def keep(self, mask: Tensor) -> Tensor:
        """As the codec says."""
        return self.codec.keep(mask)

    def blank(self, length: int | None = None) -> Float[Tensor, "element feature"]:
        """Zeros."""
        return torch.zeros(self.elements, self.features)
