"""The shapes of things: inside tests in the unit disc, and how much of each pixel they cover.

Only + - * / and comparisons decide, on numbers written out here, so every machine finds the same pixels.
"""

from functools import lru_cache
from itertools import pairwise
from math import ceil

import numpy as np

from tessera.world.scene import Kind

SUBSAMPLES = 8
FULL = SUBSAMPLES * SUBSAMPLES

Points = tuple[tuple[float, float], ...]

# Corners of a five-pointed star: on the circle of radius 1 and, between them, on that of radius .42.
_STAR: Points = (
    (0.0, -1.0), (0.24687, -0.33979), (0.95106, -0.30902), (0.39944, 0.12979), (0.58779, 0.80902),
    (0.0, 0.42), (-0.58779, 0.80902), (-0.39944, 0.12979), (-0.95106, -0.30902), (-0.24687, -0.33979),
)  # fmt: skip
_CROSS: Points = (
    (-0.3, -0.95), (0.3, -0.95), (0.3, -0.3), (0.95, -0.3), (0.95, 0.3), (0.3, 0.3),
    (0.3, 0.95), (-0.3, 0.95), (-0.3, 0.3), (-0.95, 0.3), (-0.95, -0.3), (-0.3, -0.3),
)  # fmt: skip
_POLYGONS: dict[Kind, Points] = {
    Kind.SQUARE: ((-0.707, -0.707), (0.707, -0.707), (0.707, 0.707), (-0.707, 0.707)),
    Kind.TRIANGLE: ((0.0, -1.0), (0.86603, 0.5), (-0.86603, 0.5)),
    Kind.CROSS: _CROSS,
    Kind.STAR: _STAR,
    Kind.DIAMOND: ((0.0, -1.0), (0.62, 0.0), (0.0, 1.0), (-0.62, 0.0)),
}
_HEART_BODY: Points = ((-0.758, -0.162), (-0.4, -0.4), (0.4, -0.4), (0.758, -0.162), (0.0, 0.98))
_HOLE = 0.55

# The pen's path for each digit. Only digits that stay apart at seven pixels of height are drawn.
# fmt: off
_STROKES: dict[str, Points] = {
    "1": ((-0.28, -0.44), (0.06, -0.74), (0.06, 0.76)),
    "2": ((-0.32, -0.48), (-0.16, -0.72), (0.14, -0.72), (0.32, -0.46), (0.24, -0.16), (-0.34, 0.72), (0.34, 0.72)),
    "3": (
        (-0.32, -0.6), (-0.12, -0.75), (0.14, -0.72), (0.28, -0.46), (0.16, -0.16), (-0.08, -0.06),
        (0.2, 0.06), (0.34, 0.36), (0.2, 0.66), (-0.1, 0.75), (-0.34, 0.58),
    ),
    "4": ((0.16, 0.76), (0.16, -0.72), (-0.4, 0.28), (0.44, 0.28)),
    "7": ((-0.36, -0.7), (0.36, -0.7), (-0.08, 0.76)),
}
# fmt: on
_PEN = 0.19


def inside(kind: Kind, digit: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points lie in the thing of radius 1 around the origin, y pointing down. Nothing leaves the unit disc."""
    if kind is Kind.DIGIT:
        return _near_stroke(_STROKES[digit], x, y)
    if kind is Kind.CIRCLE:
        return x * x + y * y <= 1.0
    if kind is Kind.RING:
        square = x * x + y * y
        return (square <= 1.0) & (square >= _HOLE * _HOLE)
    if kind is Kind.HEART:
        right, left, above = x - 0.4, x + 0.4, y + 0.4
        lobe = 0.43 * 0.43
        lobes = (right * right + above * above <= lobe) | (left * left + above * above <= lobe)
        return lobes | _in_polygon(_HEART_BODY, x, y)
    return _in_polygon(_POLYGONS[kind], x, y)


def _in_polygon(corners: Points, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Even-odd rule: a ray to the right crosses the outline an odd number of times."""
    odd = np.zeros(np.broadcast(x, y).shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        if ay != by:
            odd ^= ((ay > y) != (by > y)) & (x < (y - ay) * ((bx - ax) / (by - ay)) + ax)
    return odd


def _near_stroke(path: Points, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    near = np.zeros(np.broadcast(x, y).shape, dtype=bool)
    for (ax, ay), (bx, by) in pairwise(path):
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0.0, 1.0)
        right, below = x - ax - along * dx, y - ay - along * dy
        near |= right * right + below * below <= _PEN * _PEN
    return near


def fine_map(kind: Kind, digit: str, radius: float, reach: int, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """Inside tests at SUBSAMPLES x SUBSAMPLES points a pixel, for the pixels -reach..reach; the centre is at (x, y).

    A centre at (0, 0) lies on the upper left corner of the middle pixel.
    """
    steps = (np.arange((2 * reach + 1) * SUBSAMPLES) + 0.5) / SUBSAMPLES - reach
    return inside(kind, digit, ((steps - x) / radius)[None, :], ((steps - y) / radius)[:, None])


def pool(fine: np.ndarray) -> np.ndarray:
    """How many of the FULL sample points of each pixel are set: int16."""
    rows, columns = fine.shape[0] // SUBSAMPLES, fine.shape[1] // SUBSAMPLES
    return fine.reshape(rows, SUBSAMPLES, columns, SUBSAMPLES).sum((1, 3), dtype=np.int16)


@lru_cache(maxsize=4096)
def coverage(kind: Kind, digit: str, radius: float, x: float, y: float) -> np.ndarray:
    """Pixel coverage in 0..FULL of a thing whose centre is (x, y), both in [0, 1), inside the middle pixel."""
    return pool(fine_map(kind, digit, radius, ceil(radius), x, y))
