from collections import Counter

import pytest

from tessera.world.dice import Dice
from tessera.world.near import near_miss
from tessera.world.sampling import program, sample_scene, stands_apart
from tessera.world.scene import LEVELS


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_a_near_miss_differs_in_one_thing(level):
    for index in range(200):
        scene = sample_scene(level, "train", index)
        near = near_miss(scene, level, Dice("near", index))
        assert stands_apart(near, level)
        before, after = (Counter(program(one, level).splitlines()[1:]) for one in (scene, near))
        assert (sum((before - after).values()), sum((after - before).values())) in {(1, 1), (1, 0), (0, 1)}


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_every_attribute_is_changed_some_time(level):
    changed = Counter()
    for index in range(300):
        scene = sample_scene(level, "train", index)
        near = near_miss(scene, level, Dice("near", index))
        before, after = (Counter(program(one, level).splitlines()[1:]) for one in (scene, near))
        gone, come = (" ".join((a - b).keys()).split() for a, b in ((before, after), (after, before)))
        if len(gone) == len(come):
            changed.update(field for field in range(6) if gone[field] != come[field])
        else:
            changed["more" if come else "less"] += 1
    wanted = {0, 1, 4, 5, "more", "less"} | ({2, 3} if level.digits else set())
    assert set(changed) == wanted
