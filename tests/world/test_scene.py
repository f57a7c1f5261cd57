from itertools import combinations

import pytest

from tessera.world.scene import BACKGROUND, EASY, LEVELS, STANDARD, Colour

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)


def test_centres():
    assert EASY.centres == (8, 24)
    assert STANDARD.centres == (6, 16, 26)


@levels
def test_every_jittered_centre_lies_in_its_own_place(level):
    for place, centre in enumerate(level.centres):
        for jitter in range(-level.jitter, level.jitter + 1):
            assert level.place(float(centre + jitter)) == place


@levels
def test_places_beyond_the_canvas_are_the_outermost(level):
    assert (level.place(-3.0), level.place(level.pixels + 3.0)) == (0, level.grid - 1)


def test_colours_are_far_from_each_other_and_from_the_background():
    shades = [BACKGROUND, *(colour.value for colour in Colour)]
    for one, other in combinations(shades, 2):
        assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) > 75**2
