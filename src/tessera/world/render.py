"""Draws scenes: whole-number arithmetic on coverage counts, so a scene has the same bytes on every machine."""

from functools import lru_cache
from math import floor

import numpy as np

from tessera.world.figures import FULL, coverage
from tessera.world.scene import BACKGROUND, Colour, Kind, Level, Scene

_GROUND = np.array(BACKGROUND, dtype=np.int16)[:, None, None]


def render(scene: Scene, level: Level) -> np.ndarray:
    """The picture of a scene: uint8 [3, height, width]. Things are drawn in order, at any (fractional) centre.

    What lies outside the canvas is cut off. Things at whole-pixel centres are fastest: their masks are kept.
    """
    pixels = np.empty((3, level.pixels, level.pixels), dtype=np.int16)
    pixels[:] = _GROUND
    for thing in scene.things:
        left, top = floor(thing.x), floor(thing.y)
        radius = level.radius[thing.size]
        clear, ink = _stamp(thing.kind, thing.digit, thing.colour, radius, thing.x - left, thing.y - top)
        _paint(pixels, clear, ink, left, top)
    return pixels.astype(np.uint8)


@lru_cache(maxsize=4096)
def _stamp(kind: Kind, digit: str, colour: Colour, radius: float, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """What a thing lets through, and what it adds: with half a unit in it, so that the shift in `_paint` rounds."""
    cover = coverage(kind, digit, radius, x, y)
    return FULL - cover, np.array(colour.value, dtype=np.int16)[:, None, None] * cover + FULL // 2


def _paint(pixels: np.ndarray, clear: np.ndarray, ink: np.ndarray, left: int, top: int) -> None:
    """Blend a stamp, its middle pixel at (left, top), into the picture in place."""
    reach, size = clear.shape[0] // 2, pixels.shape[1]
    left, top = left - reach, top - reach
    rows = slice(max(0, -top), max(0, min(clear.shape[0], size - top)))
    columns = slice(max(0, -left), max(0, min(clear.shape[1], size - left)))
    under = pixels[:, rows.start + top : rows.stop + top, columns.start + left : columns.stop + left]
    under *= clear[rows, columns]
    under += ink[:, rows, columns]
    under //= FULL
