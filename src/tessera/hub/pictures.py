"""How a published system wants pictures: scaled, cut or padded, and the mean and spread of colours."""

from collections.abc import Callable, Mapping
from math import ceil, floor, sqrt
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image as Pillow
from torch import Tensor

from tessera.hub.folder import Folder

FILES = ("preprocessor_config.json", "processor_config.json")
CLIP_MEAN, CLIP_SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
Picture = UInt8[Tensor, "3 height wide"]
Fitted = UInt8[Tensor, "3 ..."]  # of another height and width
Fit = Callable[[Picture], Fitted]


def processing(folder: Folder) -> Mapping[str, Any]:
    """What a folder says of its pictures; nothing where it says nothing."""
    for file in FILES:
        said = folder.read(file)
        if said:
            return said.get("image_processor", said)
    return {}


def colours(folder: Folder) -> dict[str, tuple[float, ...]]:
    """Mean and spread of colours, as `Patches` takes them; CLIP's where nothing else is said."""
    said = processing(folder)
    return {"mean": tuple(said.get("image_mean") or CLIP_MEAN), "spread": tuple(said.get("image_std") or CLIP_SPREAD)}


def plain(folder: Folder) -> None:
    """Raises ValueError where pixels shall be other than from -1 to 1, as codecs of pictures take them."""
    said = processing(folder)
    half = [0.5, 0.5, 0.5]
    if any(list(said.get(name) or half) != half for name in ("image_mean", "image_std")):
        raise ValueError(f"hub: {folder.path} asks for pixels of another mean than 0.5; 0.5 is accepted here; load it with another library")


def resample(folder: Folder, usual: Pillow.Resampling = Pillow.Resampling.BICUBIC) -> Pillow.Resampling:
    """The filter that a folder asks for."""
    return Pillow.Resampling(processing(folder).get("resample", usual))


def resized(picture: Picture, height: int, width: int, how: Pillow.Resampling) -> Fitted:
    """The picture at another size."""
    if picture.shape[1:] == (height, width):
        return picture
    made = Pillow.fromarray(picture.permute(1, 2, 0).numpy()).resize((width, height), how)
    return torch.from_numpy(np.array(made)).permute(2, 0, 1).contiguous()


def stretched(side: int, how: Pillow.Resampling) -> Fit:
    """Both sides scaled to `side`."""
    return lambda picture: resized(picture, side, side, how)


def cropped(side: int, how: Pillow.Resampling, shorter: int = 0) -> Fit:
    """The shorter side scaled to `shorter`, or else to `side`, the longer one with it, and the middle cut out."""
    shorter = shorter or side

    def fit(picture: Picture) -> Fitted:
        height, width = picture.shape[1:]
        short, long = sorted((height, width))
        longer = shorter * long // short
        picture = resized(picture, *((shorter, longer) if height == short else (longer, shorter)), how)
        top, left = (picture.shape[1] - side) // 2, (picture.shape[2] - side) // 2
        return picture[:, top : top + side, left : left + side].contiguous()

    return fit


def padded(side: int, how: Pillow.Resampling, background: tuple[int, ...], least: int = 14) -> Fit:
    """The longer side scaled to `side`, the shorter one with it, down to `least`, and the rest filled on both sides."""

    def fit(picture: Picture) -> Fitted:
        height, width = (max(round(length * (side / max(picture.shape[1:]))), least) for length in picture.shape[1:])
        made = torch.tensor(background, dtype=torch.uint8).view(3, 1, 1).repeat(1, side, side)
        top, left = (side - height) // 2, (side - width) // 2
        made[:, top : top + height, left : left + width] = resized(picture, height, width, how)
        return made

    return fit


def squared(side: int, how: Pillow.Resampling, background: tuple[int, ...]) -> Fit:
    """The shorter side filled on both sides, and the square scaled to `side`."""

    def fit(picture: Picture) -> Fitted:
        return resized(padded(max(picture.shape[1:]), how, background, least=1)(picture), side, side, how)

    return fit


def sized(folder: Folder, side: int) -> Fit:
    """Pictures of any shape to a square of this side, as a folder says: padded, stretched, or the middle cut out.

    Raises ValueError where what it says ends at another size.
    """
    said, how = processing(folder), resample(folder)
    size, cut = said.get("size", side), said.get("crop_size", side)
    size = {"shortest_edge": size} if isinstance(size, int) else size
    cut = (cut, cut) if isinstance(cut, int) else (cut.get("height"), cut.get("width"))
    shorter, lengths = size.get("shortest_edge") or 0, (size.get("height"), size.get("width"))
    cuts, square = said.get("do_center_crop", bool(shorter)), (side, side)
    if said.get("do_pad"):
        return squared(side, how, background(folder))
    if lengths == square and (not cuts or cut == square):
        return stretched(side, how)
    if shorter >= side and cuts and cut == square:
        return cropped(side, how, shorter)
    raise ValueError(
        f"hub: {folder.path} asks for pictures of size {size}, cut to {cut if cuts else 'nothing'}; what ends at {side} x {side} pixels is "
        "accepted; load it with another library"
    )


def near(multiple: int, least: int, most: int, how: Pillow.Resampling) -> Fit:
    """Both sides scaled to multiples of a number, the nearest ones if the pixels are between `least` and `most`, else those next inside.

    Raises ValueError for pictures more than 200 times as long as wide.
    """

    def fit(picture: Picture) -> Fitted:
        size = picture.shape[1:]
        if max(size) > 200 * min(size):
            raise ValueError(f"picture: {size[0]} x {size[1]} pixels; sides of 1 to 200 at most are accepted; cut it")
        sides = [round(length / multiple) * multiple for length in size]
        area = sides[0] * sides[1]
        if area > most:
            sides = [max(multiple, floor(length / sqrt(size[0] * size[1] / most) / multiple) * multiple) for length in size]
        elif area < least:
            sides = [ceil(length * sqrt(least / (size[0] * size[1])) / multiple) * multiple for length in size]
        return resized(picture, sides[0], sides[1], how)

    return fit


def covered(side: int, seen: int, how: Pillow.Resampling) -> Fit:
    """The picture scaled to a square, as far as whole squares of an eye cover it."""
    return upto(seen, stretched(side, how))


def upto(seen: int, fit: Fit) -> Fit:
    """The picture less its last rows and columns, which whole squares of an eye do not cover: `seen` are left."""
    return lambda picture: fit(picture)[:, :seen, :seen].contiguous()


def background(folder: Folder) -> tuple[int, ...]:
    """The mean colour, in bytes."""
    return tuple(int(255 * value) for value in colours(folder)["mean"])
