"""A picture decoder for features: a small net that says what a noisy picture was, given what an eye saw of it."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tessera.clocks import Clock
from tessera.codecs.convolutions import ConvBlock, Grid
from tessera.trunk.layers import MLP, SelfAttention, Sight
from tessera.trunk.transformer import Block, PreNorm, start

GROUP = 4  # channels that share their way from a row to the cells
Pixels = Float[Tensor, "batch 3 height wide"]
Told = Float[Tensor, "batch width"]


class Timed(nn.Module):
    """A residual block of convolutions, told the time in front of it."""

    def __init__(self, channels: int, told: int):
        super().__init__()
        self.time, self.block = nn.Linear(told, channels), ConvBlock(channels)

    def forward(self, x: Grid, told: Told) -> Grid:
        """The same grid."""
        return self.block(x + self.time(F.silu(told))[..., None, None])


class Painter(nn.Module):
    """What a noisy picture was, given `features` numbers of each of `elements`: a U-Net with a transformer in its middle.

    A picture is a grid of squares of `patch` pixels; two by two of them make a cell, twice as wide. Features of a grid of
    `columns` columns lie on the cells (bilinear, where there are more or fewer); those of a row (`columns` 0) are spread over
    them by learned weights, one table for each `GROUP` channels. They are normed to a mean square of 1 on the way in: their
    direction is all that they say.
    `depth` counts the residual convolutions on either side of the middle, and the transformer's blocks.
    """

    def __init__(
        self,
        *,
        features: int,
        elements: int,
        columns: int = 0,
        pixels: int = 32,
        patch: int = 4,
        channels: int = 64,
        depth: int = 2,
        heads: int = 4,
    ):
        super().__init__()
        self.columns = columns
        if pixels % (2 * patch):
            raise ValueError(f"Painter: patch {patch} in pictures of {pixels} pixels; two patches must divide them; choose another")
        width, self.pixels, self.patch, self.cells = 2 * channels, pixels, patch, pixels // (2 * patch)
        self.clock, self.told = Clock(width), nn.Linear(features, width)
        self.places = nn.Embedding(self.cells**2, width)
        if not columns:
            self.spread = nn.Parameter(torch.randn(width // GROUP, self.cells**2, elements) * elements**-0.5)
        self.stem = nn.Conv2d(3 * patch**2, channels, 3, padding=1)
        self.before = nn.ModuleList(Timed(channels, width) for _ in range(depth))
        self.down, self.up = nn.Conv2d(channels, width, 2, 2), nn.ConvTranspose2d(width, channels, 2, 2)
        norm = lambda inner: PreNorm(nn.LayerNorm(width), inner, condition=width)
        blocks = [Block(norm(SelfAttention(width, heads)), norm(MLP(width, 2 * width))) for _ in range(depth)]
        self.middle, self.join = nn.ModuleList(blocks), nn.Conv2d(2 * channels, channels, 1)
        self.after = nn.ModuleList(Timed(channels, width) for _ in range(depth))
        self.norm, self.out = nn.GroupNorm(1, channels), nn.Conv2d(channels, 3 * patch**2, 1)
        start(blocks)

    def forward(self, pixels: Pixels, time: Float[Tensor, "batch"], features: Float[Tensor, "batch element feature"]) -> Pixels:
        """Clean pictures; `time` is the path's clock."""
        told = self.clock(time)
        x = self.stem(F.pixel_unshuffle(pixels, self.patch))
        for block in self.before:
            x = block(x, told)
        cells, seen = self.down(x), self.told(F.rms_norm(features, features.shape[-1:]))
        middle = cells.flatten(2).mT + self.laid(seen).to(cells.dtype) + self.places.weight
        sight = Sight(condition=told[:, None].expand(-1, middle.shape[1], -1))
        for block in self.middle:
            middle = block(middle, sight)
        x = self.join(torch.cat([x, self.up(middle.mT.unflatten(2, cells.shape[2:]))], 1))
        for block in self.after:
            x = block(x, told)
        return F.pixel_shuffle(self.out(F.silu(self.norm(x))), self.patch)

    def laid(self, seen: Float[Tensor, "batch element width"]) -> Float[Tensor, "batch place width"]:
        """What features say of each cell."""
        if not self.columns:
            return torch.einsum("gpe,begc->bpgc", self.spread, seen.unflatten(-1, (-1, GROUP))).flatten(2)
        if self.columns == self.cells:
            return seen
        grid = seen.mT.unflatten(2, (self.columns, self.columns))
        return F.interpolate(grid, (self.cells, self.cells), mode="bilinear").flatten(2).mT
