import hashlib
from dataclasses import replace

import numpy as np
import pytest

from tessera.world.render import render
from tessera.world.sampling import sample_scene
from tessera.world.scene import BACKGROUND, LEVELS, STANDARD, Colour, Kind, Scene, Size, Thing

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
SQUARE = Thing(Kind.SQUARE, Colour.RED, Size.SMALL, 1, 1, 16.0, 16.0)

# The bytes of the first 200 training scenes. They are the same on every machine; a change asks for a new VERSION.
GOLDEN = {
    "easy": "92582517578f32c8bb61c14a7d1d4370dec4528f957f3e90b7980e8ac0bf9211",
    "standard": "05b87993504870e1abf7d8f74a020ec6340ae9c10b3acdd1fbde4851156f0d2e",
}


@levels
def test_bytes_are_the_same_on_every_machine(level):
    digest = hashlib.sha256()
    for index in range(200):
        digest.update(render(sample_scene(level, "train", index), level).tobytes())
    assert digest.hexdigest() == GOLDEN[level.name]


def test_a_square_is_its_colour_on_the_background():
    pixels = render(Scene((SQUARE,)), STANDARD)
    assert pixels.shape == (3, 32, 32) and pixels.dtype == np.uint8
    assert tuple(pixels[:, 16, 16]) == Colour.RED.value
    assert tuple(pixels[:, 0, 0]) == BACKGROUND
    # The half side is .707 * 4 = 2.828 pixels: pixel 13 (13 to 14) is covered from 13.172 on, 7 samples of 8.
    blend = [round((7 * ink + ground) / 8) for ink, ground in zip(Colour.RED.value, BACKGROUND, strict=True)]
    assert np.abs(pixels[:, 16, 13].astype(int) - blend).max() <= 1


@levels
def test_moving_by_a_pixel_moves_the_pixels(level):
    scene = sample_scene(level, "train", 3)
    moved = Scene(tuple(replace(thing, x=thing.x + 1, y=thing.y - 1) for thing in scene.things))
    assert (render(moved, level)[:, :-1, 1:] == render(scene, level)[:, 1:, :-1]).all()


@levels
def test_drawing_order_does_not_matter(level):
    for index in range(20):
        scene = sample_scene(level, "train", index)
        assert (render(scene, level) == render(Scene(scene.things[::-1]), level)).all()


def test_a_fraction_of_a_pixel_moves_the_weight():
    scene = Scene((replace(SQUARE, x=16.25, y=15.5),))
    ink = BACKGROUND[1] - render(scene, STANDARD)[1].astype(float)
    middle = np.arange(32) + 0.5
    assert (ink.sum(0) @ middle / ink.sum(), ink.sum(1) @ middle / ink.sum()) == pytest.approx((16.25, 15.5), abs=0.02)


def test_what_is_outside_the_canvas_is_cut_off():
    whole = render(Scene((replace(SQUARE, kind=Kind.CIRCLE),)), STANDARD)
    cut = render(Scene((replace(SQUARE, kind=Kind.CIRCLE, x=0.0, y=31.0),)), STANDARD)
    assert (cut[:, 15:, :16] == whole[:, :17, 16:]).all()
    assert (render(Scene((replace(SQUARE, x=-40.0),)), STANDARD) == render(Scene(()), STANDARD)).all()


def test_later_things_cover_earlier_ones():
    over = replace(SQUARE, colour=Colour.BLUE)
    assert tuple(render(Scene((SQUARE, over)), STANDARD)[:, 16, 16]) == Colour.BLUE.value
