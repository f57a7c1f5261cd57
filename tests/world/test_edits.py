from collections import Counter
from dataclasses import fields, replace

import pytest

from tessera.world.dice import Dice
from tessera.world.edits import EditKind, edit, edit_kinds
from tessera.world.sampling import sample_scene, stands_apart
from tessera.world.scene import EASY, LEVELS, STANDARD, Colour, Kind, Scene, Size, Thing
from tessera.world.wording import CHINESE, ENGLISH
from tessera.world.wording.language import EditPhrases

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)

CIRCLE = Thing(Kind.CIRCLE, Colour.RED, Size.MEDIUM, 0, 0, 8.0, 8.0)
STAR = Thing(Kind.STAR, Colour.BLUE, Size.MEDIUM, 1, 1, 24.0, 24.0)


def made(level, kind, number=400):
    """Edits of many scenes, where there are any."""
    for index in range(number):
        found = edit(sample_scene(level, "train", index), level, ENGLISH, kind, Dice("edit", kind.value, index))
        if found:
            yield found


CHANGED = {
    EditKind.RECOLOUR: {"colour"},
    EditKind.REPLACE: {"kind"},
    EditKind.MOVE: {"row", "column", "x", "y"},
    EditKind.RESIZE: {"size"},
}


@levels
def test_only_what_was_asked_changes(level):
    for kind in edit_kinds(level):
        seen = 0
        for found in made(level, kind):
            gone = [thing for thing in found.before.things if thing not in found.after.things]
            new = [thing for thing in found.after.things if thing not in found.before.things]
            assert len(gone) == (kind is not EditKind.ADD) and len(new) == (kind is not EditKind.REMOVE)
            assert stands_apart(found.after, level) and 1 <= len(found.after.things) <= level.most
            if kind in CHANGED:
                different = {f.name for f in fields(Thing) if getattr(gone[0], f.name) != getattr(new[0], f.name)}
                assert different and different <= CHANGED[kind] | ({"digit"} if kind is EditKind.REPLACE else set())
            seen += 1
        assert seen > 100


@levels
def test_places_are_never_shared(level):
    for kind in (EditKind.ADD, EditKind.MOVE):
        for found in made(level, kind):
            places = [(thing.row, thing.column) for thing in found.after.things]
            assert len(set(places)) == len(places)


def one_way(language):
    """The language with only the first way to ask for each edit."""
    ways = {field.name: getattr(language.edits, field.name)[:1] for field in fields(language.edits)}
    return replace(language, edits=EditPhrases(**ways))


@levels
def test_an_instruction_alone_decides_the_scene_after(level):
    for index in range(30):
        before, after = sample_scene(level, "train", index), {}
        for i in range(60):
            found = edit(before, level, one_way(ENGLISH), Dice("kind", i).choose(edit_kinds(level)), Dice("after", i))
            if found:
                assert after.setdefault(found.instruction, found.after) == found.after
        assert len(after) > 5


def test_instructions_in_both_languages():
    told = {
        language.name: {
            kind: {edit(Scene((CIRCLE, STAR)), EASY, one_way(language), kind, Dice(kind, i)).instruction for i in range(300)}
            for kind in edit_kinds(EASY)
        }
        for language in (ENGLISH, CHINESE)
    }
    assert {"make the circle blue", "make the red thing green"} <= told["en"][EditKind.RECOLOUR]
    assert "turn the red circle into a red star" in told["en"][EditKind.REPLACE]
    assert {"remove the star", "remove the thing at the top left"} <= told["en"][EditKind.REMOVE]
    assert "move the star to the top right" in told["en"][EditKind.MOVE]
    assert any(text.endswith("at the top right") for text in told["en"][EditKind.ADD])
    assert "把圆形变成蓝色" in told["zh"][EditKind.RECOLOUR]
    assert "去掉左上角的物体" in told["zh"][EditKind.REMOVE]
    assert "把星形移到右上角" in told["zh"][EditKind.MOVE]


def test_no_scene_is_emptied_or_overfilled():
    assert edit(Scene((CIRCLE,)), EASY, ENGLISH, EditKind.REMOVE, Dice(0)) is None
    ring = Thing(Kind.RING, Colour.RED, Size.MEDIUM, 0, 1, 24.0, 8.0)
    assert edit(Scene((CIRCLE, STAR, ring)), EASY, ENGLISH, EditKind.ADD, Dice(0)) is None


def test_a_moved_thing_stands_at_the_middle_of_its_place():
    jittered = replace(CIRCLE, x=9.0, y=7.0)
    places = Counter()
    for i in range(100):
        (moved,) = edit(Scene((jittered,)), EASY, ENGLISH, EditKind.MOVE, Dice(i)).after.things
        assert (moved.x, moved.y) == (EASY.centres[moved.column], EASY.centres[moved.row])
        places[moved.row, moved.column] += 1
    assert set(places) == {(0, 1), (1, 0), (1, 1)}


@levels
def test_only_levels_with_sizes_resize(level):
    assert (EditKind.RESIZE in edit_kinds(level)) == (level is STANDARD)
