import pytest

from tessera.scoring.shots import Shots, few_shot


def test_a_curve_by_hand():
    # Trapezoids of .3, .5, 1.4 and 3.2 over 8 shots: a mean of .675, .475 above .2, of .8 that could be gained.
    curve = few_shot({0: 0.2, 1: 0.4, 2: 0.6, 4: 0.8, 8: 0.8})
    assert (curve.zero_shot, curve.peak) == (0.2, 0.8) and curve.efficiency == pytest.approx(0.59375)


def test_a_straight_line_to_perfect_has_half_the_area():
    assert few_shot({shots: shots / 8 for shots in (0, 1, 2, 4, 8)}).efficiency == pytest.approx(0.5)
    assert few_shot({0: 0.6, 8: 1.0}).efficiency == pytest.approx(0.5)


def test_examples_that_do_nothing_and_that_hurt():
    assert few_shot({0: 0.5, 1: 0.5, 4: 0.5}) == Shots(0.5, 0.5, 0.0)
    hurt = few_shot({0: 0.5, 2: 0.0, 4: 0.0})
    assert hurt.peak == 0.5 and hurt.efficiency == pytest.approx(-0.75)


def test_a_point_on_the_line_and_the_order_change_nothing():
    assert few_shot({4: 0.5, 0: 0.25, 2: 0.375}).efficiency == pytest.approx(few_shot({0: 0.25, 4: 0.5}).efficiency)


def test_nothing_is_left_to_learn():
    assert few_shot({0: 1.0, 4: 1.0}) == Shots(1.0, 1.0, 0.0)


@pytest.mark.parametrize("curve", [{}, {0: 0.5}, {1: 0.2, 2: 0.4}])
def test_a_curve_begins_at_no_shots(curve):
    with pytest.raises(ValueError, match=r"few_shot: accuracies at \[.*\] shots; 0 and at least one more; measure zero-shot too"):
        few_shot(curve)


def test_accuracies_are_no_percentages():
    with pytest.raises(ValueError, match=r"few_shot: accuracies \[20.0, 40.0\]; 0 to 1; divide percentages by 100"):
        few_shot({0: 20.0, 1: 40.0})
