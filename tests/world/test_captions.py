from collections import Counter

import pytest

from tessera.world.captions import ATTRIBUTES, Counts, caption, caption_score, parse_caption
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
        assert caption_score(text, scene, level, language).exact


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


def test_one_wrong_attribute_costs_one_match():
    score = caption_score("an orange circle at the top left and a red star at the bottom right", TWO, EASY, ENGLISH)
    assert score.parsed and not score.exact
    assert score.counts == {
        "kind": Counts(2, 2, 2),
        "colour": Counts(1, 2, 2),
        "size": Counts(0, 0, 0),
        "place": Counts(2, 2, 2),
    }


def test_swapped_colours_are_wrong_colours():
    score = caption_score("a blue circle at the top left and an orange star at the bottom right", TWO, EASY, ENGLISH)
    assert score.counts["colour"] == Counts(0, 2, 2)


def test_things_too_few_and_too_many_are_counted():
    few = caption_score("a blue star at the bottom right", TWO, EASY, ENGLISH)
    assert not few.exact and few.counts["kind"] == Counts(1, 1, 2)
    many = caption_score(caption(TWO, EASY, ENGLISH).replace(" and ", ", a red ring at the top right and "), TWO, EASY, ENGLISH)
    assert not many.exact and many.counts["kind"] == Counts(2, 3, 2)


def test_a_wrong_digit_is_a_wrong_kind():
    score = caption_score("a small red digit 7 at the centre", DIGIT, STANDARD, ENGLISH)
    assert not score.exact
    assert [score.counts[name].matched for name in ATTRIBUTES] == [0, 1, 1, 1]


def test_garbled_text_predicts_nothing():
    score = caption_score("circle circle circle", TWO, EASY, ENGLISH)
    assert not score.parsed and not score.exact and score.counts["kind"] == Counts(0, 0, 2)


def test_counts_add_up_to_f1():
    total = Counts(1, 2, 2) + Counts(2, 2, 2)
    assert total == Counts(3, 4, 4) and total.f1 == 0.75
    assert Counts().f1 == 1.0


def test_a_saying_that_fits_no_thing_is_not_paired_away():
    said = parse_caption("a blue star at the bottom right and a blue star at the bottom right", EASY, ENGLISH)
    assert said == (Described(Kind.STAR, Colour.BLUE, place=(1, 1)),) * 2
    assert not caption_score("a blue star at the bottom right and a blue star at the bottom right", TWO, EASY, ENGLISH).exact
