"""What the oracle says it saw in a picture: a reading, thing by thing, and how sure it may be."""

from collections import Counter
from dataclasses import dataclass

from tessera.world.scene import Colour, Kind, Scene, Size, Thing


@dataclass(frozen=True)
class SeenThing:
    """One thing as read from pixels. `row` and `column` name the place its centre (`x`, `y`, in pixels) lies in.

    `quality` is the share of the picture around it that the thing explains, at most 1; too low means unreadable.
    `confidence` is the probability that kind, colour, size, digit and place are all right, as calibrated (see `calibrate`).
    """

    kind: Kind
    colour: Colour
    size: Size
    digit: str
    row: int
    column: int
    x: float
    y: float
    quality: float
    readable: bool
    confidence: float = 1.0


@dataclass(frozen=True)
class Reading:
    """All things seen in one picture. `r2` is the share of the picture explained, `rms` what is left over, of 255.

    A picture that is not `readable` shows no scene of the world; its things are then what came nearest.
    """

    readable: bool
    things: tuple[SeenThing, ...]
    r2: float
    rms: float

    @property
    def confidence(self) -> float:
        """That of the thing it is least sure of; 1 where there is none."""
        return min((thing.confidence for thing in self.things), default=1.0)


def legible(reading: Reading) -> bool:
    """Whether the picture and everything seen in it is readable."""
    return reading.readable and all(thing.readable for thing in reading.things)


def same_scene(reading: Reading, scene: Scene) -> bool:
    """Whether everything was readable and is exactly what the scene holds, whatever the order and the jitter."""
    return legible(reading) and Counter(map(facts, reading.things)) == Counter(map(facts, scene.things))


def facts(thing: SeenThing | Thing) -> tuple:
    """All that must be right of a thing: what it is, and the place it is in."""
    return thing.kind, thing.colour, thing.size, thing.digit, thing.row, thing.column
