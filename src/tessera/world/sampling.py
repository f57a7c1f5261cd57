"""Endless scenes: each drawn from its own dice, and kept for the split that its program's hash belongs to."""

import hashlib
from itertools import combinations
from math import ceil

from tessera.world.dice import Dice
from tessera.world.scene import VERSION, Kind, Level, Scene, Thing

SPLITS = ("train", "val", "test")
MARGIN = 1.0
ALIKE = 0.15
DIGITS = 0.1


def program(scene: Scene, level: Level) -> str:
    """The latent program as text: the level, then one line a thing, sorted. Jitter and drawing order are left out."""
    lines = sorted(
        f"{thing.kind.value} {thing.colour.name.lower()} {thing.size.value} {thing.digit or '-'} {thing.row} {thing.column}"
        for thing in scene.things
    )
    return "\n".join((level.name, *lines))


def program_hash(scene: Scene, level: Level) -> str:
    """SHA-256 of the program, in hexadecimal: the stable name of what the scene shows."""
    return hashlib.sha256(program(scene, level).encode()).hexdigest()


def split_of(scene: Scene, level: Level) -> str:
    """The split a scene belongs to, by its program alone: 90 % train, 5 % val, 5 % test.

    So two scenes that differ in jitter only are never on both sides.
    """
    share = int(program_hash(scene, level)[:8], 16) % 20
    return {0: "val", 1: "test"}.get(share, "train")


def sample_scene(level: Level, split: str, index: int, *, things: int | None = None, alike: bool | None = None) -> Scene:
    """Scene number `index` of a split: the same on every machine, drawn uniformly and then kept or drawn again.

    `things` fixes how many (otherwise each number up to the level's `most` is as likely). `alike` gives all of them one
    kind, colour and digit, or lets each be drawn alone (otherwise the former with probability ALIKE).
    Scenes of `val` and `test` cost some twenty draws each, because a draw falls into them one time in twenty.
    """
    if split not in SPLITS:
        raise ValueError(f"world: split {split!r} was asked for; there are {', '.join(SPLITS)}")
    if things is not None and not 1 <= things <= level.most:
        raise ValueError(f"world: {things} things were asked for; a scene of {level.name!r} holds 1 to {level.most}")
    dice = Dice(VERSION, level.name, split, index, things, alike)
    count = 1 + dice.below(level.most) if things is None else things
    same = dice.uniform() < ALIKE if alike is None else alike
    while True:
        scene = _draw(level, count, same, dice)
        if stands_apart(scene, level) and split_of(scene, level) == split:
            return scene


def stands_apart(scene: Scene, level: Level) -> bool:
    """Whether all things lie inside the canvas and at least MARGIN pixels from each other (their circles do)."""
    discs = [(thing.x, thing.y, level.radius[thing.size]) for thing in scene.things]
    return all(r <= x <= level.pixels - r and r <= y <= level.pixels - r for x, y, r in discs) and all(
        (x - u) ** 2 + (y - v) ** 2 >= (r + s + MARGIN) ** 2 for (x, y, r), (u, v, s) in combinations(discs, 2)
    )


def _draw(level: Level, count: int, alike: bool, dice: Dice) -> Scene:
    places = dice.sample(range(level.grid * level.grid), count)
    looks = [_look(level, dice)] * count if alike else [_look(level, dice) for _ in places]
    sizes = tuple(level.radius)
    things = []
    for place, (kind, digit, colour) in zip(places, looks, strict=True):
        size = dice.choose(sizes)
        row, column = divmod(place, level.grid)
        x, y = (_centre(level, at, level.radius[size], dice) for at in (column, row))
        things.append(Thing(kind, colour, size, row, column, x, y, digit))
    return Scene(tuple(things))


def _look(level: Level, dice: Dice) -> tuple:
    """Kind, digit and colour."""
    if level.digits and dice.uniform() < DIGITS:
        return Kind.DIGIT, dice.choose(level.digits), dice.choose(level.colours)
    return dice.choose(level.kinds), "", dice.choose(level.colours)


def _centre(level: Level, place: int, radius: float, dice: Dice) -> float:
    """A whole coordinate in the place, off its centre by the jitter as far as the thing stays inside the canvas."""
    at = level.centres[place] + dice.below(2 * level.jitter + 1) - level.jitter
    return float(min(max(at, ceil(radius)), level.pixels - ceil(radius)))
