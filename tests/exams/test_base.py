import pytest

from tessera.exams import Report, joined, rates
from tessera.scoring import rate, wilson

RIGHT, GROUPS = [True, False, True, True], ["a", "b", "a", "b"]


def test_rates_are_those_of_each_group_and_of_all():
    found = rates("exam", RIGHT, GROUPS)
    assert {name: (score.value, score.n) for name, score in found.scores.items()} == {
        "exam.a": (1.0, 2),
        "exam.b": (0.5, 2),
        "exam.overall": (0.75, 4),
    }
    assert found.right == {"exam.a": [True, True], "exam.b": [False, True], "exam.overall": RIGHT}
    assert found.scores["exam.b"].ci95 == wilson(1, 2) and not found.references and not found.tiles


def test_groups_come_in_the_order_in_which_they_are_met_and_the_whole_has_any_name():
    assert list(rates("exam", RIGHT, ["z", "a", "z", "a"], overall="all").scores) == ["exam.z", "exam.a", "exam.all"]


def test_every_case_has_its_group():
    with pytest.raises(ValueError, match="zip"):
        rates("exam", RIGHT, GROUPS[:3])


def test_reports_join_into_one_that_holds_all():
    one = Report({"a": rate([True])}, {"a": {"chance": 0.5}}, {"a": [True]}, {"a": []})
    other = Report({"b": rate([False])}, right={"b": [False]})
    both = one | other
    assert both.scores == {**one.scores, **other.scores} and both.right == {"a": [True], "b": [False]}
    assert both.references == one.references and both.tiles == {"a": []}
    assert list(joined([one, other, Report()]).scores) == ["a", "b"] and list(one.scores) == ["a"]
    assert joined([]).scores == {}


def test_pictures_that_cannot_be_read_are_counted_in_their_group():
    found = rates("exam", [True, False, False, True], ["a", "b", "b", "a"], readable=[True, False, True, True])
    assert {name: score.unreadable for name, score in found.scores.items()} == {"exam.a": 0, "exam.b": 1, "exam.overall": 1}
