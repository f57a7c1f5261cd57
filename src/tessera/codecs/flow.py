"""Pictures as soft tokens: squares of pixels through an invertible flow, so that a density of tokens is one of pixels."""

from collections.abc import Sequence
from math import cos, log, pi

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Encoded, bytes_of, floats
from tessera.codecs.couplings import Couplings
from tessera.codecs.patches import kept_patches, patchify, unpatchify
from tessera.draws import Draw
from tessera.precision import unrounded

HALF = 127.5  # values of a pixel for 1 on our scale


class NormalizingFlow(nn.Module):
    """Pictures of `pixels` x `pixels` <-> a soft token of `kept` features for each square of `patch` x `patch`, invertibly.

    Pixels run from -`spread` to `spread`; squares of them are turned into `basis` (one row for each feature, orthonormal) and
    pass the flow, `couplings`, which learns with the trunk: a stage names it. Of the features that come out, the first `kept`
    are the token; the others are taken to be standard normal, and drawn anew when a picture is decoded (0 without `draws`).
    `Encoded.nats` is what, added to the nats of the tokens, bounds the picture's own: minus the log of the flow's
    determinant, the nats of the other features, and the width of a pixel's value, which uniform noise fills.
    While it learns, Gaussian noise is added to pixels, rounded to whole values: `noise`, its standard deviation of 255, falls
    from the first number to the second as half a cosine over the stage. What is kept of a picture is only nearly kept: every
    token has seen all pixels.
    Source: JetFormer (Tschannen et al. 2024, arXiv:2411.19722, section 3). Its published configurations take pixels as they
    are; with a `basis` the flow begins with the coarse content in front, as in the variant with PCA, and where noise is weak
    a larger `spread` spares it the stretching.
    """

    basis: Tensor

    def __init__(
        self,
        couplings: Couplings,
        *,
        pixels: int = 32,
        patch: int = 8,
        kept: int = 32,
        noise: tuple[float, float] = (64.0, 0.0),
        basis: Float[Tensor, "feature value"] | None = None,
        spread: float = 1.0,
    ):
        super().__init__()
        features = 3 * patch**2
        if pixels % patch or (couplings.columns, couplings.features) != (pixels // patch, features) or not 0 < kept <= features:
            raise ValueError(
                f"NormalizingFlow: patch {patch} of {pixels} pixels, couplings of {couplings.features} features on {couplings.columns} "
                f"columns, {kept} kept; a patch that divides the pixels, {features} features on {pixels // patch} columns, and 1 to "
                f"{features} kept are accepted; change the one outside"
            )
        self.couplings, self.pixels, self.patch, self.kept, self.noise = couplings, pixels, patch, kept, noise
        self.spread = spread
        self.register_buffer("basis", torch.eye(features) if basis is None else basis, persistent=False)
        self.columns, self.elements, self.others = pixels // patch, couplings.elements, features - kept

    def encode(self, raws: Sequence[Tensor], draws: Sequence[Draw]) -> Encoded:
        """Soft tokens of each uint8 picture, with gradient, and what encoding costs, in nats. In training under noise."""
        return self.tokens(raws, draws, noisy=self.training)

    def tokens(self, raws: Sequence[Tensor], draws: Sequence[Draw], *, noisy: bool) -> Encoded:
        """The same with noise or without."""
        filled = self.filled(raws, draws, noisy=noisy)
        with unrounded(filled):  # in bfloat16 pixels would lose their last digits
            squares = patchify((filled / HALF - 1) * self.spread, self.patch) @ self.basis.T
        z, log_det = self.couplings(squares)
        clean, other = z.split([self.kept, self.others], -1)
        nats = 0.5 * (other.square() + log(2 * pi)).sum((1, 2)) - log_det + filled[0].numel() * log(HALF / self.spread)
        return Encoded(clean, nats)

    @torch.no_grad()
    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Tensor:
        """uint8 pictures; what is no token is drawn by each segment's own draw."""
        like = next(self.parameters())
        clean = torch.stack(tuple(cleans)).to(like)
        shape = (self.elements, self.others)
        noise = [torch.randn(shape, generator=draw.rng, dtype=torch.float64) for draw in draws] or [torch.zeros(shape)] * len(clean)
        squares = self.couplings.inverse(torch.cat([clean, torch.stack(noise).to(like)], -1)) @ self.basis
        return bytes_of(unpatchify(squares, self.patch, self.columns) / self.spread - 0.5 / HALF).cpu()  # a value fills the unit above it

    def keep(self, mask: Bool[Tensor, "height wide"]) -> Bool[Tensor, "element"]:
        """Tokens whose square of pixels lies wholly inside the mask are given."""
        return kept_patches(mask, self.patch)

    def blank(self, length: int | None = None) -> Float[Tensor, "element feature"]:
        """0 everywhere."""
        return torch.zeros(self.elements, self.kept)

    @torch.no_grad()
    def filled(self, raws: Sequence[Tensor], draws: Sequence[Draw], *, noisy: bool) -> Float[Tensor, "batch 3 height wide"]:
        """Values from 0 to 256: each whole one spread over the unit above it."""
        values = ((floats(raws, next(self.parameters()), self.pixels) + 1) * HALF).round()
        if noisy:
            strength = [self.strength(draw.progress) for draw in draws]
            noise = [
                s * torch.randn(values.shape[1:], generator=draw.rng, dtype=torch.float64) for s, draw in zip(strength, draws, strict=True)
            ]
            values = (values + torch.stack(noise).to(values)).round()
        return values + torch.stack([torch.rand(values.shape[1:], generator=draw.rng, dtype=torch.float64) for draw in draws]).to(values)

    def strength(self, progress: float) -> float:
        """The standard deviation of the noise so far (0 to 1) into the stage."""
        first, last = self.noise
        return last + (first - last) * (1 + cos(pi * progress)) / 2


class Settled(nn.Module):
    """A flow through which pictures are read, not learned: without noise, and without gradient.

    Source: the published configuration of JetFormer on pictures and text, for pictures that stand in front.
    """

    def __init__(self, flow: NormalizingFlow):
        super().__init__()
        self.codec, self.pixels = flow, flow.pixels

    @torch.no_grad()
    def encode(self, raws: Sequence[Tensor], draws: Sequence[Draw]) -> Encoded:
        """Soft tokens of each uint8 picture."""
        return Encoded(self.codec.tokens(raws, draws, noisy=False).clean)

    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Tensor:
        """As the flow does."""
        return self.codec.decode(cleans, draws)

    def keep(self, mask: Tensor) -> Tensor:
        """As the flow says."""
        return self.codec.keep(mask)

    def blank(self, length: int | None = None) -> Tensor:
        """As the flow says."""
        return self.codec.blank(length)
