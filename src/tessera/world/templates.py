"""What the things of a level look like, as matched filters: every look at every scale, shift and blur."""

from dataclasses import dataclass, replace
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
    `squares` are the squared masks. Banks that differ in blur only have the same templates in the same order.
    """

    looks: tuple[Look, ...]
    reach: int
    masks: Tensor
    squares: Tensor
    look: Tensor
    x: Tensor
    y: Tensor


def make_bank(level: Level, blur: float, scales: tuple[float, ...], shifts: tuple[float, ...]) -> Bank:
    """All looks, at the scales of their radius and the shifts (pixels, multiples of 1/8) along both axes.

    `blur` is the standard deviation of a Gaussian, in pixels.
    """
    seen, furthest = looks(level), max(level.radius.values()) * max(scales)
    reach = ceil(furthest + max(shifts) + 2 * blur)
    masks = [
        _masks(look, level.radius[look.size] * scale, shifts, reach) for look in seen for scale in scales
    ]
    columns = torch.round(_blurred(torch.from_numpy(np.concatenate(masks)).float(), blur)).flatten(1).T.contiguous()
    offsets = torch.tensor(shifts)
    each = len(seen) * len(scales)
    return Bank(
        seen,
        reach,
        columns,
        columns.square(),
        torch.arange(len(seen)).repeat_interleave(len(scales) * len(shifts) ** 2),
        offsets.repeat(len(shifts)).repeat(each),
        offsets.repeat_interleave(len(shifts)).repeat(each),
    )


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
    side, first = 2 * bank.reach + 1, bank.reach - 2 * reach
    masks = bank.masks.T.view(-1, 1, side, side)[..., first : first + 4 * reach, first : first + 4 * reach]
    small = torch.round(torch.nn.functional.avg_pool2d(masks, 2)).flatten(1).T.contiguous()
    return replace(bank, reach=reach, masks=small, squares=small.square(), x=bank.x / 2, y=bank.y / 2)
