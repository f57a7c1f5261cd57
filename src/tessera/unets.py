"""Shallow nets in front of the trunk and behind it: noisy pictures as grids of features that know the time, joined by skips.

The nets work on grids with features last: row, column, feature. What comes in and goes out has as many cells as the trunk has places,
the `features` numbers of an element in each; inside, an element may be taken apart into `patch` x `patch` cells of the finer grid.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tessera.codecs.convolutions import ConvBlock
from tessera.codecs.patches import patchify, unpatchify

Elements = Float[Tensor, "batch height wide feature"]
Features = Float[Tensor, "batch height wide channel"]
Skips = Float[Tensor, "batch height wide ..."]
Told = Float[Tensor, "batch height wide width"]
Fine = Float[Tensor, "batch channel ..."]  # the finer grid of cells, channels first


class Descent(NamedTuple):
    """What a net in front of the trunk says of each element: features for the trunk, and what skips it."""

    features: Features
    skips: Skips


@runtime_checkable
class Down(Protocol):
    """Noisy elements, and a vector for the time of each, to `channels` features, and `skips` that go round the trunk."""

    channels: int
    skips: int

    def __call__(self, elements: Elements, told: Told) -> Descent: ...


@runtime_checkable
class Up(Protocol):
    """`channels` features behind the trunk, and what went round it, to what is said of each element."""

    channels: int
    skips: int

    def __call__(self, features: Features, skips: Skips, told: Told) -> Elements: ...


def apart(elements: Skips, patch: int) -> Fine:
    """The finer grid whose squares of `patch` x `patch` cells elements are."""
    return unpatchify(elements.flatten(1, 2), patch, elements.shape[2])


def together(grid: Fine, patch: int) -> Skips:
    """The inverse of `apart`."""
    return patchify(grid, patch).unflatten(1, (-1, grid.shape[3] // patch))


# ---------------------------------------------------------------- ConvNeXt, as in JanusFlow


def normed(norm: nn.RMSNorm, x: Features) -> Features:
    """In the precision of the norm's weight, whatever came before computed in."""
    return norm(x.to(norm.weight.dtype))


class ResponseNorm(nn.Module):
    """Each feature scaled by its norm over the grid, as a share of the mean feature's (global response normalization).

    Source: Woo et al. 2023, arXiv:2301.00808 (ConvNeXt V2), section 3.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Features) -> Features:
        """The identity as long as weight and bias are 0."""
        norm = x.norm(dim=(1, 2), keepdim=True)
        return x + self.weight * x * norm / (norm.mean(-1, keepdim=True) + 1e-6) + self.bias


class ConvNeXt(nn.Module):
    """Cells look around in a square of 7 x 7, then pass an MLP, added to what comes in; the sum is scaled and shifted by the time.

    `told` is the length of the vector that tells the time. Source: ConvNeXt V2's block (arXiv:2301.00808) as JanusFlow conditions it
    (Ma et al. 2024, arXiv:2411.07975, section 3.1, and its code).
    """

    def __init__(self, channels: int, told: int):
        super().__init__()
        self.around = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.RMSNorm(channels, eps=1e-6)
        self.up, self.down = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.response, self.adapt = ResponseNorm(4 * channels), nn.Linear(told, 2 * channels)

    def forward(self, x: Features, told: Told) -> Features:
        """The same grid."""
        seen = normed(self.norm, self.around(x.movedim(-1, 1)).movedim(1, -1))
        x = x + self.down(self.response(nn.functional.gelu(self.up(seen))))
        scale, shift = self.adapt(nn.functional.silu(told)).chunk(2, -1)
        return x * (1 + scale) + shift


class ConvNeXtDown(nn.Module):
    """A convolution in steps of `patch`, then blocks; what it says also skips the trunk. It looks `margin` cells around its square."""

    def __init__(self, features: int, channels: int, told: int, *, patch: int, depth: int = 2, margin: int = 1):
        super().__init__()
        self.channels, self.skips, self.patch = channels, channels, patch
        self.stem = nn.Conv2d(features // patch**2, channels, patch + 2 * margin, stride=patch, padding=margin)
        self.blocks = nn.ModuleList(ConvNeXt(channels, told) for _ in range(depth))

    def forward(self, elements: Elements, told: Told) -> Descent:
        """The same features for the trunk and as skips."""
        x = self.stem(apart(elements, self.patch).to(self.stem.weight.dtype)).movedim(1, -1)
        for block in self.blocks:
            x = block(x, told)
        return Descent(x, x)


class ConvNeXtUp(nn.Module):
    """The trunk's features, normed, beside the skips, through blocks and a last norm and layer."""

    def __init__(self, features: int, channels: int, told: int, *, depth: int = 2):
        super().__init__()
        self.channels, self.skips = channels, channels
        self.into = nn.RMSNorm(channels, eps=1e-6)
        self.blocks = nn.ModuleList(ConvNeXt(2 * channels, told) for _ in range(depth))
        self.norm, self.out = nn.RMSNorm(2 * channels, eps=1e-6), nn.Linear(2 * channels, features)

    def forward(self, features: Features, skips: Skips, told: Told) -> Elements:
        """What is said of each element."""
        x = torch.cat([normed(self.into, features), skips], -1)
        for block in self.blocks:
            x = block(x, told)
        return self.out(normed(self.norm, x))


# ---------------------------------------------------------------- residual convolutions, as in Transfusion


class TimedBlock(nn.Module):
    """A residual block of two 3 x 3 convolutions, shifted in front of it by the time. `inputs` are projected, where there are others."""

    def __init__(self, channels: int, told: int, *, inputs: int | None = None):
        super().__init__()
        self.into = nn.Conv2d(inputs, channels, 1) if inputs else nn.Identity()
        self.time, self.block = nn.Linear(told, channels), ConvBlock(channels)

    def forward(self, x: Fine, told: Told) -> Float[Tensor, "batch ..."]:
        """The same grid, `channels` wide; it may be finer than that of the times."""
        time = self.time(nn.functional.silu(told)).movedim(-1, 1)
        return self.block(self.into(x) + nn.functional.interpolate(time, x.shape[2:]))


class UNetDown(nn.Module):
    """A block on the finer grid of cells, and one on that of elements, twice as wide; what both say skips the trunk."""

    def __init__(self, features: int, channels: int, told: int, *, patch: int):
        super().__init__()
        self.channels, self.skips, self.patch = 2 * channels, (patch**2 + 2) * channels, patch
        self.stem = nn.Conv2d(features // patch**2, channels, 3, padding=1)
        self.fine, self.coarse = TimedBlock(channels, told), TimedBlock(2 * channels, told)
        self.down = nn.Conv2d(channels, 2 * channels, patch, stride=patch)

    def forward(self, elements: Elements, told: Told) -> Descent:
        """Features for the trunk; the skips of an element are those of its cells, then its own."""
        fine = self.fine(self.stem(apart(elements, self.patch)), told)
        coarse = self.coarse(self.down(fine), told).movedim(1, -1)
        return Descent(coarse, torch.cat([together(fine, self.patch), coarse], -1))


class UNetUp(nn.Module):
    """The way back: each block is joined by what the block of its size said in front of the trunk."""

    def __init__(self, features: int, channels: int, told: int, *, patch: int):
        super().__init__()
        self.channels, self.skips, self.patch = 2 * channels, (patch**2 + 2) * channels, patch
        self.coarse = TimedBlock(2 * channels, told, inputs=4 * channels)
        self.up, self.fine = (
            nn.ConvTranspose2d(2 * channels, channels, patch, stride=patch),
            TimedBlock(channels, told, inputs=2 * channels),
        )
        self.norm, self.out = nn.GroupNorm(1, channels), nn.Conv2d(channels, features // patch**2, 3, padding=1)

    def forward(self, features: Features, skips: Skips, told: Told) -> Elements:
        """What is said of each element."""
        fine, coarse = skips.split([skips.shape[-1] - self.channels, self.channels], -1)
        x = self.up(self.coarse(torch.cat([features, coarse], -1).movedim(-1, 1), told))
        x = self.fine(torch.cat([x, apart(fine, self.patch)], 1), told)
        return together(self.out(nn.functional.silu(self.norm(x))), self.patch)
