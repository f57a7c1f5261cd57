"""Scenes that are almost another scene: one attribute of one thing changed, or one thing more, less or elsewhere."""

from collections.abc import Sequence
from dataclasses import replace

from tessera.world.dice import Dice
from tessera.world.sampling import program, stands_apart
from tessera.world.scene import Kind, Level, Scene, Thing

CHANGES = ("kind", "colour", "size", "digit", "add", "remove", "move")


def near_miss(scene: Scene, level: Level, dice: Dice) -> Scene:
    """A scene whose program differs from the given one by one change, each of CHANGES as likely where it is possible."""
    while True:
        change = dice.choose(CHANGES)
        index = dice.below(len(scene.things))
        others = scene.things[:index] + scene.things[index + 1 :]
        near = Scene(_changed(change, scene.things[index], others, level, dice))
        if program(near, level) != program(scene, level) and stands_apart(near, level):
            return near


def _changed(change: str, thing: Thing, others: tuple[Thing, ...], level: Level, dice: Dice) -> tuple[Thing, ...]:
    """The things after the change; the same things where it does not apply."""
    match change:
        case "kind" if thing.kind is not Kind.DIGIT:
            return (*others, replace(thing, kind=dice.choose(level.kinds)))
        case "colour":
            return (*others, replace(thing, colour=dice.choose(level.colours)))
        case "size":
            return (*others, replace(thing, size=dice.choose(tuple(level.radius))))
        case "digit" if thing.kind is Kind.DIGIT:
            return (*others, replace(thing, digit=dice.choose(level.digits)))
        case "add":
            return (*others, thing, _placed(thing, (*others, thing), level, dice))
        case "remove":
            return others
        case "move":
            return (*others, _placed(thing, others, level, dice))
    return (*others, thing)


def _placed(thing: Thing, others: Sequence[Thing], level: Level, dice: Dice) -> Thing:
    """The thing in the middle of a place that no other thing has."""
    taken = {(other.row, other.column) for other in others}
    every = [divmod(place, level.grid) for place in range(level.grid**2)]
    row, column = dice.choose([place for place in every if place not in taken])
    return replace(thing, row=row, column=column, x=float(level.centres[column]), y=float(level.centres[row]))
