from collections import Counter

import pytest

from tessera.world.description import Described, Side
from tessera.world.dice import Dice
from tessera.world.prompts import Skill, fitting, prompt, scenes_for, skills
from tessera.world.sampling import sample_scene
from tessera.world.scene import EASY, LEVELS, STANDARD, Colour, Kind, Scene, Size, Thing
from tessera.world.wording import CHINESE, ENGLISH

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)


def thing(kind, colour, place, size=Size.MEDIUM, digit="", level=EASY):
    row, column = place
    return Thing(kind, colour, size, row, column, float(level.centres[column]), float(level.centres[row]), digit)


CIRCLE = thing(Kind.CIRCLE, Colour.RED, (0, 0))
STAR = thing(Kind.STAR, Colour.BLUE, (1, 1))
RED_STAR = thing(Kind.STAR, Colour.RED, (1, 0))
BLUE_STAR = thing(Kind.STAR, Colour.BLUE, (0, 1))


def text(skill, *things, level=EASY, language=ENGLISH):
    return prompt(Scene(things), level, language, skill, Dice("prompt"), plain=True).text


def test_plain_prompts_in_english():
    assert text(Skill.SINGLE_OBJECT, CIRCLE) == "a circle"
    assert text(Skill.COLOURS, CIRCLE) == "a red circle"
    assert text(Skill.TWO_OBJECTS, CIRCLE, STAR) in ("a circle and a star", "a star and a circle")
    assert text(Skill.COUNTING, RED_STAR, STAR, BLUE_STAR) == "three stars"
    assert text(Skill.POSITION, STAR, CIRCLE) == "a circle at the top left and a star at the bottom right"
    assert text(Skill.COLOUR_BINDING, CIRCLE, STAR) in ("a red circle and a blue star", "a blue star and a red circle")
    assert text(Skill.CAPTION, CIRCLE) == "a red circle at the top left"


def test_plain_prompts_in_chinese():
    assert text(Skill.COLOURS, CIRCLE, language=CHINESE) == "一个红色圆形"
    assert text(Skill.COUNTING, RED_STAR, STAR, language=CHINESE) == "两个星形"
    assert text(Skill.POSITION, STAR, CIRCLE, language=CHINESE) == "左上角有一个圆形，右下角有一个星形"


def test_relation_prompts_name_a_true_side():
    left = thing(Kind.RING, Colour.RED, (1, 0), Size.SMALL, level=STANDARD)
    right = thing(Kind.HEART, Colour.RED, (1, 2), Size.SMALL, level=STANDARD)
    texts = set()
    for i in range(60):
        asked = prompt(Scene((right, left)), STANDARD, ENGLISH, Skill.RELATION, Dice("relation", i), plain=True)
        assert (asked.relation is Side.LEFT) == (asked.wanted[0].kind is Kind.RING)
        texts.add(asked.text)
    assert texts == {
        "a ring left of a heart",
        "a heart right of a ring",
        "a red ring left of a red heart",
        "a red heart right of a red ring",
    }


def test_size_and_digit_prompts():
    four = thing(Kind.DIGIT, Colour.RED, (0, 0), Size.SMALL, "4", STANDARD)
    heart = thing(Kind.HEART, Colour.RED, (2, 2), Size.LARGE, level=STANDARD)
    assert text(Skill.SIZE, heart, level=STANDARD) == "a large heart"
    assert text(Skill.DIGIT, four, level=STANDARD) in ("a digit 4", "a red digit 4")
    assert set(fitting(Scene((four, heart)), STANDARD)) == {Skill.DIGIT, Skill.CAPTION}


@pytest.mark.parametrize(
    ("things", "expected"),
    [
        ((CIRCLE,), {Skill.SINGLE_OBJECT, Skill.COLOURS}),
        ((CIRCLE, STAR), {Skill.TWO_OBJECTS, Skill.COLOUR_BINDING}),
        ((CIRCLE, RED_STAR), {Skill.TWO_OBJECTS}),  # one colour binds nothing
        ((STAR, RED_STAR), {Skill.COUNTING}),
        ((CIRCLE, STAR, RED_STAR), {Skill.COLOUR_BINDING}),
        ((CIRCLE, STAR, BLUE_STAR), set()),  # two blue stars would have to be counted
    ],
)
def test_which_skills_fit(things, expected):
    assert set(fitting(Scene(things), EASY)) == expected | {Skill.POSITION, Skill.CAPTION}


@levels
def test_prompts_describe_every_thing_and_only_truth(level):
    used = Counter()
    for index in range(400):
        scene = sample_scene(level, "train", index)
        for skill in fitting(scene, level):
            asked = prompt(scene, level, ENGLISH, skill, Dice("truth", index))
            assert len(asked.wanted) == len(scene.things)
            assert all(any(map(what.fits, scene.things)) for what in asked.wanted)
            assert (asked.relation is not None) == (skill is Skill.RELATION)
            used[skill] += 1
    assert set(used) == set(skills(level))


@levels
def test_skills_are_evaluated_on_scenes_that_fit_them_often(level):
    for skill in skills(level):
        fits = 0
        for i in range(200):
            things, alike = scenes_for(skill, level, Dice("for", i))
            fits += skill in fitting(sample_scene(level, "train", i, things=things, alike=alike), level)
        assert fits > 20, skill


def test_paraphrases_are_used_but_plain_words_most():
    texts = Counter(prompt(Scene((CIRCLE,)), EASY, ENGLISH, Skill.COLOURS, Dice("frame", i)).text for i in range(2000))
    assert set(texts) == {frame.format(list="a red circle") for frame in ENGLISH.prompts}
    assert 0.55 < texts["a red circle"] / 2000 < 0.65


def test_order_tells_nothing_where_places_are_open():
    firsts = Counter(text.split()[1] for text in (_two(i) for i in range(400)))
    assert abs(firsts["circle"] - firsts["star"]) < 80


def _two(i):
    return prompt(Scene((CIRCLE, STAR)), EASY, ENGLISH, Skill.TWO_OBJECTS, Dice("order", i), plain=True).text


def test_counted_things_have_a_colour_only_where_they_share_it():
    same = Scene((STAR, BLUE_STAR))
    wanted = {prompt(same, EASY, ENGLISH, Skill.COUNTING, Dice("same", i)).wanted for i in range(20)}
    assert wanted == {(Described(Kind.STAR),) * 2, (Described(Kind.STAR, Colour.BLUE),) * 2}
    mixed = Scene((STAR, RED_STAR))
    assert {prompt(mixed, EASY, ENGLISH, Skill.COUNTING, Dice("mixed", i)).wanted for i in range(20)} == {(Described(Kind.STAR),) * 2}
