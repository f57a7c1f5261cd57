"""Convolutional encoders and decoders: pictures <-> a coarser grid of features, level by level."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Grid = Float[Tensor, "batch channel height wide"]
Rewidened = Float[Tensor, "batch ... height wide"]  # the same cells, with more or fewer channels
Resized = Float[Tensor, "batch channel ..."]  # a grid with more or fewer rows and columns than the one it came from
Latent = Float[Tensor, "batch feature ..."]  # the grid between encoder and decoder
Norm = Callable[[int], nn.Module]  # makes the norm of so many channels


def sixteens(channels: int) -> nn.Module:
    """Group norm of 16 channels each: for nets of any width."""
    return nn.GroupNorm(max(1, channels // 16), channels)


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions added to what comes in (pre-activation). Where the width changes, what comes in is projected."""

    def __init__(self, channels: int, out: int | None = None, *, norm: Norm = sixteens):
        super().__init__()
        out = out or channels
        conv = lambda into: nn.Conv2d(into, out, 3, padding=1)
        self.steps = nn.Sequential(norm(channels), nn.SiLU(), conv(channels), norm(out), nn.SiLU(), conv(out))
        self.shortcut = nn.Conv2d(channels, out, 1) if out != channels else None

    def forward(self, x: Grid) -> Rewidened:
        """The same grid, each cell having looked two cells around."""
        return (x if self.shortcut is None else self.shortcut(x)) + self.steps(x)


class SpatialAttention(nn.Module):
    """Attention of one head over all cells of a grid, added to what comes in (pre-norm). Cells have no positions."""

    def __init__(self, channels: int, *, norm: Norm = sixteens):
        super().__init__()
        self.norm, self.qkv, self.out = norm(channels), nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Grid) -> Grid:
        """The same grid, each cell having looked everywhere. Costs grow with the square of the cells."""
        q, k, v = self.qkv(self.norm(x)).flatten(2).mT.unsqueeze(1).chunk(3, -1)
        seen = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(seen.squeeze(1).mT.unflatten(2, x.shape[2:]))


class Downsample(nn.Module):
    """Half as many rows and columns: a 3 x 3 convolution in steps of two, after a row of zeros below and a column on the right."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Grid) -> Resized:
        """Cell (i, j) has looked at the 3 x 3 cells from (2i, 2j) on."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice as many rows and columns: every cell repeated, then a 3 x 3 convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Grid) -> Resized:
        """Cell (i, j) becomes the 2 x 2 cells from (2i, 2j) on."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Levels(NamedTuple):
    """What encoder and decoder are made of, from the finest level to the coarsest, each half as fine as the one before."""

    widths: list[int]
    blocks: list[int]
    attended: Collection[int]
    norm: Norm

    def blocks_of(self, level: int, inside: int) -> list[nn.Module]:
        """The residual blocks of one level, each with attention behind it where the level is attended."""
        parts: list[nn.Module] = []
        for i in range(self.blocks[level]):
            parts.append(ConvBlock(self.widths[level] if i else inside, self.widths[level], norm=self.norm))
            parts += [SpatialAttention(self.widths[level], norm=self.norm)] if level in self.attended else []
        return parts

    def middle(self) -> nn.Sequential:
        """What stands at the coarsest level between encoder and features, and between features and decoder."""
        width = self.widths[-1]
        block = lambda: ConvBlock(width, norm=self.norm)
        return nn.Sequential(block(), SpatialAttention(width, norm=self.norm), block())

    def head(self, width: int, out: int) -> nn.Sequential:
        """A last norm and convolution."""
        return nn.Sequential(self.norm(width), nn.SiLU(), nn.Conv2d(width, out, 3, padding=1))


def levels(
    channels: int, multiples: Sequence[int], blocks: int | Sequence[int], attended: Collection[int], groups: int, who: str
) -> Levels:
    """The levels that these numbers speak of. Raises ValueError where they do not fit together; `who` asks."""
    counts = [blocks] * len(multiples) if isinstance(blocks, int) else list(blocks)
    if len(counts) != len(multiples):
        raise ValueError(
            f"{who}: blocks {counts} for {len(multiples)} levels (multiples {tuple(multiples)}); one number for all levels, or one "
            "for each, is accepted"
        )
    unknown = set(attended) - set(range(len(multiples)))
    if unknown:
        raise ValueError(f"{who}: attended {sorted(unknown)}; the levels are 0 (finest) to {len(multiples) - 1}; name some of them")
    widths = [channels * multiple for multiple in multiples]
    if any(width % groups for width in (channels, *widths)):
        raise ValueError(f"{who}: widths {channels}, {widths} with norms of {groups} groups; multiples of the groups are accepted")
    return Levels(widths, counts, attended, lambda width: nn.GroupNorm(groups, width, eps=1e-6))


class ConvEncoder(nn.Module):
    """Pictures to `features` on a grid that is coarser by `stride`, 2 to the number of levels less one.

    Level i, from 0, the finest, on, is `channels * multiples[i]` wide and has `blocks` residual blocks (a number for each level, or
    one for all), with attention behind each where `attended` names the level. A block, attention and a block follow the last.
    Source: VQGAN (Esser et al. 2021, arXiv:2012.09841); without its dropout.
    """

    def __init__(
        self,
        *,
        features: int,
        channels: int = 128,
        multiples: Sequence[int] = (1, 1, 2, 2, 4),
        blocks: int | Sequence[int] = 2,
        attended: Collection[int] = (),
        groups: int = 32,
    ):
        super().__init__()
        plan, inside, parts = levels(channels, multiples, blocks, attended, groups, "ConvEncoder"), channels, []
        self.features, self.stride = features, 2 ** (len(multiples) - 1)
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        for level, width in enumerate(plan.widths):
            down = [Downsample(width)] if level < len(multiples) - 1 else []
            parts.append(nn.Sequential(*plan.blocks_of(level, inside), *down))
            inside = width
        self.levels, self.middle, self.head = nn.Sequential(*parts), plan.middle(), plan.head(inside, features)

    def forward(self, pixels: Float[Tensor, "batch 3 height wide"]) -> Latent:
        """Features of each cell."""
        return self.head(self.middle(self.levels(self.stem(pixels))))


class ConvDecoder(nn.Module):
    """`features` on a grid to pictures finer by `stride`: the encoder's levels, from the coarsest back to the finest.

    Every level has one residual block more than the encoder's, where `blocks` is the usual one. Source: as of the encoder.
    """

    def __init__(
        self,
        *,
        features: int,
        channels: int = 128,
        multiples: Sequence[int] = (1, 1, 2, 2, 4),
        blocks: int | Sequence[int] = 3,
        attended: Collection[int] = (),
        groups: int = 32,
    ):
        super().__init__()
        plan, parts = levels(channels, multiples, blocks, attended, groups, "ConvDecoder"), []
        self.features, self.stride, inside = features, 2 ** (len(multiples) - 1), plan.widths[-1]
        self.stem, self.middle = nn.Conv2d(features, inside, 3, padding=1), plan.middle()
        for level in reversed(range(len(multiples))):
            up = [Upsample(plan.widths[level])] if level else []
            parts.append(nn.Sequential(*plan.blocks_of(level, inside), *up))
            inside = plan.widths[level]
        self.levels, self.head = nn.Sequential(*parts), plan.head(inside, 3)

    def forward(self, latents: Latent) -> Float[Tensor, "batch 3 height wide"]:
        """Pixels, from -1 to 1 once it has learned them; nothing is clipped."""
        return self.head(self.levels(self.middle(self.stem(latents))))
