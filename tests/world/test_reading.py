from dataclasses import replace

import pytest

from tessera.world.reading import Reading, SeenThing, same_scene
from tessera.world.scene import Colour, Kind, Scene, Size, Thing

RING = Thing(Kind.RING, Colour.RED, Size.SMALL, 0, 2, 26.0, 6.0)
SEVEN = Thing(Kind.DIGIT, Colour.BLUE, Size.LARGE, 1, 0, 7.0, 15.0, "7")
SCENE = Scene((RING, SEVEN))


def seen(thing: Thing) -> SeenThing:
    return SeenThing(thing.kind, thing.colour, thing.size, thing.digit, thing.row, thing.column, 1.0, 2.0, 0.9, True)


def test_order_and_exact_centres_do_not_matter():
    assert same_scene(Reading(True, (seen(SEVEN), seen(RING)), 1.0, 0.0), SCENE)


@pytest.mark.parametrize(
    "change", [{"kind": Kind.STAR}, {"colour": Colour.GREEN}, {"size": Size.LARGE}, {"row": 1}, {"column": 1}, {"readable": False}]
)
def test_every_attribute_matters(change):
    assert not same_scene(Reading(True, (seen(SEVEN), replace(seen(RING), **change)), 1.0, 0.0), SCENE)


def test_the_digit_the_number_and_the_whole_picture_matter():
    assert not same_scene(Reading(True, (replace(seen(SEVEN), digit="1"), seen(RING)), 1.0, 0.0), SCENE)
    assert not same_scene(Reading(True, (seen(SEVEN),), 1.0, 0.0), SCENE)
    assert not same_scene(Reading(True, (seen(SEVEN), seen(RING), seen(RING)), 1.0, 0.0), SCENE)
    assert not same_scene(Reading(False, (seen(SEVEN), seen(RING)), 0.5, 30.0), SCENE)
