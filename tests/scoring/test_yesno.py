from itertools import product
from random import Random

import pytest
from scipy.stats import norm
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from tessera.scoring.answers import yes_no
from tessera.scoring.yesno import ObjectQuestion, YesNo, mme, object_statistics, pope, yes_no_scores

DOCUMENTS = {"a": ["cat", "dog", "bed"], "b": ["dog", "car", "bed", "cat"], "c": ["car", "tree", "person"]}
FREQUENCY, COOCCURRENCE = object_statistics(DOCUMENTS)


class Low(Random):
    """Always draws the first."""

    def random(self):
        return 0.0


def drawn(n: int, seed: int):
    rng = Random(seed)
    return [rng.choice([True, True, False, None]) for _ in range(n)], [rng.random() < 0.5 for _ in range(n)]


def test_scores_of_parsed_answers_are_those_of_scikit_learn():
    for seed in range(20):
        answers, labels = drawn(60, seed)
        scores = yes_no_scores(answers, labels)
        parsed = [(answer, label) for answer, label in zip(answers, labels, strict=True) if answer is not None]
        theirs = precision_recall_fscore_support(*zip(*((label, answer) for answer, label in parsed), strict=True), average="binary")
        assert (scores.precision, scores.recall, scores.f1) == pytest.approx(theirs[:3])
        assert scores.accuracy == pytest.approx(sum(answer is label for answer, label in parsed) / 60)
        assert scores.unparsed == 60 - len(parsed) and scores.n == 60


def test_under_vlmevalkit_unparsed_answers_are_a_no_but_never_right():
    for seed in range(20):
        answers, labels = drawn(60, seed)
        scores = yes_no_scores(answers, labels, "vlmevalkit")
        theirs = precision_recall_fscore_support(labels, [bool(answer) for answer in answers], average="binary")
        assert (scores.precision, scores.recall, scores.f1) == pytest.approx(theirs[:3])
        assert scores.accuracy == yes_no_scores(answers, labels).accuracy


def test_without_unparsed_answers_conventions_agree():
    answers, labels = [True, True, False, False, True], [True, False, False, True, True]
    scores = yes_no_scores(answers, labels)
    assert scores == YesNo(tp=2, fp=1, tn=1, fn=1, unparsed=0, n=5) == yes_no_scores(answers, labels, "vlmevalkit")
    assert scores.accuracy == accuracy_score(labels, answers) == 0.6
    assert (scores.precision, scores.recall, scores.f1, scores.yes_ratio) == pytest.approx((2 / 3, 2 / 3, 2 / 3, 0.6))


def test_the_same_answers_under_every_convention():
    texts = ["Yes", "yes.", "NO", "No.", "not sure", "There is no dog", ""]
    labels = [True, False, True, False, False, False, True]
    figures = {}
    for name in ("official", "lmms_eval", "vlmevalkit", "strict"):
        scores = yes_no_scores([yes_no(text, name) for text in texts], labels, name)
        figures[name] = (scores.tp, scores.fp, scores.tn, scores.fn, scores.unparsed)
    assert figures == {
        "official": (3, 1, 3, 0, 0),
        "lmms_eval": (1, 0, 0, 1, 5),
        "vlmevalkit": (1, 1, 2, 2, 2),
        "strict": (1, 1, 2, 1, 2),
    }


@pytest.mark.parametrize("always", [True, False, None])
@pytest.mark.parametrize("labels", [[True, True], [False, False], [True, False]])
def test_one_answer_to_everything_has_scores(always, labels):
    scores = yes_no_scores([always, always], labels)
    assert scores.accuracy == sum(label is always for label in labels) / 2
    assert scores.yes_ratio == (always is True)
    assert scores.recall == (always is True and any(labels)) and scores.precision == (sum(labels) / 2 if always else 0)
    assert abs(scores.d_prime) < 2 and abs(scores.criterion) < 2


def test_sensitivity_and_criterion():
    scores = YesNo(tp=40, fp=10, tn=38, fn=8, unparsed=4, n=100)
    hits, alarms = norm.ppf(40.5 / 49), norm.ppf(10.5 / 49)
    assert scores.d_prime == pytest.approx(hits - alarms) and scores.criterion == pytest.approx(-(hits + alarms) / 2)
    blind = YesNo(tp=30, fp=30, tn=10, fn=10, unparsed=0, n=80)
    assert blind.d_prime == pytest.approx(0) and blind.criterion == pytest.approx(-norm.ppf(30.5 / 41)) and blind.criterion < 0
    fair = YesNo(tp=30, fp=10, tn=30, fn=10, unparsed=0, n=80)
    assert fair.criterion == pytest.approx(0) and fair.d_prime == pytest.approx(2 * norm.ppf(30.5 / 41))


def test_lists_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="yes_no_scores: 1 answers, 2 labels; one of each for every case, at least one case; match"):
        yes_no_scores([True], [True, False])
    with pytest.raises(ValueError, match="yes_no_scores: 0 answers, 0 labels"):
        yes_no_scores([], [])
    with pytest.raises(ValueError, match=r"yes_no_scores: convention 'lenient'; strict, .* are accepted"):
        yes_no_scores([True], [True], "lenient")


def test_mme_adds_questions_and_pictures():
    right = [True, True, True, False, True, True, False, False]
    subtasks = ["count"] * 4 + ["colour"] * 4
    parts = mme(right, subtasks, [1, 1, 2, 2, 1, 1, 2, 2])
    assert (parts["count"].accuracy, parts["count"].accuracy_plus, parts["count"].points) == (0.75, 0.5, 125.0)
    assert parts["colour"].points == 100.0
    assert mme([True] * 8, subtasks, [1, 2] * 4)["count"].points == 200.0
    with pytest.raises(ValueError, match=r"mme: 3 answers for \('count', 1\); exactly two; give both"):
        mme(right, subtasks, [1, 1, 1, 2, 1, 1, 2, 2])


def test_statistics_count_documents():
    assert FREQUENCY == {"cat": 2, "dog": 2, "bed": 2, "car": 2, "tree": 1, "person": 1}
    assert COOCCURRENCE["cat"] == {"dog": 2, "bed": 2, "car": 1} and COOCCURRENCE["tree"] == {"car": 1, "person": 1}
    assert object_statistics({1: ["cat", "cat"], 2: []}) == ({"cat": 1}, {})


def asked(mode: str, rng: Random, **changes) -> list[tuple[str, str, str]]:
    given = {"documents": DOCUMENTS, "frequency": FREQUENCY, "cooccurrence": COOCCURRENCE, "k": 2} | changes
    questions = pope(mode=mode, rng=rng, **given)
    assert [question.label for question in questions] == [True, False] * (len(questions) // 2)
    return [(yes.document, yes.object, no.object) for yes, no in zip(questions[::2], questions[1::2], strict=True)]


def test_popular_objects_by_hand():
    by_hand = [("a", "cat", "car"), ("a", "dog", "person"), ("b", "dog", "person"), ("b", "car", "tree"), ("c", "car", "bed")]
    assert asked("popular", Random(0)) == [*by_hand, ("c", "tree", "cat")]


def test_adversarial_objects_by_hand():
    together = {"cat": {"tree": 3, "car": 2}, "dog": {"tree": 9, "person": 1}, "car": {"cat": 4, "dog": 4, "bed": 3}}
    by_hand = [("a", "cat", "tree"), ("a", "dog", "person"), ("b", "dog", "tree"), ("b", "car", "person"), ("c", "car", "cat")]
    assert asked("adversarial", Low(), cooccurrence=together) == [*by_hand, ("c", "tree", "bed")]
    of_these = [("a", "cat", "car"), ("a", "dog", "person"), ("b", "dog", "person"), ("b", "car", "tree"), ("c", "car", "bed")]
    assert asked("adversarial", Low()) == [*of_these, ("c", "tree", "cat")]


def test_a_random_object_is_any_absent_one():
    by_hand = [("a", "cat", "car"), ("a", "dog", "person"), ("b", "dog", "person"), ("b", "car", "tree"), ("c", "car", "bed")]
    assert asked("random", Low()) == [*by_hand, ("c", "tree", "cat")]
    many = {i: ["cat"] for i in range(4000)}
    drawn = [no for _, _, no in asked("random", Random(7), documents=many, k=1)]
    assert {name: drawn.count(name) for name in FREQUENCY if name != "cat"} == pytest.approx(
        dict.fromkeys(set(FREQUENCY) - {"cat"}, 800), abs=100
    )


@pytest.mark.parametrize("mode", ["random", "popular", "adversarial"])
def test_every_question_is_true_and_asked_once_whatever_the_order_of_tables(mode):
    questions = asked(mode, Random(3))
    turned = asked(mode, Random(3), frequency=dict(reversed(FREQUENCY.items())), cooccurrence=dict(reversed(COOCCURRENCE.items())))
    assert questions == turned
    for document, yes, no in questions:
        assert yes in DOCUMENTS[document] and no not in DOCUMENTS[document]
    assert len({(document, name) for document, *names in questions for name in names}) == 2 * len(questions)


def test_short_documents_are_left_out_and_repeated_objects_count_once():
    documents = {**DOCUMENTS, "d": ["tree", "tree"]}
    assert asked("popular", Random(0), documents=documents) == asked("popular", Random(0))
    assert pope({"d": ["tree", "tree", "car"]}, "popular", FREQUENCY, {}, 1, Random(0)) == [
        ObjectQuestion("d", "tree", True),
        ObjectQuestion("d", "bed", False),
    ]


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ValueError, match="pope: mode 'rare'; random, popular, adversarial are accepted; name one"):
        asked("rare", Random(0))
    with pytest.raises(ValueError, match="pope: 0 of 3 documents have 5 objects; at least one, and k from 1; lower k"):
        asked("popular", Random(0), k=5)
    with pytest.raises(ValueError, match="pope: 2 objects are absent from 'b'; 3, one for each asked; name more in `frequency`"):
        asked("popular", Random(0), k=3)


def test_draws_are_the_same_everywhere():
    vocabulary = {"".join(pair): 1 for pair in product("abcd", repeat=2)}
    questions = pope({0: ["x", "y", "z"]}, "random", vocabulary, {}, 3, Random(1))
    assert [question.object for question in questions if not question.label] == ["ac", "db", "cd"]
