"""Questions with options: whoever knows, whoever likes a letter, and whoever says the words."""

import pytest

from tessera.exams import Choices
from tessera.exams.choices import LETTERS, OPTIONS, by_language
from tessera.scoring.answers import letter
from tessera.scoring.grouped import circular
from tessera.world import QuestionKind, World

EACH = 5
WORLDS = {"easy": World.easy(), "standard": World.standard(), "zh": World.easy("zh"), "both": World.easy("both")}


@pytest.fixture(scope="module", params=WORLDS)
def exam(request):
    return Choices(WORLDS[request.param], EACH)


def values(report) -> dict[str, float]:
    return {name: score.value for name, score in report.scores.items()}


def right_words(exam) -> list[str]:
    return [one.options[LETTERS.index(one.answer)] for one in exam.asked]


def test_each_question_is_asked_with_its_answer_in_every_place(exam):
    for start in range(0, len(exam.cases), OPTIONS):
        four = exam.asked[start : start + OPTIONS]
        assert sorted(one.answer for one in four) == list(LETTERS) and len({frozenset(one.options) for one in four}) == 1
        texts = [case.prompt[1].content for case in exam.cases[start : start + OPTIONS]]
        assert len(set(texts)) == OPTIONS and all(
            f"{name}. {word}" in texts[0] for name, word in zip(LETTERS, four[0].options, strict=True)
        )
        assert len({word.isascii() for word in four[0].options}) == 1 and len(set(four[0].options)) == OPTIONS
    assert len(exam.cases) == OPTIONS * EACH * len(set(exam.kinds))
    assert {QuestionKind.COLOUR, QuestionKind.SHAPE, QuestionKind.POSITION} <= {*exam.kinds} and QuestionKind.EXIST not in exam.kinds


def test_the_answer_may_be_named_by_its_letter_or_its_words(exam):
    for answers in ([one.answer for one in exam.asked], right_words(exam), [f"({one.answer})" for one in exam.asked]):
        found = values(exam.report(answers))
        assert found == {"choices.hit": 1.0, "choices.first": 1.0, "choices.mean": 1.0, "choices.unparsed": 0.0}


def test_who_likes_a_letter_never_hits_and_is_right_a_quarter_of_the_time(exam):
    found = values(exam.report(["B"] * len(exam.cases)))
    assert found["choices.hit"] == 0.0 and found["choices.mean"] == 0.25


def test_what_names_none_or_two_is_wrong_and_counted(exam):
    said = ["A or B", "well", *[one.answer for one in exam.asked[2:]]]
    found = exam.report(said)
    assert found.scores["choices.unparsed"].value * len(exam.cases) == pytest.approx(2)
    assert found.scores["choices.mean"].unparsed == 2 and values(found)["choices.hit"] == 1 - 1 / (len(exam.cases) / OPTIONS)


def test_it_is_mmbenchs_circular_evaluation(exam):
    said = [LETTERS[i * 7 % 4] if i % 3 else one.answer for i, one in enumerate(exam.asked)]
    named = [letter(answer, one.options) for answer, one in zip(said, exam.asked, strict=True)]
    known, found = circular(named, exam.asked), values(exam.report(said))
    assert (found["choices.hit"], found["choices.first"], found["choices.mean"]) == pytest.approx((known.hit, known.first, known.mean))
    assert known.unparsed == 0 == found["choices.unparsed"]


def test_who_never_looks_takes_the_commonest_and_who_reads_is_right(exam):
    common = [max(one.options, key=exam.learned[exam.kinds[n]].__getitem__) for n, one in zip(exam.of, exam.asked, strict=True)]
    found = exam.report(common)
    for what in ("hit", "first", "mean"):
        beside = found.references[f"choices.{what}"]
        assert beside["blind"] == pytest.approx(values(found)[f"choices.{what}"]) and beside["ceiling"] == 1.0
    assert found.references["choices.hit"]["chance"] == 1 / 256


def test_languages_are_kept_apart():
    assert by_language(["red", "红色", "blue"]) == [["blue", "red"], ["红色"]] and by_language(["no"]) == [["no"]]
