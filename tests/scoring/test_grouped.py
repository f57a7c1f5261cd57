import pytest
from scipy.stats import chisquare

from tessera.scoring.grouped import circular, group_accuracy, grouped_all, hallusion, pair_accuracy, rotations

OPTIONS = ("cat", "dog", "car", "tree")


def test_a_group_is_right_where_all_of_it_is():
    assert grouped_all([True, True, False, True, True], ["a", "b", "a", "a", "b"]) == {"a": False, "b": True}
    assert group_accuracy([True, True, False, True, True], ["a", "b", "a", "a", "b"]) == 0.5


def test_groups_of_one_are_answers_and_one_group_is_all_of_them():
    right = [True, False, True, True]
    assert group_accuracy(right, range(4)) == 0.75
    assert group_accuracy(right, [0] * 4) == 0.0 and group_accuracy([True] * 4, [0] * 4) == 1.0


def test_lists_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="grouped_all: 2 answers, 1 keys; one of each for every case, at least one case; match"):
        grouped_all([True, True], ["a"])
    with pytest.raises(ValueError, match="grouped_all: 0 answers, 0 keys"):
        group_accuracy([], [])


def test_pairs_have_two():
    assert pair_accuracy([True, True, True, False], [1, 2, 1, 2]) == 0.5
    with pytest.raises(ValueError, match="pair_accuracy: 1 answers for 3; exactly two; give both"):
        pair_accuracy([True, True, True], [1, 1, 3])


def test_questions_and_figures_of_hallusionbench():
    # Two questions on three figures: "a" is right on all three, "b" on the first alone.
    right = [True, True, True, True, False, False]
    questions, figures = ["a", "a", "a", "b", "b", "b"], [0, 1, 2, 0, 1, 2]
    scores = hallusion(right, questions, figures)
    assert (scores.answers, scores.questions, scores.figures) == (4 / 6, 1 / 2, 1 / 3)
    without = hallusion(right, questions, [figure or None for figure in figures])
    assert (without.answers, without.questions, without.figures) == (4 / 6, 1 / 2, 0)
    assert hallusion([True], ["a"], [None]).figures == 0


def test_rotations_keep_the_right_option_right():
    turned = rotations("q", OPTIONS, 1)
    assert turned[0].options == OPTIONS and turned[0].answer == "B"
    assert turned[1].options == ("dog", "car", "tree", "cat") and turned[1].answer == "A"
    assert [question.answer for question in turned] == ["B", "A", "D", "C"]
    assert all(question.options["ABCD".index(question.answer)] == "dog" for question in turned)
    assert {question.options.index("cat") for question in turned} == {0, 1, 2, 3}
    with pytest.raises(ValueError, match="rotations: 4 options, the right one at 4; 2 to 26 options, counted from 0; mend question 'q'"):
        rotations("q", OPTIONS, 4)


def test_who_knows_is_right_and_unbiased():
    asked = [question for group in range(5) for question in rotations(group, OPTIONS, group % 4)]
    scores = circular([question.answer for question in asked], asked)
    assert (scores.hit, scores.first, scores.mean, scores.unparsed) == (1, 1, 1, 0)
    assert scores.letters == dict.fromkeys("ABCD", 5) and scores.chi_square == pytest.approx(0)


def test_always_a_is_caught_by_rotation():
    asked = [question for group in range(6) for question in rotations(group, OPTIONS, 0)]
    scores = circular(["A"] * 24, asked)
    assert (scores.hit, scores.first, scores.mean) == (0, 1, 0.25)
    assert scores.letters == {"A": 24, "B": 0, "C": 0, "D": 0}
    assert scores.chi_square == pytest.approx(chisquare([24, 0, 0, 0]).statistic) == pytest.approx(72)


def test_letters_are_compared_with_scipy_and_with_what_was_asked():
    asked = rotations(0, OPTIONS, 0) + rotations(1, OPTIONS, 2)
    answers = ["A", "A", "B", None, "A", "D", "C", "A"]
    scores = circular(answers, asked)
    assert scores.unparsed == 1 and scores.letters == {"A": 4, "B": 1, "C": 1, "D": 1}
    assert scores.chi_square == pytest.approx(chisquare([4, 1, 1, 1]).statistic)
    mixed = rotations(0, OPTIONS[:2], 0) + rotations(1, OPTIONS, 0)
    # Without a liking: A and B once in each group, C and D in the second alone.
    assert circular(list("ABABCD"), mixed).chi_square == pytest.approx(0)


def test_a_group_must_be_whole():
    asked = rotations("q", OPTIONS, 0)
    with pytest.raises(ValueError, match=r"circular: rotations of 'q' come \[1, 1, 1, 0\] times; each once; answer all of `rotations`"):
        circular(["A"] * 3, asked[:3])
    with pytest.raises(ValueError, match=r"circular: rotations of 'q' come \[2, 1, 1, 1\] times"):
        circular(["A"] * 5, [*asked, asked[0]])
    with pytest.raises(
        ValueError, match=r"circular: letters \['E'\] answered; \['A', 'B', 'C', 'D'\] are options; read answers with `letter`"
    ):
        circular(["A", "A", "A", "E"], asked)
