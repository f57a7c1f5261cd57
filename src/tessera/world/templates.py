"""What the things of a level look like, as matched filters: every look at every scale, shift and blur."""

from dataclasses import dataclass, replace
from itertools import product
from math import ceil

import numpy as np
import torch
from torch import Tensor

from tessera.world.figures import SUBSAMPLES, fine_map, pool
from tessera.world.scene import Kind, Level, Size


@dataclass(frozen=True)
class Look:
    """What can be told of a thing besides its colour and place."""

    kind: Kind
    size: Size
    digit: str = ""


def looks(level: Level) -> tuple[Look, ...]:
    """Every look a thing of the level can have."""
    shapes = [(kind, "") for kind in level.kinds] + [(Kind.DIGIT, digit) for digit in level.digits]
    return tuple(Look(kind, size, digit) for kind, digit in shapes for size in level.radius)


@dataclass(frozen=True, eq=False)
class Bank:
    """Templates as columns: pixel coverage, 0 to 64 in whole numbers, in a window of 2 * `reach` + 1 pixels a side.

    `look` indexes `looks`; `x`, `y` is the template's centre from the upper left corner of the window's middle pixel.
    `squares` are the squared masks; `discs` are 1 up to a pixel beyond the thing's circle.
    Banks that differ in blur only have the same templates in the same order.
    """

    looks: tuple[Look, ...]
    reach: int
    masks: Tensor
    squares: Tensor
    discs: Tensor
    look: Tensor
    x: Tensor
    y: Tensor


def make_bank(level: Level, blur: float, scales: tuple[float, ...], shifts: tuple[float, ...]) -> Bank:
    """All looks, at the scales of their radius and the shifts (pixels, multiples of 1/8) along both axes.

    `blur` is the standard deviation of a Gaussian, in pixels.
    """
    seen, furthest = looks(level), max(level.radius.values()) * max(scales)
    reach = ceil(furthest + max(shifts) + 2 * blur)
    masks = [_masks(look, level.radius[look.size] * scale, shifts, reach) for look in seen for scale in scales]
    columns = torch.round(_blurred(torch.from_numpy(np.concatenate(masks)).float(), blur)).flatten(1).T.contiguous()
    radii = torch.tensor([level.radius[look.size] * scale for look in seen for scale in scales])
    y, x = torch.tensor(list(product(shifts, shifts))).repeat(len(radii), 1).unbind(1)
    return Bank(
        seen,
        reach,
        columns,
        columns.square(),
        _discs(radii.repeat_interleave(len(shifts) ** 2) + 1, x, y, reach),
        torch.arange(len(seen)).repeat_interleave(len(scales) * len(shifts) ** 2),
        x,
        y,
    )


def _discs(radius: Tensor, x: Tensor, y: Tensor, reach: int) -> Tensor:
    """Which pixels have their centre in each disc: [pixel, disc], 0 or 1."""
    steps = torch.arange(-reach, reach + 1) + 0.5
    across, down = steps[None, :, None] - x, steps[:, None, None] - y
    return (across * across + down * down <= radius * radius).flatten(0, 1).float()


def _masks(look: Look, radius: float, shifts: tuple[float, ...], reach: int) -> np.ndarray:
    """The look's coverage for every pair of shifts, rows outermost: [shifts ** 2, window, window]."""
    margin = ceil(max(map(abs, shifts)))
    around = ceil(radius)
    fine = np.pad(fine_map(look.kind, look.digit, radius, around), (reach + margin - around) * SUBSAMPLES)
    starts = [int((margin - shift) * SUBSAMPLES) for shift in shifts]
    window = (2 * reach + 1) * SUBSAMPLES
    return np.stack([pool(fine[row : row + window, left : left + window]) for row in starts for left in starts])


def _blurred(masks: Tensor, blur: float) -> Tensor:
    """A Gaussian blur of [mask, row, column], nothing beyond the window."""
    reach = ceil(3 * blur)
    steps = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-0.5 * (steps / blur) ** 2)
    kernel = kernel / kernel.sum()
    rows = torch.nn.functional.conv2d(masks[:, None], kernel[None, None, :, None], padding=(reach, 0))
    return torch.nn.functional.conv2d(rows, kernel[None, None, None, :], padding=(0, reach))[:, 0]


def shrink(bank: Bank) -> Bank:
    """The bank at half the resolution, for windows of 2 * `reach` large pixels with the centre between the middle ones."""
    reach = bank.reach // 2
    masks, discs = (_halved(columns, bank.reach, reach) for columns in (bank.masks, bank.discs))
    return replace(bank, reach=reach, masks=masks, squares=masks.square(), discs=discs, x=bank.x / 2, y=bank.y / 2)


def _halved(columns: Tensor, reach: int, half: int) -> Tensor:
    """Columns of windows, each 2 x 2 pixels averaged and rounded."""
    side, first = 2 * reach + 1, reach - 2 * half
    windows = columns.T.reshape(-1, 1, side, side)[..., first : first + 4 * half, first : first + 4 * half]
    return torch.round(torch.nn.functional.avg_pool2d(windows, 2)).flatten(1).T.contiguous()
