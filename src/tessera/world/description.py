"""What text can say of things: their attributes, each said or left open, and which side of one another they lie."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from tessera.world.scene import Colour, Kind, Level, Scene, Size, Thing

BOX_MARGIN = 0.1  # GenEval: part of both boxes by which centres must be apart
MIN_COSINE = 0.5  # GenEval: how much of the way from one centre to the other must go to that side
CLEAR = 0.15  # of the picture's width: text speaks of a side only where centres are this far apart


@dataclass(frozen=True)
class Described:
    """A thing as text names it. None (for the digit: nothing) leaves an attribute open."""

    kind: Kind | None = None
    colour: Colour | None = None
    size: Size | None = None
    place: tuple[int, int] | None = None
    digit: str = ""

    def fits(self, thing: Thing) -> bool:
        """Whether everything said is true of the thing."""
        return (
            self.kind in (None, thing.kind)
            and self.colour in (None, thing.colour)
            and self.size in (None, thing.size)
            and self.place in (None, (thing.row, thing.column))
            and self.digit in ("", thing.digit)
        )


def sized(level: Level) -> bool:
    """Whether text of this level mentions sizes."""
    return len(level.radius) > 1


def described(thing: Thing, level: Level) -> Described:
    """All that text of this level can say of the thing."""
    return Described(thing.kind, thing.colour, thing.size if sized(level) else None, (thing.row, thing.column), thing.digit)


def in_reading_order(scene: Scene) -> list[Thing]:
    """The things row by row, each row from left to right."""
    return sorted(scene.things, key=lambda thing: (thing.row, thing.column))


class Side(Enum):
    """Where one thing lies as seen from another."""

    LEFT = "left"
    RIGHT = "right"
    ABOVE = "above"
    BELOW = "below"

    @property
    def opposite(self) -> "Side":
        return _OPPOSITE[self]


_OPPOSITE = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT, Side.ABOVE: Side.BELOW, Side.BELOW: Side.ABOVE}


@runtime_checkable
class Located(Protocol):
    """Anything with a centre in pixels and a size: a thing, or a thing seen."""

    @property
    def x(self) -> float: ...

    @property
    def y(self) -> float: ...

    @property
    def size(self) -> Size: ...


def sides(a: Located, b: Located, level: Level) -> frozenset[Side]:
    """On which sides of b thing a lies; none when they are too close, two when it is diagonal.

    Source: GenEval (Ghosh et al., 2023), `relative_position`. The offset of the centres is shrunk along each axis by a tenth
    of both boxes' lengths, divided by the unshrunk distance, and must pass one half. Differs: a box is the square around the
    thing's circle of its size, for every kind.
    """
    dx, dy = a.x - b.x, a.y - b.y
    distance = math.hypot(dx, dy)
    if distance == 0:
        return frozenset()
    margin = BOX_MARGIN * 2 * (level.radius[a.size] + level.radius[b.size])
    across = math.copysign(max(abs(dx) - margin, 0), dx) / distance
    down = math.copysign(max(abs(dy) - margin, 0), dy) / distance
    tests = {
        Side.LEFT: across < -MIN_COSINE,
        Side.RIGHT: across > MIN_COSINE,
        Side.ABOVE: down < -MIN_COSINE,
        Side.BELOW: down > MIN_COSINE,
    }
    return frozenset(side for side, true in tests.items() if true)


def clear_sides(a: Located, b: Located, level: Level) -> list[Side]:
    """The sides that text may state: true by GenEval's rule, and with centres clearly apart along that axis."""
    apart = {Side.LEFT: abs(a.x - b.x), Side.ABOVE: abs(a.y - b.y)}
    apart |= {side.opposite: length for side, length in apart.items()}
    found = sides(a, b, level)
    return [side for side in Side if side in found and apart[side] >= CLEAR * level.pixels]
