from dataclasses import replace
from functools import cache

import pytest
import torch

from tessera.world.corruptions import blur, jpeg
from tessera.world.dice import Dice
from tessera.world.garbage import white_noise
from tessera.world.near import near_miss
from tessera.world.oracle import Oracle
from tessera.world.reading import Reading, facts, same_scene
from tessera.world.render import render
from tessera.world.sampling import sample_scene
from tessera.world.scene import LEVELS, STANDARD, Colour, Kind, Level, Scene

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)


@cache
def oracle(name: str) -> Oracle:
    return Oracle(LEVELS[name])


def scenes(level: Level, count: int, split: str = "train") -> list[Scene]:
    return [sample_scene(level, split, 5000 + index) for index in range(count)]


def pictures(shown: list[Scene], level: Level) -> torch.Tensor:
    return torch.stack([torch.from_numpy(render(scene, level)) for scene in shown])


def read(seen: torch.Tensor, level: Level) -> list[Reading]:
    return oracle(level.name).read(seen)


@levels
def test_the_oracle_undoes_the_renderer(level):
    shown = scenes(level, 200)
    readings = read(pictures(shown, level), level)
    assert all(map(same_scene, readings, shown))
    assert min(reading.r2 for reading in readings) > 0.99
    assert max(reading.rms for reading in readings) < 1.0


@levels
def test_centres_are_found_to_a_quarter_of_a_pixel_wherever_they_are(level):
    dice, shown = Dice("fractions"), []
    for scene in scenes(level, 100):
        x, y = dice.uniform() * 0.4, dice.uniform() * -0.4
        shown.append(Scene(tuple(replace(thing, x=thing.x + x, y=thing.y + y) for thing in scene.things)))
    for reading, scene in zip(read(pictures(shown, level), level), shown, strict=True):
        assert same_scene(reading, scene)
        for thing in scene.things:
            seen = next(seen for seen in reading.things if (seen.row, seen.column) == (thing.row, thing.column))
            assert (seen.x, seen.y) == pytest.approx((thing.x, thing.y), abs=0.26)


@levels
def test_blur_and_noise_do_not_matter(level):
    shown = scenes(level, 100)
    seen = blur(pictures(shown, level), torch.Generator().manual_seed(1), width=0.8, noise=12.0)
    assert sum(map(same_scene, read(seen, level), shown)) >= 99


@levels
def test_a_near_miss_is_not_the_scene(level):
    shown = scenes(level, 150)
    near = [near_miss(scene, level, Dice("near", index)) for index, scene in enumerate(shown)]
    readings = read(pictures(near, level), level)
    assert not any(map(same_scene, readings, shown))
    assert all(map(same_scene, readings, near))


@levels
def test_moving_a_picture_by_a_pixel_moves_the_reading(level):
    shown = scenes(level, 40)
    seen = pictures(shown, level)
    moved = torch.roll(seen, (1, -1), (2, 3))
    moved[:, :, 0], moved[..., -1] = seen[:, :, 0], seen[..., -1]
    inside = [index for index, scene in enumerate(shown) if _free(scene, level)]
    assert len(inside) > 5
    for index in inside:
        before, after = read(seen[index : index + 1], level)[0], read(moved[index : index + 1], level)[0]
        there = {(thing.kind, thing.colour, thing.size, thing.x - 1, thing.y + 1) for thing in before.things}
        assert there == {(thing.kind, thing.colour, thing.size, thing.x, thing.y) for thing in after.things}


def _free(scene: Scene, level: Level) -> bool:
    """Whether no thing touches the last two pixels of the border."""
    edge = [level.radius[thing.size] + 2 for thing in scene.things]
    return all(reach <= at <= level.pixels - reach for thing, reach in zip(scene.things, edge, strict=True) for at in (thing.x, thing.y))


@levels
def test_a_mirrored_picture_gives_the_mirrored_reading(level):
    shown = [scene for scene in scenes(level, 120) if not any(thing.kind is Kind.DIGIT for thing in scene.things)]
    readings = read(pictures(shown, level).flip(3), level)
    for scene, reading in zip(shown, readings, strict=True):
        mirrored = tuple(replace(thing, column=level.grid - 1 - thing.column) for thing in scene.things)
        assert same_scene(reading, Scene(mirrored))


@levels
def test_recoloured_scenes_are_read_in_their_new_colours(level):
    after = dict(zip(Colour, [*Colour][1:] + [*Colour][:1], strict=True))
    shown = [Scene(tuple(replace(thing, colour=after[thing.colour]) for thing in scene.things)) for scene in scenes(level, 60)]
    assert all(map(same_scene, read(pictures(shown, level), level), shown))


@levels
def test_drawing_order_does_not_matter(level):
    shown = scenes(level, 40)
    turned = [Scene(scene.things[::-1]) for scene in shown]
    assert read(pictures(shown, level), level) == read(pictures(turned, level), level)


def test_no_large_thing_is_laid_across_two_small_ones_of_its_colour():
    shown = [sample_scene(STANDARD, "train", 9000 + index, things=4) for index in range(100)]
    shown = [Scene(tuple(replace(thing, colour=Colour.BLUE) for thing in scene.things)) for scene in shown]
    shown.append(sample_scene(STANDARD, "train", 20449))
    assert all(map(same_scene, read(pictures(shown, STANDARD), STANDARD), shown))


@levels
def test_a_reading_does_not_depend_on_its_batch(level):
    seen = blur(pictures(scenes(level, 70), level), torch.Generator().manual_seed(2), width=0.8, noise=12.0)
    together = read(seen, level)
    assert together[:9] == [reading for picture in seen[:9] for reading in read(picture[None], level)]
    assert together == read(seen.flip(0), level)[::-1]


@levels
def test_a_colour_cast_is_seen_through(level):
    shown = scenes(level, 60)
    seen = pictures(shown, level) * torch.tensor([1.1, 0.95, 0.9])[:, None, None]
    assert all(map(same_scene, read(seen.round().clamp(max=255).to(torch.uint8), level), shown))


def test_confidence_is_higher_where_the_reading_is_right():
    shown = scenes(STANDARD, 80)
    readings = read(jpeg(pictures(shown, STANDARD), torch.Generator(), quality=30), STANDARD)
    sure: dict[bool, list[float]] = {True: [], False: []}
    for reading, scene in zip(readings, shown, strict=True):
        for thing in reading.things:
            sure[facts(thing) in map(facts, scene.things)].append(thing.confidence)
    right, wrong = (torch.tensor(values) for values in (sure[True], sure[False]))
    assert len(wrong) > 10
    assert (right[:, None] > wrong).float().mean() > 0.65
    assert 0 <= min(wrong.min(), right.min()) and max(wrong.max(), right.max()) <= 1


@levels
def test_garbage_is_not_readable(level):
    noise = white_noise(torch.zeros(8, 3, 32, 32, dtype=torch.uint8), torch.Generator().manual_seed(3))
    assert not any(reading.readable for reading in read(noise, level))


@levels
def test_an_empty_picture_is_readable_and_holds_nothing(level):
    empty = pictures([Scene(())], level)
    assert read(empty, level) == [Reading(True, (), 1.0, 0.0)]
    assert not read(255 - empty // 8, level)[0].readable


def test_half_a_thing_is_not_readable():
    scene = next(scene for scene in scenes(STANDARD, 50) if len(scene.things) == 1)
    thing = replace(scene.things[0], kind=Kind.CIRCLE, digit="", x=16.0, y=16.0, row=1, column=1)
    seen = pictures([Scene((thing,))], STANDARD)
    seen[:, :, :, 17:] = 160
    reading = read(seen, STANDARD)[0]
    assert not same_scene(reading, Scene((thing,)))


def test_wrong_pictures_are_explained():
    with pytest.raises(ValueError, match=r"oracle: pictures are torch.uint8 \[1, 3, 16, 16\]; the level 'easy' has uint8 \[n, 3, 32, 32\]"):
        oracle("easy").read(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
