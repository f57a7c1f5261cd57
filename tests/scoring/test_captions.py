import pytest

from tessera.scoring.captions import Counts, caption_score


def thing(shape=None, colour=None, size=None):
    return {"shape": shape, "colour": colour, "size": size}


STAR, CIRCLE = thing("star", "blue"), thing("circle", "orange")


def test_all_there_and_nothing_else_is_exact_in_any_order():
    score = caption_score([CIRCLE, STAR], [STAR, CIRCLE])
    assert score.parsed and score.exact
    assert score.counts == {"shape": Counts(2, 2, 2), "colour": Counts(2, 2, 2), "size": Counts()}


def test_one_wrong_attribute_costs_one_match():
    score = caption_score([CIRCLE, thing("star", "red")], [STAR, CIRCLE])
    assert score.parsed and not score.exact
    assert score.counts == {"shape": Counts(2, 2, 2), "colour": Counts(1, 2, 2), "size": Counts()}


def test_swapped_colours_are_wrong_colours():
    said = [thing("star", "orange", "small"), thing("circle", "blue", "large")]
    score = caption_score(said, [thing("star", "blue", "small"), thing("circle", "orange", "large")])
    assert score.counts == {"shape": Counts(2, 2, 2), "colour": Counts(0, 2, 2), "size": Counts(2, 2, 2)}


def test_things_too_few_and_too_many_are_counted():
    few, many = caption_score([STAR], [STAR, CIRCLE]), caption_score([STAR, thing("ring", "red"), CIRCLE], [STAR, CIRCLE])
    assert not few.exact and few.counts["shape"] == Counts(1, 1, 2)
    assert not many.exact and many.counts["shape"] == Counts(2, 3, 2)


def test_what_was_left_open_was_not_said():
    score = caption_score([thing("star")], [STAR])
    assert not score.exact and score.counts == {"shape": Counts(1, 1, 1), "colour": Counts(0, 0, 1), "size": Counts()}


def test_what_is_said_twice_is_there_once():
    score = caption_score([STAR, STAR], [STAR, CIRCLE])
    assert not score.exact and score.counts["shape"] == Counts(1, 2, 2)


def test_what_is_no_caption_predicts_nothing():
    score = caption_score(None, [STAR, CIRCLE])
    assert not score.parsed and not score.exact and score.counts["shape"] == Counts(0, 0, 2)


@pytest.mark.parametrize("said, parsed", [([], True), (None, False)])
def test_of_nothing_nothing_is_to_be_said(said, parsed):
    score = caption_score(said, [])
    assert score.parsed is parsed and score.exact and score.counts == {}


def test_counts_add_up_to_f1():
    total = Counts(1, 2, 2) + Counts(2, 2, 2)
    assert total == Counts(3, 4, 4) and total.f1 == 0.75
    assert Counts().f1 == 1.0
