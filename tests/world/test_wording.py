from dataclasses import fields
from string import Formatter

import pytest

from tessera.world.description import Described
from tessera.world.scene import LEVELS, Colour, Kind, Size
from tessera.world.wording import CHINESE, ENGLISH, LANGUAGES

languages = pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)


def test_noun_phrases_in_english():
    orange = Described(Kind.CIRCLE, Colour.ORANGE)
    assert ENGLISH.a(orange) == "an orange circle"
    assert ENGLISH.a(Described(Kind.CIRCLE, Colour.ORANGE, Size.SMALL)) == "a small orange circle"
    assert ENGLISH.one(Described(Kind.CROSS, place=(1, 1)), 2) == "the cross at the bottom right"
    assert ENGLISH.one(Described(colour=Colour.RED), 2) == "the red thing"
    assert ENGLISH.many(Described(Kind.CROSS, Colour.BLUE)) == "blue crosses"
    assert ENGLISH.count(3, orange) == "three orange circles"
    assert ENGLISH.count(1, Described()) == "one thing"
    assert ENGLISH.a(Described(Kind.DIGIT, Colour.BLACK, digit="4")) == "a black digit 4"


def test_noun_phrases_in_chinese():
    assert CHINESE.a(Described(Kind.CIRCLE, Colour.ORANGE)) == "一个橙色圆形"
    assert CHINESE.one(Described(Kind.CROSS, place=(1, 1)), 2) == "右下角的十字形"
    assert CHINESE.count(2, Described(Kind.STAR, Colour.RED)) == "两个红色星形"
    assert CHINESE.a(Described(Kind.DIGIT, size=Size.SMALL, digit="7")) == "一个小的数字7"


@languages
def test_every_word_is_there_and_none_begins_another(language):
    assert set(language.kinds) == set(Kind) and set(language.colours) == set(Colour)
    assert {level.grid for level in LEVELS.values()} == set(language.places)
    assert max(level.most for level in LEVELS.values()) < len(language.numbers) == len(language.counts)
    for grid in language.places:
        words = [noun.one for noun in language.kinds.values()]
        words += [*language.colours.values(), *language.sizes.values()]
        words += [place for row in language.places[grid] for place in row]
        assert all(one == other or not other.startswith(one) for one in words for other in words)
        assert len(set(words)) == len(words)


@languages
def test_there_are_enough_wordings_and_all_differ(language):
    assert len(set(language.captions)) == len(language.captions) >= 9
    assert len(set(language.prompts)) == len(language.prompts) >= 8
    for phrases in (language.questions, language.edits):
        for field in fields(phrases):
            ways = getattr(phrases, field.name)
            assert len(set(ways)) == len(ways) >= 2


@languages
def test_ways_to_ask_the_same_use_the_same_slots(language):
    """But English names any thing (`a`) where Chinese may name it bare (`the`)."""
    for phrases in (language.questions, language.edits):
        for field in fields(phrases):
            slots = {frozenset(slot for _, slot, _, _ in Formatter().parse(way) if slot) for way in getattr(phrases, field.name)}
            assert len(slots) == 1


@languages
def test_edits_and_questions_sound_different(language):
    said = [way for phrases in (language.questions, language.edits) for f in fields(phrases) for way in getattr(phrases, f.name)]
    assert len(set(said)) == len(said)
