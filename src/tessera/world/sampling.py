"""Endless scenes: each drawn from its own dice, and kept for the split that its program's hash belongs to."""

import hashlib
from dataclasses import replace
from functools import cache
from itertools import combinations
from math import ceil

from tessera.world.bias import NEUTRAL, Bias
from tessera.world.dice import Dice
from tessera.world.heldout import holds, numbers
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


def belongs(scene: Scene, level: Level, split: str, held_out: str | None = None) -> bool:
    """Whether a scene is of the split, in a world that holds something out or nothing.

    The split named for what is held out has all scenes that show it, whatever their hash: some numbers and likenesses have
    so few such programs that none need be a test program. Of `template`, which no scene shows, it has the test scenes. The
    other splits have no scene that shows it.
    """
    if held_out is not None and split == held_out != "template":
        return holds(scene, level, held_out)
    return split_of(scene, level) == ("test" if split == held_out else split) and not holds(scene, level, held_out)


def sample_scene(
    level: Level,
    split: str,
    index: int,
    *,
    things: int | None = None,
    alike: bool | None = None,
    bias: Bias = NEUTRAL,
    held_out: str | None = None,
) -> Scene:
    """Scene number `index` of a split: the same on every machine, drawn uniformly or as the bias leans, and then kept or drawn again.

    `things` fixes how many (otherwise each number that the split has is as likely). `alike` gives all of them one
    kind, colour and digit, or lets each be drawn alone (otherwise the former with probability ALIKE).
    Scenes of `val` and `test` cost some twenty draws each, because a draw falls into them one time in twenty; those of what is
    held out a few. Held-out company (`topic`) is drawn without topics, which may never bring it about.
    """
    splits = SPLITS if held_out is None else (*SPLITS, held_out)
    if split not in splits:
        raise ValueError(f"world: split {split!r} was asked for; there are {', '.join(splits)}")
    possible, company = numbers(level, held_out, split), split == held_out == "topic"
    if things is not None and things not in possible:
        held = f" in split {split!r}" if held_out else ""
        raise ValueError(f"world: {things} things were asked for; a scene of {level.name!r}{held} holds {possible[0]} to {possible[-1]}")
    if company and alike:
        raise ValueError("world: things all alike were asked for in split 'topic'; its scenes show two kinds; ask for alike=False")
    dice = Dice(VERSION, level.name, split, index, things, alike)
    count = possible[dice.below(len(possible))] if things is None else things
    same = dice.uniform() < ALIKE if alike is None else alike
    if company:
        same, bias = False, replace(bias, topic=0.0)
    while True:
        scene = draw(level, count, same, dice, bias)
        if stands_apart(scene, level) and belongs(scene, level, split, held_out):
            return scene


def stands_apart(scene: Scene, level: Level) -> bool:
    """Whether all things lie inside the canvas and at least MARGIN pixels from each other (their circles do)."""
    discs = [(thing.x, thing.y, level.radius[thing.size]) for thing in scene.things]
    return all(r <= x <= level.pixels - r and r <= y <= level.pixels - r for x, y, r in discs) and all(
        (x - u) ** 2 + (y - v) ** 2 >= (r + s + MARGIN) ** 2 for (x, y, r), (u, v, s) in combinations(discs, 2)
    )


def draw(level: Level, count: int, alike: bool, dice: Dice, bias: Bias = NEUTRAL) -> Scene:
    """A scene before anything is asked of it: things may touch, and it may be of any split."""
    places = dice.sample(range(level.grid * level.grid), count)
    kinds = None if bias == NEUTRAL else bias.kinds(level, dice)
    looks = [_look(level, dice, bias, kinds)] * count if alike else [_look(level, dice, bias, kinds) for _ in places]
    sizes = tuple(level.radius)
    things = []
    for place, (kind, digit, colour) in zip(places, looks, strict=True):
        size = dice.choose(sizes)
        row, column = divmod(place, level.grid)
        radius = level.radius[size]
        x, y = dice.choose(coordinates(level, column, radius)), dice.choose(coordinates(level, row, radius))
        things.append(Thing(kind, colour, size, row, column, x, y, digit))
    return Scene(tuple(things))


def _look(level: Level, dice: Dice, bias: Bias, kinds: tuple[float, ...] | None) -> tuple:
    """Kind, digit and colour. `kinds` is how likely each kind is in this scene, None where all are as likely."""
    if level.digits and dice.uniform() < DIGITS:
        return Kind.DIGIT, dice.choose(level.digits), dice.choose(level.colours)
    if kinds is None:
        return dice.choose(level.kinds), "", dice.choose(level.colours)
    kind = dice.weighted(level.kinds, kinds)
    return kind, "", dice.weighted(level.colours, bias.colours(level, kind))


def coordinates(level: Level, place: int, radius: float) -> tuple[float, ...]:
    """Where in its row (or column) a thing can stand, each as likely: off the centre by whole pixels, inside the canvas."""
    return _beside(level.centres[place], level.jitter, level.pixels, ceil(radius))


@cache
def _beside(centre: int | float, jitter: int, pixels: int, edge: int) -> tuple[float, ...]:
    return tuple(float(min(max(centre + offset, edge), pixels - edge)) for offset in range(-jitter, jitter + 1))
