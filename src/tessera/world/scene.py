"""Scenes: what is in a picture of the world, and the levels that say what may be."""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from math import ceil

VERSION = "world-v1"


class Kind(Enum):
    """What a thing is. DIGIT things carry the digit they show."""

    CIRCLE = "circle"
    SQUARE = "square"
    TRIANGLE = "triangle"
    CROSS = "cross"
    STAR = "star"
    RING = "ring"
    DIAMOND = "diamond"
    HEART = "heart"
    DIGIT = "digit"


class Colour(Enum):
    """The colours of things; the value is sRGB."""

    RED = (214, 39, 40)
    ORANGE = (255, 140, 0)
    YELLOW = (250, 220, 40)
    GREEN = (44, 150, 60)
    BLUE = (40, 90, 210)
    PURPLE = (130, 40, 175)
    BLACK = (20, 20, 20)
    WHITE = (250, 250, 250)


BACKGROUND = (160, 160, 160)


class Size(Enum):
    """How large a thing is. Levels with one size use MEDIUM, which no text mentions."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


@dataclass(frozen=True)
class Thing:
    """One object: what it is and where. `row` and `column` name its place; `x`, `y` is its centre in pixels."""

    kind: Kind
    colour: Colour
    size: Size
    row: int
    column: int
    x: float
    y: float
    digit: str = ""


@dataclass(frozen=True)
class Scene:
    """Things on a plain background, none touching another, in painter's order (which is drawing order only)."""

    things: tuple[Thing, ...]


@dataclass(frozen=True)
class Level:
    """What scenes may hold: `most` things on `grid` x `grid` named places, centres off by whole pixels up to `jitter`."""

    name: str
    pixels: int
    kinds: tuple[Kind, ...]
    colours: tuple[Colour, ...]
    radius: dict[Size, float]
    grid: int
    most: int
    jitter: int
    digits: str = ""
    relations: bool = False

    @cached_property
    def centres(self) -> tuple[int, ...]:
        """Where things stand in each row (and column) before jitter: mid-place, or as near to it as the largest fits."""
        reach = ceil(max(self.radius.values()))
        middles = (round((2 * place + 1) * self.pixels / (2 * self.grid)) for place in range(self.grid))
        return tuple(min(max(middle, reach), self.pixels - reach) for middle in middles)

    def place(self, at: float) -> int:
        """The row (or column) that a coordinate in pixels lies in; the outermost one beyond the canvas."""
        return min(max(int(at * self.grid / self.pixels), 0), self.grid - 1)


EASY = Level(
    "easy",
    pixels=32,
    kinds=(Kind.CIRCLE, Kind.SQUARE, Kind.TRIANGLE, Kind.CROSS, Kind.STAR, Kind.RING),
    colours=tuple(Colour),
    radius={Size.MEDIUM: 6.0},
    grid=2,
    most=3,
    jitter=1,
)
STANDARD = Level(
    "standard",
    pixels=32,
    kinds=tuple(kind for kind in Kind if kind is not Kind.DIGIT),
    colours=tuple(Colour),
    radius={Size.SMALL: 4.0, Size.LARGE: 5.6},
    grid=3,
    most=4,
    jitter=1,
    digits="12347",
    relations=True,
)
LEVELS = {level.name: level for level in (EASY, STANDARD)}
