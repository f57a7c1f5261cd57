"""Instructions read back: the scene that follows another when an edit's words are done."""

from functools import partial

from tessera.world.dice import every
from tessera.world.edits import edit, edit_kinds
from tessera.world.reading import Reading, legible
from tessera.world.scene import Level, Scene, Thing
from tessera.world.wording.language import Language


def follow(before: Scene, instruction: str, level: Level, language: Language) -> Scene | None:
    """The scene after the instruction, or None where no edit of the scene is said in these words.

    Every edit there is of the scene is tried, in milliseconds to some tenths of a second. Forgives only upper case, spaces
    at the ends, and a full stop.
    """
    words = instruction.strip().rstrip(".。").lower()
    for kind in edit_kinds(level):
        if any(words.startswith(phrase.partition("{")[0]) for phrase in getattr(language.edits, kind.value)):
            found = every(partial(edit, before, level, language, kind))
            after = next((one.after for one in found if one and one.instruction == words), None)
            if after is not None:
                return after
    return None


def scene_of(reading: Reading) -> Scene | None:
    """The scene that was read in a picture, or None where it is not readable."""
    things = (Thing(t.kind, t.colour, t.size, t.row, t.column, t.x, t.y, t.digit) for t in reading.things)
    return Scene(tuple(things)) if legible(reading) else None
