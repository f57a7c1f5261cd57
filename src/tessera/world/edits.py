"""Edits: a scene, an instruction, and the one scene that follows it."""

from dataclasses import dataclass, replace
from enum import Enum
from itertools import product

from tessera.world.description import described, sized
from tessera.world.dice import Chooser
from tessera.world.referring import only, refer
from tessera.world.sampling import stands_apart
from tessera.world.scene import Level, Scene, Thing
from tessera.world.wording.language import Language


class EditKind(Enum):
    """What an instruction changes."""

    RECOLOUR = "recolour"
    REPLACE = "replace"
    REMOVE = "remove"
    ADD = "add"
    MOVE = "move"
    RESIZE = "resize"


@dataclass(frozen=True)
class Edit:
    """Two scenes and the instruction that leads from one to the other; all else is as it was."""

    before: Scene
    after: Scene
    instruction: str
    kind: EditKind


def edit_kinds(level: Level) -> tuple[EditKind, ...]:
    """The kinds of edit this level knows."""
    return tuple(kind for kind in EditKind if kind is not EditKind.RESIZE or sized(level))


def edit(before: Scene, level: Level, language: Language, kind: EditKind, dice: Chooser) -> Edit | None:
    """An edit of the scene, or None where none was found: no thing has a name of its own, or no room is left.

    The instruction names its thing uniquely and leaves nothing open. A thing that comes or moves stands at the middle of its
    new place, without jitter. At least one thing stays.
    """
    change = _add if kind is EditKind.ADD else _remove if kind is EditKind.REMOVE else _alter
    found = change(before, level, language, kind, dice)
    if found is None or not stands_apart(found[0], level):
        return None
    after, phrasings, slots = found
    return Edit(before, after, dice.choose(phrasings).format(**slots), kind)


Change = tuple[Scene, tuple[str, ...], dict[str, str]] | None  # the scene after, phrasings, what fills their slots


def _add(before: Scene, level: Level, language: Language, kind: EditKind, dice: Chooser) -> Change:
    if len(before.things) == level.most:
        return None
    row, column = dice.choose(_free(before, level))
    size = dice.choose(tuple(level.radius))
    new = Thing(dice.choose(level.kinds), dice.choose(level.colours), size, row, column, *_middle(level, row, column))
    slots = {"a": language.a(described(new, level)), "at": language.at_place((row, column), level.grid)}
    return Scene((*before.things, new)), language.edits.add, slots


def _remove(before: Scene, level: Level, language: Language, kind: EditKind, dice: Chooser) -> Change:
    if len(before.things) == 1:
        return None
    old, name = _chosen(before, level, language, dice)
    return Scene(tuple(thing for thing in before.things if thing is not old)), language.edits.remove, {"the": name}


def _alter(before: Scene, level: Level, language: Language, kind: EditKind, dice: Chooser) -> Change:
    """One thing in another colour, kind, place or size."""
    old, name = _chosen(before, level, language, dice)
    slots = {"the": name}
    if kind is EditKind.RECOLOUR:
        new = replace(old, colour=dice.choose([colour for colour in level.colours if colour is not old.colour]))
        phrasings, slots["colour"] = language.edits.recolour, language.colours[new.colour]
    elif kind is EditKind.REPLACE:
        new = replace(old, kind=dice.choose([kind for kind in level.kinds if kind is not old.kind]), digit="")
        phrasings, slots["a"] = language.edits.replace, language.a(only(described(new, level), ("kind", "colour")))
    elif kind is EditKind.MOVE:
        row, column = dice.choose(_free(before, level))
        x, y = _middle(level, row, column)
        new = replace(old, row=row, column=column, x=x, y=y)
        phrasings, slots["to"] = language.edits.move, language.to_place((row, column), level.grid)
    else:
        new = replace(old, size=dice.choose([size for size in level.radius if size is not old.size]))
        phrasings, slots["size"] = language.edits.resize, language.sizes[new.size]
    return Scene(tuple(new if thing is old else thing for thing in before.things)), phrasings, slots


def _chosen(before: Scene, level: Level, language: Language, dice: Chooser) -> tuple[Thing, str]:
    """A thing and its name; by its place, every thing has one."""
    thing = dice.choose(before.things)
    what = refer(thing, before, level, ("kind", "colour", "size", "place"), dice)
    assert what is not None
    return thing, language.one(what, level.grid)


def _free(scene: Scene, level: Level) -> list[tuple[int, int]]:
    taken = {(thing.row, thing.column) for thing in scene.things}
    return [(row, column) for row, column in product(range(level.grid), repeat=2) if (row, column) not in taken]


def _middle(level: Level, row: int, column: int) -> tuple[float, float]:
    return float(level.centres[column]), float(level.centres[row])
