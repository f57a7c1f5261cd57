import pytest

from tessera.world.dice import every
from tessera.world.edits import edit_kinds
from tessera.world.instructions import follow, scene_of
from tessera.world.oracle import Oracle
from tessera.world.scene import LEVELS
from tessera.world.world import World


def facts(scene):
    return {(t.kind, t.colour, t.size, t.digit, t.row, t.column) for t in scene.things}


def test_every_way_of_choosing_is_gone_once():
    made = list(every(lambda dice: (one := dice.choose("ab"), dice.choose("xyz" if one == "a" else "z"))))
    assert made == [("a", "x"), ("a", "y"), ("a", "z"), ("b", "z")]
    assert list(every(lambda dice: 7)) == [7]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_the_world_asks_for_is_understood(level, language):
    world = World(LEVELS[level], language)
    for kind in edit_kinds(world.level):
        for index in range(3):
            one = world.edit(kind, index)
            after = follow(one.before, one.instruction.upper() + ".", world.level, world.told(world.dice("x", 0, "test"), "test"))
            assert facts(after) == facts(one.after)


def test_what_cannot_be_done_or_is_not_said_so_is_nothing():
    world = World.easy()
    one = world.edit(None, 3)
    language = world.told(world.dice("x", 0, "test"), "test")
    for words in ("", "make the green dog red", "remove everything", "a red circle", one.instruction + " now"):
        assert follow(one.before, words, world.level, language) is None


def test_scenes_are_read_back():
    world = World.easy()
    scene = world.scene(1)
    (reading,) = Oracle(world.level).read(world.picture(scene)[None])
    assert facts(scene_of(reading)) == facts(scene)
