from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from tessera.world.sampling import ALIKE, SPLITS, program, program_hash, sample_scene, split_of, stands_apart
from tessera.world.scene import EASY, LEVELS, STANDARD, Colour, Kind, Scene, Size, Thing

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
RING = Thing(Kind.RING, Colour.RED, Size.SMALL, 0, 2, 26.0, 6.0)
SEVEN = Thing(Kind.DIGIT, Colour.BLUE, Size.LARGE, 1, 0, 7.0, 15.0, "7")


def test_the_program_is_canonical():
    assert program(Scene((RING, SEVEN)), STANDARD) == "standard\ndigit blue large 7 1 0\nring red small - 0 2"
    assert program(Scene((SEVEN, RING)), STANDARD) == program(Scene((RING, SEVEN)), STANDARD)


def test_jitter_leaves_the_program_and_so_the_split():
    moved = Scene((replace(RING, x=25.0), SEVEN))
    assert program_hash(moved, STANDARD) == program_hash(Scene((RING, SEVEN)), STANDARD)


@levels
@pytest.mark.parametrize("split", SPLITS)
def test_scenes_obey_their_level_and_split(level, split):
    for index in range(40):
        scene = sample_scene(level, split, index)
        assert split_of(scene, level) == split
        assert stands_apart(scene, level)
        assert 1 <= len(scene.things) <= level.most
        for thing in scene.things:
            assert (level.place(thing.y), level.place(thing.x)) == (thing.row, thing.column)
            assert thing.x.is_integer() and thing.y.is_integer()
            assert abs(thing.x - level.centres[thing.column]) <= level.jitter
            assert thing.size in level.radius and thing.colour in level.colours
            assert thing.digit in level.digits if thing.kind is Kind.DIGIT else thing.kind in level.kinds and not thing.digit


@levels
def test_splits_share_no_program(level):
    train, val, test = ({program(sample_scene(level, split, index), level) for index in range(60)} for split in SPLITS)
    assert not train & val and not train & test and not val & test


@levels
def test_the_same_index_gives_the_same_scene_and_others_differ(level):
    scenes = [sample_scene(level, "train", index) for index in range(50)]
    assert scenes == [sample_scene(level, "train", index) for index in range(50)]
    assert len(set(scenes)) > 40


@levels
def test_numbers_and_factors_are_balanced(level):
    scenes = [sample_scene(level, "train", index) for index in range(800)]
    things = [thing for scene in scenes for thing in scene.things]
    numbers = Counter(len(scene.things) for scene in scenes)
    assert all(abs(count * level.most / 800 - 1) < 0.2 for count in numbers.values())
    colours = Counter(thing.colour for thing in things)
    assert all(abs(count * len(level.colours) / len(things) - 1) < 0.3 for count in colours.values())
    digits = sum(thing.kind is Kind.DIGIT for thing in things) / len(things)
    assert digits == pytest.approx(0.1 if level.digits else 0.0, abs=0.03)
    pairs = [scene for scene in scenes if len(scene.things) > 1]
    assert sum(map(_alike, pairs)) / len(pairs) == pytest.approx(ALIKE, abs=0.05)


def test_number_and_likeness_can_be_asked_for():
    for index in range(10):
        scene = sample_scene(STANDARD, "val", index, things=3, alike=True)
        assert len(scene.things) == 3 and _alike(scene)


def test_touching_things_and_things_outside_are_refused():
    near = replace(RING, column=1, x=RING.x - 8.5)
    assert not stands_apart(Scene((RING, near)), STANDARD)
    assert stands_apart(Scene((RING, replace(near, x=RING.x - 9.0))), STANDARD)
    assert not stands_apart(Scene((replace(RING, x=29.0),)), STANDARD)


def test_wrong_requests_are_explained():
    with pytest.raises(ValueError, match="world: 4 things were asked for; a scene of 'easy' holds 1 to 3"):
        sample_scene(EASY, "train", 0, things=4)
    with pytest.raises(ValueError, match="world: split 'dev' was asked for; there are train, val, test"):
        sample_scene(EASY, "dev", 0)


def _alike(scene: Scene) -> bool:
    looks = [(thing.kind, thing.colour, thing.digit) for thing in scene.things]
    return all(one == other for one, other in pairwise(looks))
