import pytest

from tessera.scoring.vqa import gqa_accuracy, option_match, vqa_accuracy

OPTIONS = ["cat", "dog", "car"]


@pytest.mark.parametrize(("matches", "accuracy"), [(10, 1.0), (4, 1.0), (3, 0.9), (2, 0.6), (1, 0.3), (0, 0.0)])
def test_soft_accuracy_by_hand(matches, accuracy):
    references = ["dog"] * matches + [f"other {i}" for i in range(10 - matches)]
    assert vqa_accuracy("dog", references) == pytest.approx(accuracy)


def test_both_sides_are_normalised():
    references = ["Two dogs.", "the 2 dogs", "2 dogs", "two dogs!"] + ["cats"] * 6
    assert vqa_accuracy("A two dogs", references) == 1.0
    assert vqa_accuracy("don't", ["dont"] * 10) == 1.0


def test_soft_accuracy_needs_references():
    with pytest.raises(ValueError, match="vqa_accuracy: 1 references; two or more, VQAv2 has ten; use exact_match"):
        vqa_accuracy("dog", ["dog"])


def test_gqa_is_the_share_of_exact_matches():
    assert gqa_accuracy(["Dog.", "cat", "a car", "red"], ["dog", "cat", "car", "blue"]) == 0.5
    with pytest.raises(ValueError, match="gqa_accuracy: 1 answers, 2 references; one of each"):
        gqa_accuracy(["dog"], ["dog", "cat"])


@pytest.mark.parametrize(
    ("answer", "strict", "seed", "scienceqa"),
    [
        ("B", True, True, True),
        ("B. dog", True, True, True),
        (" B", True, True, False),
        ("Because", False, True, False),
        ("(B)", True, False, False),
        ("b", True, False, False),
        ("The answer is B", True, False, False),
        ("dog", True, False, False),
        ("A", False, False, False),
        ("", False, False, False),
    ],
)
def test_an_option_as_every_convention_reads_it(answer, strict, seed, scienceqa):
    assert option_match(answer, OPTIONS, "B") is strict
    assert option_match(answer, OPTIONS, "B", "seed") is seed
    assert option_match(answer, OPTIONS, "B", "scienceqa") is scienceqa


def test_an_unknown_convention_is_refused():
    with pytest.raises(ValueError, match="option_match: convention 'mmmu'; strict, seed, scienceqa are accepted; name one of these"):
        option_match("B", OPTIONS, "B", "mmmu")
