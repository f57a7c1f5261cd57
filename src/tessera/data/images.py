"""Pictures from files: whatever a user has becomes uint8 [3, height, width], sRGB, by one stated rule."""

import io
from math import floor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, ImageOps, UnidentifiedImageError
from PIL import Image as Pillow
from torch import Tensor

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # only decoders that run no other program
MOST_PIXELS = 2**26  # 8192 x 8192; a decompression bomb is a small file that claims more
ROUNDING = 1e-6  # pixels: a side that is covered exactly may come out a rounding error too short
LYING = 5  # from this EXIF orientation on, height and width change places
SPARE = 3  # a JPEG may be decoded smaller while this many times the size asked for is left


def open_picture(path: str | Path, pixels: int | None = None) -> UInt8[Tensor, "3 height wide"]:
    """The picture in this file, scaled and cropped (see `decode`) to `pixels` x `pixels`, or at its own size.

    Raises ValueError where there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"picture: {path} is no file; a picture file is accepted; check the path")
    try:
        return decode(path.read_bytes(), (pixels, pixels) if pixels else None)
    except ValueError as fault:
        raise ValueError(f"picture: {path}: {fault}; a picture file is accepted; check the file") from fault


def size_of(path: str | Path) -> tuple[int, int]:
    """Height and width of the picture in this file, in pixels, once it is upright. Its head alone is read."""
    with Pillow.open(path, formats=FORMATS) as opened:
        lies = opened.getexif().get(ExifTags.Base.Orientation, 1) >= LYING
        return (opened.width, opened.height) if lies else (opened.height, opened.width)


def decode(data: bytes, size: tuple[int, int] | None) -> UInt8[Tensor, "3 height wide"]:
    """The picture in these bytes at `size`, which is (height, width) in pixels; None is its own size.

    Turned upright by its EXIF tag; transparency over white; palette, grey, 16-bit grey (high byte) and CMYK as RGB; colour
    profiles are not applied; of an animation the first frame. Then the shorter side is scaled to the size asked for (the
    picture covers it exactly) with Pillow's antialiased bicubic filter (by means where it
    shrinks by a whole number), and the centre is cropped at whole pixels. Large
    JPEGs are decoded at 1/2, 1/4 or 1/8 first, never below 3 times the size: four times as fast, within a few levels.
    Raises ValueError with the reason where the bytes are no readable picture.
    """
    if not data:
        raise ValueError("picture is empty (0 bytes)")
    try:
        with Pillow.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise ValueError(f"{opened.width} x {opened.height} pixels are more than {MOST_PIXELS}")
            if size:
                opened.draft(None, (SPARE * max(size), SPARE * max(size)))
            return fitted(opened, size)
    except UnidentifiedImageError as fault:
        raise ValueError(f"picture is none of {', '.join(FORMATS)}") from fault
    except Exception as fault:  # decoders raise whatever their parser met: OSError, SyntaxError, struct.error, zlib.error, ...
        raise ValueError(f"picture cannot be read ({str(fault) or type(fault).__name__})") from fault


def fitted(image: Pillow.Image, size: tuple[int, int] | None) -> UInt8[Tensor, "3 height wide"]:
    """An opened picture at `size`, (height, width) in pixels, or at its own: upright, in RGB, scaled and cropped as `decode` says."""
    upright = rgb(ImageOps.exif_transpose(image))
    return torch.from_numpy(np.array(fit(upright, size) if size else upright)).permute(2, 0, 1).contiguous()


def rgb(image: Pillow.Image) -> Pillow.Image:
    """The picture in 8-bit RGB, transparent parts over white."""
    if image.mode.startswith("I;16"):
        image = Pillow.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"32-bit grey (mode {image.mode}) has no stated range")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Pillow.alpha_composite(Pillow.new("RGBA", image.size, "white"), image).convert("RGB")


def fit(image: Pillow.Image, size: tuple[int, int]) -> Pillow.Image:
    """The picture scaled until it just covers `size` (height, width), cropped to its centre.

    Only the part that is kept is resampled, so a strip of 5000 x 10 pixels costs no more than its middle.
    """
    height, width = size
    scale = max(width / image.width, height / image.height)
    # cut at whole pixels after scaling: what needs no scaling is not blurred
    spare = lambda length, kept: max(0, floor((length * scale - kept) / 2 + ROUNDING)) / scale
    left, top = spare(image.width, width), spare(image.height, height)
    box = (left, top, min(left + width / scale, image.width), min(top + height / scale, image.height))
    whole = scale < 1 and (1 / scale).is_integer()  # a picture enlarged pixel by pixel comes back as it was
    return image.resize((width, height), Pillow.Resampling.BOX if whole else Pillow.Resampling.BICUBIC, box=box)
