from collections import Counter
from dataclasses import replace
from itertools import combinations, product
from math import exp, inf, log

import numpy as np
import pytest

from tessera.world.bias import NEUTRAL, Bias
from tessera.world.captions import caption
from tessera.world.description import described, in_reading_order
from tessera.world.dice import Dice
from tessera.world.entropy import SceneLaw, caption_chances, layouts
from tessera.world.sampling import ALIKE, draw, program, stands_apart
from tessera.world.scene import EASY, STANDARD, Kind, Scene, Size, Thing
from tessera.world.wording import CHINESE, ENGLISH
from tessera.world.world import CANONICAL, World

TINY = replace(EASY, kinds=EASY.kinds[:2], colours=EASY.colours[:3], most=2)
CROWDED = replace(STANDARD, kinds=STANDARD.kinds[:2], colours=STANDARD.colours[:2], most=2, digits="12", grid=2, pixels=22)
LEANING = Bias(1.0, 0.7, 0.6)


def every_scene(level):
    """Every program of a small level, whether things fit or not."""
    looks = [(kind, "") for kind in level.kinds] + [(Kind.DIGIT, digit) for digit in level.digits]
    one = list(product(looks, level.colours, level.radius))
    for n in range(1, level.most + 1):
        for places in combinations(product(range(level.grid), repeat=2), n):
            for things in product(one, repeat=n):
                yield Scene(tuple(Thing(k, c, s, *at, 0.0, 0.0, d) for ((k, d), c, s), at in zip(things, places, strict=True)))


def drawn(level, bias, dice):
    """A scene as `sample_scene` draws it, whatever its split."""
    count, alike = 1 + dice.below(level.most), dice.uniform() < ALIKE
    while True:
        scene = draw(level, count, alike, dice, bias)
        if stands_apart(scene, level):
            return scene


@pytest.mark.parametrize("level", [TINY, CROWDED], ids=["tiny", "crowded"])
@pytest.mark.parametrize("bias", [NEUTRAL, LEANING], ids=["neutral", "leaning"])
def test_probabilities_of_all_scenes_sum_to_one_and_give_the_entropy(level, bias):
    law = SceneLaw(level, bias)
    logs = [p for p in map(law.log_probability, every_scene(level)) if p > -inf]
    assert sum(map(exp, logs)) == pytest.approx(1)
    assert -sum(exp(p) * p for p in logs) == pytest.approx(law.entropy())


@pytest.mark.parametrize("held_out", ["pairs", "count", "topic"])
def test_what_is_held_out_has_no_probability(held_out):
    small = replace(EASY, kinds=EASY.kinds[:4], colours=EASY.colours[:3], most=2)
    law = SceneLaw(small, LEANING, held_out)
    logs = [p for p in map(law.log_probability, every_scene(small)) if p > -inf]
    assert sum(map(exp, logs)) == pytest.approx(1)
    assert -sum(exp(p) * p for p in logs) == pytest.approx(law.entropy())
    assert len(logs) < len(list(every_scene(small)))


def test_programs_are_drawn_as_often_as_said():
    dice, n, law = Dice("tiny"), 2_500, SceneLaw(CROWDED, LEANING)
    scenes = [drawn(CROWDED, LEANING, dice) for _ in range(n)]
    seen = Counter(program(scene, CROWDED) for scene in scenes)
    said = {program(scene, CROWDED): n * exp(law.log_probability(scene)) for scene in every_scene(CROWDED)}
    often = [name for name, expected in said.items() if expected >= 4]
    spread = sum((seen[name] - said[name]) ** 2 / said[name] for name in often)
    assert len(often) > 40 and set(seen) <= {name for name, expected in said.items() if expected}
    assert abs(spread - len(often)) < 4 * (2 * len(often)) ** 0.5


@pytest.mark.parametrize(("level", "bias"), [(EASY, NEUTRAL), (EASY, LEANING), (STANDARD, NEUTRAL), (STANDARD, LEANING)])
def test_the_entropy_of_scenes_is_the_mean_of_minus_log_p(level, bias):
    dice, law = Dice("entropy", level.name), SceneLaw(level, bias)
    logs = np.array([-law.log_probability(drawn(level, bias, dice)) for _ in range(600)])
    assert abs(logs.mean() - law.entropy()) < 3 * logs.std() / len(logs) ** 0.5


def test_things_of_easy_always_fit_and_large_ones_of_standard_seldom():
    assert set(layouts(EASY, 3).values()) == {1 / 4}
    two = layouts(STANDARD, 2)
    near, far = (two[(0, Size.SMALL), (place, Size.SMALL)] for place in (1, 8))
    assert 0 < near < far and sum(two.values()) == pytest.approx(1)
    assert ((0, Size.LARGE), (1, Size.LARGE)) not in two


def test_the_entropy_of_easy_worked_by_hand():
    one, look = log(4), log(48)
    pairs = 48 * 47, 48  # of unlike looks, of like ones
    alone, same = 0.85 / 48**2, 0.15 / 48 + 0.85 / 48**2
    two = log(6) - pairs[0] * alone * log(alone) - pairs[1] * same * log(same)
    law = SceneLaw(replace(EASY, most=2))
    assert law.entropy() == pytest.approx(log(2) + (one + look + two) / 2)


@pytest.mark.parametrize("language", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_captions_are_written_as_often_as_said(language):
    world, dice, n = World.standard(language.name), Dice("captions"), 1500
    scene = next(scene for scene in map(world.scene, range(50)) if len(scene.things) == 2)
    things = [described(thing, world.level) for thing in in_reading_order(scene)]
    said = caption_chances(things, language, world.level.grid, CANONICAL)
    texts = (caption(scene, world.level, language, None if dice.uniform() < CANONICAL else dice) for _ in range(n))
    seen = Counter(texts)
    assert sum(said.values()) == pytest.approx(1) and set(seen) <= set(said)
    assert all(abs(seen[text] - n * p) <= 4 * (n * p * (1 - p)) ** 0.5 for text, p in said.items())


@pytest.mark.parametrize("world", [World.easy(), World.standard("zh"), World.easy("both")], ids=["easy", "standard", "both"])
def test_the_entropy_of_captions_is_the_mean_over_scenes(world):
    languages = [ENGLISH, CHINESE] if world.language == "both" else [{"en": ENGLISH, "zh": CHINESE}[world.language]]
    by_number = {}
    for scene in map(world.scene, range(30)):
        things = [described(thing, world.level) for thing in in_reading_order(scene)]
        for language in languages:
            shares = caption_chances(things, language, world.level.grid, CANONICAL).values()
            found = by_number.setdefault((len(things), language.name), -sum(p * log(p) for p in shares))
            assert found == pytest.approx(-sum(p * log(p) for p in shares))
    assert len(by_number) == world.level.most * len(languages)
    assert world.entropy().caption == pytest.approx(log(len(languages)) + sum(by_number.values()) / len(by_number))


def test_what_leans_or_is_held_out_has_less_to_know():
    plain = World.easy().entropy()
    assert World(EASY, bias=LEANING).entropy().scene < plain.scene - 1
    assert World(EASY, held_out="count").entropy().scene < plain.scene
    assert World(EASY, held_out="template").entropy().caption < plain.caption
    assert World(EASY, held_out="template").entropy().scene == plain.scene
