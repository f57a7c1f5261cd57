from dataclasses import replace
from functools import cache

import pytest
import torch

from tessera.world.auditor import Auditor
from tessera.world.certify import rendered, sample_shown
from tessera.world.corruptions import blur
from tessera.world.dice import Dice
from tessera.world.garbage import white_noise
from tessera.world.near import near_miss
from tessera.world.reading import legible, same_scene
from tessera.world.scene import LEVELS, STANDARD, Colour, Kind, Level, Scene, Size, Thing

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)


@cache
def auditor(name: str) -> Auditor:
    return Auditor(LEVELS[name])


def scenes(level: Level, count: int) -> list[Scene]:
    return [sample_shown(level, 7, index) for index in range(count)]


@levels
def test_the_auditor_undoes_the_renderer(level):
    shown = scenes(level, 400)
    readings = auditor(level.name).read(rendered(shown, level))
    assert sum(map(same_scene, readings, shown)) == 400
    for reading, scene in zip(readings, shown, strict=True):
        seen = {(thing.row, thing.column): (thing.x, thing.y) for thing in reading.things}
        for thing in scene.things:
            assert seen[thing.row, thing.column] == pytest.approx((thing.x, thing.y), abs=0.3)


@levels
def test_blur_and_noise_hardly_matter(level):
    shown = scenes(level, 200)
    seen = blur(rendered(shown, level), torch.Generator().manual_seed(1), width=0.8, noise=12.0)
    assert sum(map(same_scene, auditor(level.name).read(seen), shown)) >= (198 if level.name == "easy" else 188)


@levels
def test_a_near_miss_is_not_the_scene(level):
    shown = scenes(level, 150)
    near = [near_miss(scene, level, Dice("near", index)) for index, scene in enumerate(shown)]
    assert not any(map(same_scene, auditor(level.name).read(rendered(near, level)), shown))


def test_touching_colours_are_told_apart_and_a_merged_pair_is_cut():
    circle = Thing(Kind.CIRCLE, Colour.BLACK, Size.SMALL, 1, 0, 9.0, 16.0)
    pair = Scene((circle, replace(circle, column=1, x=18.0)))
    seen = blur(rendered([pair], STANDARD), torch.Generator(), width=0.5)
    assert same_scene(auditor("standard").read(seen)[0], pair)


@levels
def test_a_colour_cast_is_seen_through(level):
    shown = scenes(level, 60)
    seen = rendered(shown, level) * torch.tensor([1.1, 0.95, 0.9])[:, None, None]
    readings = auditor(level.name).read(seen.round().clamp(max=255).to(torch.uint8))
    assert sum(map(same_scene, readings, shown)) >= 59


@levels
def test_noise_and_other_backgrounds_are_not_legible_and_nothing_is_nothing(level):
    noise = white_noise(torch.zeros(8, 3, 32, 32, dtype=torch.uint8), torch.Generator().manual_seed(3))
    assert not any(map(legible, auditor(level.name).read(noise)))
    empty = rendered([Scene(())], level)
    (nothing,) = auditor(level.name).read(empty)
    assert legible(nothing) and nothing.things == ()
    assert not legible(auditor(level.name).read(255 - empty)[0])


def test_wrong_pictures_are_explained():
    with pytest.raises(
        ValueError, match=r"auditor: pictures are torch.uint8 \[1, 3, 16, 16\]; the level 'easy' has uint8 \[n, 3, 32, 32\]"
    ):
        auditor("easy").read(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
