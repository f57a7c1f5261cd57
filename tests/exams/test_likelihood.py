import math

import pytest
import torch

from tessera.document import Image, Text
from tessera.exams import Likelihood
from tessera.world import Skill, World

EASY = World.easy()


def test_true_pictures_stand_behind_their_captions_and_alone():
    exam = Likelihood(EASY, 4)
    for i, (document, alone) in enumerate(zip(exam.documents, exam.alone, strict=True)):
        scene, prompt = EASY.prompted(Skill.CAPTION, i, "test")
        assert [type(s) for s in document] == [Text, Image] and document[0].content == prompt.text
        assert [s.learn for s in document] == [False, True] and [s.learn for s in alone] == [True]
        assert torch.equal(document[1].content, EASY.picture(scene)) and torch.equal(alone[0].content, document[1].content)


def test_nats_become_bits_of_a_value_and_captions_save_bits_of_a_picture():
    exam, values = Likelihood(EASY, 6), 3 * 32 * 32
    eight = [8 * math.log(2) * values] * 6
    found = exam.report([nats / 2 for nats in eight], eight)
    assert {name: score.value for name, score in found.scores.items()} == {
        "likelihood.bits": pytest.approx(4.0),
        "likelihood.alone": pytest.approx(8.0),
        "likelihood.saved": pytest.approx(4.0 * values),
    }
    assert all(score.n == 6 for score in found.scores.values())
    assert found.references["likelihood.bits"] == {"uniform": 8.0}
