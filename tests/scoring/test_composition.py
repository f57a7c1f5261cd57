import pytest

from tessera.scoring.composition import attribute_binding, dense_score, numeracy, spatial
from tessera.scoring.drawing import Detection


def thing(x: int, y: int = 0, confidence: float = 1.0) -> Detection:
    return Detection("cup", None, (float(x), float(y), x + 10.0, y + 10.0), confidence)


def test_binding_is_a_product():
    assert attribute_binding([0.5, 0.8]) == pytest.approx(0.4)
    assert attribute_binding([1.0, 0.0, 1.0]) == 0.0


def test_spatial_by_hand():
    assert spatial(thing(0), thing(30), "left of") == 1.0
    assert spatial(thing(0, confidence=0.6), thing(30, confidence=0.8), "left of") == pytest.approx(0.85)
    assert spatial(thing(30), thing(0), "left of") == 0.5  # both are there, on the wrong sides
    assert spatial(thing(30, confidence=0.9), thing(0), "left of") == 0.0  # 0.475 is below one half
    assert spatial(thing(0), thing(20, 30), "left of") == 0.5  # above, rather
    assert spatial(thing(0), thing(20, 30), "above") == 1.0
    assert spatial(thing(0, 30), thing(20, 0), "below") == 1.0 and spatial(thing(30), thing(0), "right of") == 1.0
    assert spatial(None, thing(0), "above") == 0.0


def test_overlapping_things_are_less_apart():
    # 50 shared of 150 pixels: an overlap of a third, so 0.1 / (1 / 3) of the place's half
    assert spatial(thing(0), thing(5), "left of") == pytest.approx(0.5 + 0.5 * 0.3)


def test_numeracy_by_hand():
    assert numeracy({"cup": 2, "star": 3}, {"cup": 2, "star": 3}) == 1.0
    assert numeracy({"cup": 2, "star": 3}, {"cup": 2, "star": 1}) == 0.75
    assert numeracy({"cup": 2, "star": 3}, {"cup": 1}) == 0.25


PARENTS = {"cup": [], "red": ["cup"], "dark red": ["red"], "star": []}
CATEGORIES = {"cup": "entity", "red": "colour", "dark red": "colour", "star": "entity"}


def test_a_question_about_what_is_not_there_counts_as_no():
    score = dense_score([{"cup": 0, "red": 1, "dark red": 1, "star": 1}], PARENTS, CATEGORIES)
    assert score.value == 0.25 and score.categories == {"entity": [0, 1], "colour": [0, 0]}


def test_soft_answers_are_multiplied():
    assert dense_score([{"cup": 0.5, "red": 0.5, "dark red": 1.0, "star": 1.0}], PARENTS, CATEGORIES).value == pytest.approx(2.0 / 4)


def test_the_official_quirks():
    pictures = [{"cup": 1, "red": 0, "dark red": 1, "star": 1}, {"cup": 0, "red": 1, "dark red": 1, "star": 1}]
    ours, official = (dense_score(pictures, PARENTS, CATEGORIES, convention=name) for name in ("tessera", "official"))
    assert ours.value == official.value == 0.375
    assert {name: sorted(values) for name, values in ours.categories.items()} == {"entity": [0, 1, 1, 1], "colour": [0, 0, 0, 0]}
    assert official.categories == {"entity": [0, 1], "colour": [1, 1]}  # the last picture alone, not zeroed


def test_the_official_order_misses_a_grandparent_listed_late():
    late = {"dark red": ["red"], "red": ["cup"], "cup": [], "star": []}
    picture = [{"cup": 0, "red": 1, "dark red": 1, "star": 1}]
    assert dense_score(picture, late, CATEGORIES).value == 0.25
    assert dense_score(picture, late, CATEGORIES, convention="official").value == 0.5
