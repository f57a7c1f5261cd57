from math import sqrt

import pytest

from tessera.scoring import rate
from tessera.scoring.drawing import Clause, Detection, drawing_scores, relations, verdict


def star(colour="red", x=0, confidence=1.0, kind="star") -> Detection:
    return Detection(kind, colour, (float(x), 0.0, x + 10.0, 10.0), confidence)


def test_counts():
    three = [Clause("star", 3)]
    assert verdict([star()] * 3, three).right
    short = verdict([star()] * 2, three)
    assert not short.right and short.reason == "expected 3 star, found 2"
    assert verdict([star()] * 4, three).right  # as in GenEval, unless excluded
    over = verdict([star()] * 4, three, [Clause("star", 4)])
    assert not over.right and over.reason == "expected fewer than 4 star, found 4"
    strict = verdict([star()] * 4, three, mode="strict")
    assert not strict.right and strict.reason == "not asked for: red star"


def test_only_confident_things_count():
    faint = [star(confidence=0.9), star(confidence=0.5), star(confidence=0.3)]
    assert verdict(faint, [Clause("star", 2)], [Clause("star", 3)]).right
    assert not verdict(faint, [Clause("star", 1)], confidence=0.9).right


def test_at_most_sixteen_of_a_kind():
    assert verdict([star()] * 40, [Clause("star")], [Clause("star", 17)]).right


def test_colour_is_asked_of_the_most_confident():
    seen = [star("blue", confidence=0.9), star("red", confidence=0.8)]
    shared = verdict(seen, [Clause("star", 1, "red")])
    assert not shared.right and shared.reason == "expected 1 red star, found 0 (of colour blue)"
    assert verdict(seen[::-1], [Clause("star", 1, "blue")]).right  # in whatever order they come
    strict = verdict(seen, [Clause("star", 1, "red"), Clause("star")], mode="strict")
    assert strict.right


def test_strict_shares_nothing():
    twice = [Clause("star", 1, "red"), Clause("star", 1, "red")]
    assert verdict([star()], twice).right
    assert verdict([star()], twice, mode="strict").reason == "expected 1 red star, found 0"
    colourless_first = [Clause("star"), Clause("star", 1, "red")]
    assert verdict([star("red"), star("blue")], colourless_first, mode="strict").right


@pytest.mark.parametrize("mode", ["geneval", "strict"])
def test_positions(mode):
    seen = [star(x=0), star(x=40, kind="moon")]
    left = [Clause("moon"), Clause("star", position=("left of", 0))]
    assert verdict(seen, left, mode=mode).right
    wrong = verdict(seen, [Clause("moon"), Clause("star", position=("above", 0))], mode=mode)
    assert not wrong.right and wrong.reason == "expected star above moon, found left of"
    alone = verdict(seen[:1], left, mode=mode)
    assert not alone.right and alone.reason == "expected 1 moon, found 0; no clause 0 for star to be left of"


def test_every_pair_must_stand_so():
    seen = [star(x=0), star(x=100), star(x=40, kind="moon")]
    assert not verdict(seen, [Clause("moon"), Clause("star", 2, position=("left of", 0))]).right


def test_sides_by_hand():
    box = lambda x, y: (x - 5.0, y - 5.0, x + 5.0, y + 5.0)
    at = lambda x, y: relations(box(x, y), box(0, 0))
    assert at(0, 0) == frozenset() and at(2, 0) == frozenset()  # within the margin of a tenth of 20
    assert at(4, 0) == frozenset()  # (4 - 2) / 4 is one half and does not pass it
    assert at(4.1, 0) == {"right of"} and at(-4.1, 0) == {"left of"}
    assert at(0, 20) == {"below"} and at(0, -20) == {"above"}
    assert at(20, -20) == {"right of", "above"}  # 18 / 28.3
    assert at(20, 12) == {"right of"}  # 18 / 23.3 and 10 / 23.3


def test_scores_by_hand():
    right = {"a": [True, True], "b": [False, True], "c": [False, False], "d": [True, True]}
    scores = drawing_scores(right, {"a": "two", "b": "two", "c": "count", "d": "two"})
    assert list(scores.tasks) == ["count", "two"]
    assert scores.tasks["two"].value == pytest.approx(5 / 6) and scores.tasks["two"].clusters == 3
    assert scores.tasks["count"].value == 0.0
    assert scores.overall.value == pytest.approx(5 / 12) and scores.overall.n == 8
    assert scores.any_right.value == 0.75 and scores.any_right.n == 4


def test_the_interval_of_the_mean_of_equal_tasks_is_a_root_narrower():
    right = {i: [i % 2 == 0] for i in range(400)}
    scores = drawing_scores(right, {i: f"task {i // 100}" for i in range(400)})
    one = rate([True, False] * 50).ci95
    assert scores.overall.ci95[1] - 0.5 == pytest.approx((one[1] - 0.5) / sqrt(4), rel=0.03)
