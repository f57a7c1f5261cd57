from collections import Counter

import pytest

from tessera.exams.captions import score_of
from tessera.world.captions import caption, parse_caption
from tessera.world.description import Described, described
from tessera.world.dice import Dice
from tessera.world.sampling import sample_scene
from tessera.world.scene import EASY, LEVELS, STANDARD, Colour, Kind, Scene, Size, Thing
from tessera.world.wording import CHINESE, ENGLISH, LANGUAGES
from tessera.world.wording.grammar import write

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
languages = pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)

STAR = Thing(Kind.STAR, Colour.BLUE, Size.MEDIUM, 1, 1, 24.0, 24.0)
CIRCLE = Thing(Kind.CIRCLE, Colour.ORANGE, Size.MEDIUM, 0, 0, 8.0, 8.0)
TWO = Scene((STAR, CIRCLE))
DIGIT = Scene((Thing(Kind.DIGIT, Colour.RED, Size.SMALL, 1, 1, 16.0, 16.0, "4"),))


def test_canonical_captions():
    assert caption(TWO, EASY, ENGLISH) == "an orange circle at the top left and a blue star at the bottom right"
    assert caption(TWO, EASY, CHINESE) == "左上角有一个橙色圆形，右下角有一个蓝色星形"
    assert caption(DIGIT, STANDARD, ENGLISH) == "a small red digit 4 at the centre"
    assert caption(DIGIT, STANDARD, CHINESE) == "中央有一个小的红色数字4"


@levels
@languages
def test_canonical_captions_say_the_scene(level, language):
    for index in range(1500):
        scene = sample_scene(level, "train", index)
        said = parse_caption(caption(scene, level, language), level, language)
        assert said == tuple(described(thing, level) for thing in sorted(scene.things, key=lambda t: (t.row, t.column)))


@levels
@languages
def test_every_wording_is_read_back(level, language):
    for index in range(120):
        true = [described(thing, level) for thing in sample_scene(level, "train", index).things]
        for listing in language.captions:
            said = parse_caption(write(true, listing, language, level.grid), level, language)
            assert said == tuple(true), listing


@levels
@languages
def test_dice_choose_among_all_wordings_and_orders(level, language):
    scene = sample_scene(level, "train", 5, things=3, alike=False)
    texts = Counter(caption(scene, level, language, Dice("wording", i)) for i in range(1500))
    assert len(texts) == 6 * len(language.captions)
    for text in texts:
        assert score_of(text, scene, level, language).exact


def test_reading_forgives_case_spaces_and_a_full_stop_only():
    text = caption(TWO, EASY, ENGLISH)
    assert parse_caption(f"  {text.capitalize()}. ", EASY, ENGLISH) == parse_caption(text, EASY, ENGLISH) is not None
    assert parse_caption(text.replace("an orange", "a orange"), EASY, ENGLISH) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red circle",
        "a red circle at the top left and",
        "a red circle at the top left and a blue star",
        "a red circle at the top left a blue star at the top right",
        "a red red circle at the top left",
        "a circle red at the top left",
        "a red heart at the top left",  # not a kind of this level
        "a small red circle at the top left",  # this level has one size
        "a red digit 4 at the top left",
        "a red circle at the centre",  # not a place of this level
        "three things: a red circle at the top left and a blue star at the top right",
        "左上角有一个红色圆形",
    ],
)
def test_what_is_no_caption_reads_as_none(text):
    assert parse_caption(text, EASY, ENGLISH) is None


@pytest.mark.parametrize("text", ["a red circle at the centre", "a small red digit 9 at the centre", "a small red digit at the centre"])
def test_standard_needs_sizes_and_known_digits(text):
    assert parse_caption(text, STANDARD, ENGLISH) is None


def test_a_thing_said_twice_is_read_twice():
    said = parse_caption("a blue star at the bottom right and a blue star at the bottom right", EASY, ENGLISH)
    assert said == (Described(Kind.STAR, Colour.BLUE, place=(1, 1)),) * 2
