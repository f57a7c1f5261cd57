import pytest
import torch
from exams.players import nonsense, taken

from tessera.exams import Exam
from tessera.verbs.suites import EXAMS, STANDARD, SUITES, chosen
from tessera.world import EASY as EASY_LEVEL
from tessera.world import World

EASY, HOLDING_OUT = World.easy(), World(EASY_LEVEL, held_out="pairs")


def test_suites_are_made_of_exams():
    assert {"smoke", "standard"} <= SUITES.keys() and STANDARD.keys() <= EXAMS.keys()
    for name, cases in SUITES.items():
        assert cases.keys() <= EXAMS.keys() and all(each > 0 for each in cases.values()), name
    assert all(SUITES["smoke"][name] < STANDARD[name] for name in SUITES["smoke"])


def test_suites_and_exams_are_chosen_by_name_and_the_last_word_counts():
    assert chosen(["standard"]) == STANDARD and chosen(["captions"]) == {"captions": STANDARD["captions"]}
    assert chosen(["drawing", "captions"]) == {name: STANDARD[name] for name in ("drawing", "captions")}
    assert chosen(["smoke", "drawing"]) == {**SUITES["smoke"], "drawing": STANDARD["drawing"]}
    assert chosen([]) == {}


@pytest.mark.parametrize("name", list(EXAMS))
def test_every_exam_can_be_chosen_alone(name):
    assert list(chosen([name])) == [name]


def test_what_is_neither_suite_nor_exam_is_refused_with_what_there_is():
    with pytest.raises(ValueError) as refused:
        chosen(["standard", "drawings"])
    assert str(refused.value) == (
        f"evaluate: suite 'drawings'; suites {', '.join(SUITES)} and exams {', '.join(EXAMS)} are accepted; name one"
    )


def test_no_two_exams_have_one_name_under_which_their_answers_are_kept():
    names = [make(HOLDING_OUT if name.startswith("held_out") else EASY, 2, "test").name for name, make in EXAMS.items()]
    assert len(set(names)) == len(names)


WHOLE = (
    *("drawing.confirmed", "drawing.refused", "drawing.same_scene"),
    *("likeness.frechet", "likeness.kid", "likeness.precision", "likeness.recall"),
)

# Told of other scores, or of what is no right and no wrong; who is blind is a reference.
UNCOMPARED = (*WHOLE, "drawing.audited", "stories.structure", "stories.similarity", "stories.told", "choices.unparsed")


def asked(exam: Exam) -> list[list]:
    """What stands before the answers, so that it can be compared."""
    plain = lambda content: content.tolist() if isinstance(content, torch.Tensor) else content
    return [[plain(segment.content) for segment in case.prompt] for case in exam.cases]


@pytest.mark.parametrize("name", list(EXAMS))
def test_what_every_exam_keeps(name):
    """The same each time it is made, and scores that are those of its cases."""
    world = HOLDING_OUT if name.startswith("held_out") else EASY
    exam, again = EXAMS[name](world, 2, "test"), EXAMS[name](world, 2, "test")
    assert isinstance(exam, Exam) and exam.cases
    assert asked(exam) == asked(again)
    assert world is HOLDING_OUT or asked(exam) != asked(EXAMS[name](world, 2, "val"))
    found = taken(exam, nonsense)
    assert found.scores and found.right.keys() <= found.scores.keys() and found.references.keys() <= found.scores.keys()
    for key, right in found.right.items():
        assert found.scores[key].value == pytest.approx(sum(right) / len(right)) and found.scores[key].n == len(right), key
    for key, cases in found.ratios.items():
        over, by = map(sum, zip(*cases, strict=True))
        assert found.scores[key].value == pytest.approx(over / by if by else found.scores[key].value), key
    for key, numbers in found.clusters.items():
        assert len(numbers) == len(found.right.get(key) or found.ratios[key])
    alone = {key for key in found.scores if key not in found.right and key not in found.ratios}
    alone = {key for key in alone if not key.endswith(WHOLE) and "questions.blind" not in key}
    assert not alone, "what has no cases cannot be compared: is it meant?"
    bare = {key for key in found.scores if key not in found.references}
    assert not {key for key in bare if not key.endswith(UNCOMPARED) and "questions.blind" not in key}, "what is it to be held against?"
    assert taken(again, nonsense).scores == found.scores


def test_what_is_held_out_is_asked_of_worlds_that_hold_something_out():
    (name,) = [name for name in EXAMS if name == "held_out.captions"]
    with pytest.raises(ValueError, match="this world holds nothing out; train with --held-out and evaluate that run"):
        EXAMS[name](EASY, 2, "test")
