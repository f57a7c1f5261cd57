"""Ways in which a picture of a scene goes wrong. Used to certify the oracle.

Each takes uint8 [n, 3, height, width] and a generator, and returns the like.
"""

import io
from collections.abc import Callable
from functools import partial
from math import ceil

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional

Corruption = Callable[[Tensor, Generator], Tensor]


def blur(pictures: Tensor, rng: Generator, *, width: float, noise: float = 0.0) -> Tensor:
    """A Gaussian blur with the given standard deviation in pixels, then white noise with one of `noise` of 255."""
    blurred = gaussian(pictures.float(), width)
    return to_bytes(blurred + noise * torch.randn(blurred.shape, generator=rng))


def cast(pictures: Tensor, rng: Generator) -> Tensor:
    """Each channel of each picture brighter or darker by up to a tenth."""
    gain = 0.9 + 0.2 * torch.rand(len(pictures), 3, 1, 1, generator=rng)
    return to_bytes(pictures * gain)


def jpeg(pictures: Tensor, rng: Generator, *, quality: int) -> Tensor:
    """Once through JPEG."""
    return torch.stack([_through_jpeg(picture, quality) for picture in pictures])


def shift(pictures: Tensor, rng: Generator) -> Tensor:
    """Moved by one pixel along each axis, to either side; the border is repeated."""
    padded = functional.pad(pictures.float(), (1, 1, 1, 1), "replicate").to(torch.uint8)
    corners = torch.randint(0, 2, (len(pictures), 2), generator=rng).tolist()
    height, width = pictures.shape[2:]
    moved = [
        picture[:, 2 * row : 2 * row + height, 2 * column : 2 * column + width]
        for picture, (row, column) in zip(padded, corners, strict=True)
    ]
    return torch.stack(moved)


def slide(pictures: Tensor, rng: Generator) -> Tensor:
    """Moved by up to a pixel along each axis, by fractions, bilinearly; the border is repeated."""
    to_corner = 2 * torch.rand(len(pictures), 2, generator=rng) - 1
    frame = torch.eye(2).expand(len(pictures), 2, 2)
    by = to_corner * 2 / torch.tensor([pictures.shape[3], pictures.shape[2]])
    grid = functional.affine_grid(torch.cat((frame, by[:, :, None]), 2), list(pictures.shape), align_corners=False)
    return to_bytes(functional.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False))


def resample(pictures: Tensor, rng: Generator) -> Tensor:
    """Halved, each pixel the mean of four, and doubled again bilinearly."""
    small = functional.avg_pool2d(pictures.float(), 2)
    return to_bytes(functional.interpolate(small, scale_factor=2, mode="bilinear"))


def elastic(pictures: Tensor, rng: Generator, *, pixels: float) -> Tensor:
    """Every place moved by a smooth random field with the given standard deviation in pixels: melted shapes."""
    count, _, height, width = pictures.shape
    field = gaussian(torch.randn(count, 2, height, width, generator=rng), 3.0)
    field = field / field.std((1, 2, 3), keepdim=True) * pixels
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack((columns, rows), -1) + field.permute(0, 2, 3, 1)
    grid = (2 * at + 1) / torch.tensor([width, height]) - 1
    return to_bytes(functional.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False))


# What a reading must survive (`JUDGED`), and what is only reported.
JUDGED: dict[str, Corruption] = {
    "clean": lambda pictures, rng: pictures,
    "blur .8": partial(blur, width=0.8),
    "blur .8, noise 12": partial(blur, width=0.8, noise=12.0),
}
REPORTED: dict[str, Corruption] = {
    "blur 1.2, noise 15": partial(blur, width=1.2, noise=15.0),
    "colour cast": cast,
    "JPEG 70": partial(jpeg, quality=70),
    "JPEG 30": partial(jpeg, quality=30),
    "shift by a pixel": shift,
    "shift by fractions": slide,
    "halved and doubled": resample,
}


def gaussian(pictures: Tensor, width: float) -> Tensor:
    """Float pictures under a Gaussian blur with the given standard deviation in pixels; the border is repeated."""
    reach, channels = ceil(3 * width), pictures.shape[1]
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / width) ** 2)
    kernel = (kernel / kernel.sum()).expand(channels, 1, 1, -1)
    padded = functional.pad(pictures, (reach,) * 4, "replicate")
    return functional.conv2d(functional.conv2d(padded, kernel, groups=channels), kernel.mT, groups=channels)


def _through_jpeg(picture: Tensor, quality: int) -> Tensor:
    stream = io.BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).numpy()).save(stream, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1)


def to_bytes(pictures: Tensor) -> Tensor:
    """The nearest bytes to float pictures."""
    return pictures.round().clamp(0, 255).to(torch.uint8)
