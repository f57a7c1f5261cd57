"""Pictures as a small grid of Gaussian latents: a variational autoencoder, its latents scaled to variance 1."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Encoded, Losses, bytes_of, floats
from tessera.codecs.patches import kept_patches, patchify, unpatchify
from tessera.codecs.reconstruction import Noised, noised
from tessera.codecs.squares import SquareGrid, square_decoder, square_encoder
from tessera.document import Document
from tessera.draws import Draw

Grid = Float[Tensor, "batch channel height wide"]
FOLLOW = 0.01  # how fast the measured mean and variance follow the latents of a batch


class Normal(NamedTuple):
    """What the encoder says of each cell: latents are normal, each with a mean and a logarithm of its variance."""

    mean: Grid
    log_variance: Grid

    def sample(self, noise: Grid) -> Grid:
        """Latents, from standard normal noise."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Float[Tensor, "batch height wide"]:
        """Nats above a standard normal, per cell (Kullback and Leibler)."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).sum(1)


class Sampled(NamedTuple):
    """Pictures to learn from, and the noise of their latents."""

    pictures: Noised
    noise: Grid


class VAE(nn.Module):
    """Pictures <-> latents on a grid of `pixels / stride` columns, taken together in squares of `patch` x `patch` cells.

    `encoder` turns pictures (-1 to 1) into twice `channels` numbers a cell, mean and log variance; `decoder` turns `channels` numbers
    a cell into pictures. An element has `features`, `channels` times `patch` squared, numbers. While it learns, latents are sampled by
    each document's own Draw; encoding returns their mean. Clean elements have mean 0 and variance 1 over all: both are measured while
    it learns, and stored. Its own stage (`losses_of`) learns reconstruction in mean squares, and the divergence in nats, whose weight
    the stage says; the encoder sees each picture under Gaussian noise of a strength between 0 and `noise`, so that it knows what it
    painted.
    Source: Kingma and Welling 2013, arXiv:1312.6114; scaled as in Rombach et al. 2021, arXiv:2112.10752, section 4.3.2 and appendix D.1.
    """

    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        channels: int,
        pixels: int = 32,
        stride: int = 8,
        patch: int = 1,
        noise: float = 0.2,
    ):
        super().__init__()
        if pixels % (stride * patch):
            raise ValueError(f"VAE: patches of {patch} cells of {stride} pixels in {pixels} pixels; they must divide them; choose others")
        self.encoder, self.decoder = encoder, decoder
        self.channels, self.pixels, self.stride, self.patch, self.noise = channels, pixels, stride, patch, noise
        self.cells, self.columns = pixels // stride, pixels // (stride * patch)
        self.elements, self.features = self.columns**2, channels * patch**2
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("variance", torch.ones(()))

    def posterior(self, pixels: Float[Tensor, "batch 3 height wide"]) -> Normal:
        """Of pictures from -1 to 1."""
        mean, log_variance = self.encoder(pixels).to(pixels.dtype).chunk(2, 1)
        return Normal(mean, log_variance.clamp(-30, 20))

    def arrange(self, documents: Sequence[Document], draws: Sequence[Draw]) -> Sampled:
        """All pictures of the documents, whoever gave them, and how the encoder sees them."""
        pictures, shape = noised(self, documents, draws, self.noise), (self.channels, self.cells, self.cells)
        noise = [torch.randn(shape, generator=draw.rng) for d, draw in zip(documents, draws, strict=True) for _ in d.pictures]
        return Sampled(pictures, torch.stack(noise).to(pictures.pixels) if noise else pictures.pixels)

    def losses_of(self, arranged: Sampled) -> Losses:
        """Summed over pictures: squared error per pixel; and over elements: the divergence."""
        (pixels, seen), noise = arranged
        if not len(pixels):  # documents without a picture
            nothing = next(self.parameters())[:0].sum()
            return {"pixels": (nothing, 0), "divergence": (nothing, 0)}
        posterior = self.posterior(seen)
        if self.training:
            self._measure(posterior.mean.detach())
        error = (self.decoder(posterior.sample(noise)).to(pixels.dtype) - pixels).square().mean((1, 2, 3))
        return {"pixels": (error.sum(), len(error)), "divergence": (posterior.divergence().sum(), len(error) * self.elements)}

    @torch.no_grad()
    def encode(self, raws: Sequence[Tensor], draws: Sequence[Draw] = ()) -> Encoded:
        """The mean latents of each uint8 picture, [element, feature]."""
        latents = self.posterior(floats(raws, next(self.parameters()), self.pixels)).mean
        return Encoded(patchify((latents - self.mean) / self.variance.sqrt(), self.patch))

    @torch.no_grad()
    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Tensor:
        """uint8 pictures, clipped."""
        clean = torch.stack(tuple(cleans)).to(next(self.parameters()))
        latents = unpatchify(clean, self.patch, self.columns) * self.variance.sqrt() + self.mean
        return bytes_of(self.decoder(latents)).cpu()

    def keep(self, mask: Bool[Tensor, "height wide"]) -> Bool[Tensor, "element"]:
        """Elements whose square of pixels lies wholly inside the mask are given."""
        return kept_patches(mask, self.stride * self.patch)

    def blank(self, length: int | None = None) -> Float[Tensor, "element feature"]:
        """Zeros."""
        return torch.zeros(self.elements, self.features)

    def _measure(self, latents: Grid) -> None:
        """The stored mean and variance follow those of a batch."""
        mean = latents.mean()
        self.variance.lerp_((latents - self.mean).square().mean() - (mean - self.mean).square(), FOLLOW)
        self.mean.lerp_(mean, FOLLOW)


def square_vae(*, pixels: int = 32, stride: int = 8, patch: int = 1, features: int = 16, channels: int = 64) -> VAE:
    """A VAE that looks at each square of `stride` pixels alone, with `features` latents for it, taken `patch` x `patch` at a time.

    Its nets are those of `Autoencoder`. Measured on the world's easy level, 16 latents for 8 x 8 pixels hold 10 nats a square, and the
    same trunk draws readable pictures twice as often as with 4 for 4 x 4 pixels behind convolutions that look around (13 nats).
    """
    encoder = SquareGrid(stride, square_encoder(stride, 2 * features, channels=channels))
    decoder = square_decoder(stride, features, channels=channels)
    return VAE(encoder, decoder, channels=features, pixels=pixels, stride=stride, patch=patch)
