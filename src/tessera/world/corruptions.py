"""Ways in which a picture of a scene goes wrong, and pictures that show no scene at all. Used to certify the oracle.

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
    blurred = _gaussian(pictures.float(), width)
    return _bytes(blurred + noise * torch.randn(blurred.shape, generator=rng))


def cast(pictures: Tensor, rng: Generator) -> Tensor:
    """Each channel of each picture brighter or darker by up to a tenth."""
    gain = 0.9 + 0.2 * torch.rand(len(pictures), 3, 1, 1, generator=rng)
    return _bytes(pictures * gain)


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


def resample(pictures: Tensor, rng: Generator) -> Tensor:
    """Halved, each pixel the mean of four, and doubled again bilinearly."""
    small = functional.avg_pool2d(pictures.float(), 2)
    return _bytes(functional.interpolate(small, scale_factor=2, mode="bilinear"))


def elastic(pictures: Tensor, rng: Generator, *, pixels: float) -> Tensor:
    """Every place moved by a smooth random field with the given standard deviation in pixels: melted shapes."""
    count, _, height, width = pictures.shape
    field = _gaussian(torch.randn(count, 2, height, width, generator=rng), 3.0)
    field = field / field.std((1, 2, 3), keepdim=True) * pixels
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack((columns, rows), -1) + field.permute(0, 2, 3, 1)
    grid = (2 * at + 1) / torch.tensor([width, height]) - 1
    return _bytes(functional.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False))


def shuffle(pictures: Tensor, rng: Generator) -> Tensor:
    """Its sixteen square parts in random order."""
    count, _, height, width = pictures.shape
    parts = pictures.view(count, 3, 4, height // 4, 4, width // 4).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    order = torch.rand(count, 16, generator=rng).argsort(1)
    mixed = parts[torch.arange(count)[:, None], order].unflatten(1, (4, 4))
    return mixed.permute(0, 3, 1, 4, 2, 5).reshape(pictures.shape)


def white_noise(pictures: Tensor, rng: Generator) -> Tensor:
    """Any byte anywhere."""
    return torch.randint(0, 256, pictures.shape, generator=rng).to(torch.uint8)


def smooth_noise(pictures: Tensor, rng: Generator) -> Tensor:
    """Coloured clouds some pixels wide, of the contrast of a scene."""
    clouds = _gaussian(torch.randn(pictures.shape, generator=rng), 2.0)
    return _bytes(128 + 60 * clouds / clouds.std((1, 2, 3), keepdim=True))


def flat(pictures: Tensor, rng: Generator) -> Tensor:
    """One random colour all over."""
    colours = torch.randint(0, 256, (len(pictures), 3, 1, 1), generator=rng)
    return colours.expand(pictures.shape).to(torch.uint8)


# What a reading must survive (`JUDGED`), what is only reported, and what must never be read as a scene.
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
    "halved and doubled": resample,
}
GARBAGE: dict[str, Corruption] = {
    "white noise": white_noise,
    "smooth noise": smooth_noise,
    "shuffled parts": shuffle,
    "one flat colour": flat,
    "elastic 3 px": partial(elastic, pixels=3.0),
}


def _gaussian(pictures: Tensor, width: float) -> Tensor:
    reach, channels = ceil(3 * width), pictures.shape[1]
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / width) ** 2)
    kernel = (kernel / kernel.sum()).expand(channels, 1, 1, -1)
    padded = functional.pad(pictures, (reach,) * 4, "replicate")
    return functional.conv2d(functional.conv2d(padded, kernel, groups=channels), kernel.mT, groups=channels)


def _through_jpeg(picture: Tensor, quality: int) -> Tensor:
    stream = io.BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).numpy()).save(stream, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1)


def _bytes(pictures: Tensor) -> Tensor:
    return pictures.round().clamp(0, 255).to(torch.uint8)
