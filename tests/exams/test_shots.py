"""Few shots by who knows, by who learns from an example, and by who is put off by one."""

import pytest
import torch
from exams.players import values

from tessera.document import Image
from tessera.exams import FewShots
from tessera.world import World
from tessera.world.tasks import SHOTS

PARTS = 3  # picture, question, answer


@pytest.fixture(scope="module")
def exam():
    return FewShots(World.easy(), 2)


def by_shots(exam, right):
    """Answers that are right behind as many examples as `right` says."""
    return exam.report([one.answer if right(shots) else "well" for shots, one in exam.asked])


def test_each_question_is_asked_behind_every_number_of_examples(exam):
    asked: dict[int, list] = {
        shots: [case.prompt for (n, _), case in zip(exam.asked, exam.cases, strict=True) if n == shots] for shots in SHOTS
    }
    for shots, prompts in asked.items():
        assert len(prompts) == len(asked[0]) > 0
        for prompt, alone in zip(prompts, asked[0], strict=True):
            assert len(prompt) == PARTS * shots + 2 and isinstance(prompt[-2], Image)
            assert torch.equal(prompt[-2].content, alone[0].content) and prompt[-1].content == alone[1].content


def test_who_knows_has_nothing_to_learn(exam):
    found = values(by_shots(exam, lambda shots: True))
    assert found == {**{f"shots.{shots}": 1.0 for shots in (0, 1, 2, 4, 8)}, "shots.efficiency": 0.0}


def test_who_learns_from_one_example_gains_all_but_the_way_there(exam):
    found = values(by_shots(exam, lambda shots: shots > 0))
    assert (found["shots.0"], found["shots.1"], found["shots.8"]) == (0.0, 1.0, 1.0)
    assert found["shots.efficiency"] == pytest.approx(1 - 0.5 / 8)  # half of the first of eight steps is missing


def test_who_is_put_off_by_examples_has_no_room_that_could_be_gained(exam):
    found = values(by_shots(exam, lambda shots: shots == 0))
    assert (found["shots.0"], found["shots.1"], found["shots.efficiency"]) == (1.0, 0.0, 0.0)


def test_white_space_around_an_answer_is_no_mistake(exam):
    assert values(exam.report([f" {one.answer}\n" for _, one in exam.asked]))["shots.8"] == 1.0
