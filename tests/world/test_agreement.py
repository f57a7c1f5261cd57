from dataclasses import replace

import pytest
import torch

from tessera.world.agreement import agreement, audit
from tessera.world.certify import rendered, sample_shown
from tessera.world.dice import Dice
from tessera.world.garbage import white_noise
from tessera.world.near import near_miss
from tessera.world.rates import Rate
from tessera.world.reading import Reading, SeenThing
from tessera.world.scene import EASY, LEVELS, Colour, Kind, Size

RING = SeenThing(Kind.RING, Colour.RED, Size.SMALL, "", 0, 2, 26.0, 6.0, 1.0, True)
SEVEN = SeenThing(Kind.DIGIT, Colour.BLUE, Size.LARGE, "7", 1, 0, 7.0, 15.0, 1.0, True)


def reading(*things: SeenThing, readable: bool = True) -> Reading:
    return Reading(readable, things, 1.0, 0.0)


def test_every_disagreement_is_counted_where_it_belongs():
    one = [reading(RING, SEVEN), reading(RING), reading(SEVEN), reading(RING)]
    other = [reading(SEVEN, RING), reading(replace(RING, kind=Kind.STAR)), reading(), reading(RING, readable=False)]
    found = agreement(one, other)
    assert found.verdict == Rate(3, 4)
    assert found.scene == Rate(1, 3)
    assert found.place == Rate(4, 5)
    assert found.attributes == {"kind": Rate(3, 4), "colour": Rate(4, 4), "size": Rate(4, 4), "digit": Rate(1, 1)}
    assert agreement(other, one) == found


def test_without_digits_nothing_is_said_of_digits():
    assert "digit" not in agreement([reading(RING)], [reading(RING)]).attributes


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_oracle_and_auditor_agree_on_clean_pictures_and_on_what_is_none(level):
    shown = [sample_shown(level, 3, index) for index in range(40)]
    found = audit(level, rendered(shown, level), shown)
    assert found.agreement.scene == found.agreement.verdict == Rate(40, 40)
    assert found.right == found.confirmed == Rate(40, 40)
    assert 0.5 < found.confidence[0] <= found.confidence[1] <= found.confidence[2] <= 1.0
    noise = audit(level, white_noise(torch.zeros(8, 3, 32, 32, dtype=torch.uint8), torch.Generator().manual_seed(3)))
    assert noise.readable == noise.audited == Rate(0, 8)
    assert noise.right is None


def test_what_is_not_the_scene_asked_for_is_not_right():
    shown = [sample_shown(EASY, 4, index) for index in range(20)]
    near = [near_miss(scene, EASY, Dice("near", index)) for index, scene in enumerate(shown)]
    found = audit(EASY, rendered(near, EASY), shown)
    assert found.readable == Rate(20, 20) and found.right == Rate(0, 20) and found.confirmed == Rate(0, 0)
    assert "| the scene asked for | 0.00 % (0.00-16.11) |" in found.markdown()
    with pytest.raises(ValueError, match="audit: 20 pictures came with 2 scenes; give one scene a picture, or none"):
        audit(EASY, rendered(near, EASY), shown[:2])
