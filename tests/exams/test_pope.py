"""POPE by whoever sees all, whoever always agrees, and whoever is shown nothing; scenes such as training seldom has."""

import pytest
import torch

from tessera.exams import Pope, PopeControl
from tessera.scoring.yesno import mme
from tessera.world import STANDARD, World
from tessera.world.bias import Bias
from tessera.world.hallucination import Negatives, Scenes, seldom, shown
from tessera.world.instructions import scene_of
from tessera.world.oracle import Oracle

LEANING = World(STANDARD, bias=Bias(alpha=0.7, topic=0.9))
EACH = 8


@pytest.fixture(scope="module")
def exam():
    return Pope(LEANING, EACH)


def values(report) -> dict[str, float]:
    return {name: score.value for name, score in report.scores.items()}


def truth(exam) -> list[str]:
    return ["yes" if probe.present else "no" for _, probe in exam.asked]


def test_both_is_mmes_accuracy_plus(exam):
    said = [answer if i % 5 else "yes" for i, answer in enumerate(truth(exam))]
    found = exam.report(said)
    for negatives, mine in exam.modes.items():
        right = [said[i] == truth(exam)[i] for i in mine]
        (task,) = mme(right, ["existence"] * len(mine), [i // 2 for i in range(len(mine))]).values()
        name = f"pope.{negatives.value}"
        assert values(found)[f"{name}.accuracy"] == pytest.approx(task.accuracy)
        assert values(found)[f"{name}.both"] == pytest.approx(task.accuracy_plus) and found.scores[f"{name}.both"].n == EACH
        assert found.references[f"{name}.both"] == {"chance": 0.25, "majority": 0.0, "ceiling": 1.0}


@pytest.mark.parametrize("scenes", [Scenes.LONG_TAIL, Scenes.DECORRELATED])
def test_scenes_that_training_seldom_has_are_asked_about_under_a_name_of_their_own(scenes):
    exam = Pope(LEANING, EACH, scenes=scenes)
    assert exam.name == f"pope.{scenes.value}" and all(name.startswith(f"{exam.name}.") for name in exam.report(truth(exam)).scores)
    assert set(values(exam.report(truth(exam))).values()) == {1.0, 0.5}
    read = Oracle(STANDARD).read(torch.stack([case.prompt[0].content for case in exam.cases[:EACH:2]]))
    kinds = [shown(scene_of(reading)) for reading in read]
    if scenes is Scenes.LONG_TAIL:
        assert all(any(pair <= {*some} for pair in seldom(LEANING)) for some in kinds)


@pytest.mark.parametrize("name", ["blank", "shuffled"])
def test_controls_ask_the_same_of_a_picture_that_cannot_help(exam, name):
    control = PopeControl(exam, name)
    assert control.name == f"pope.{name}" and len(control.cases) == len(exam.cases)
    for own, other in zip(exam.cases, control.cases, strict=True):
        assert own.prompt[1].content == other.prompt[1].content and not torch.equal(own.prompt[0].content, other.prompt[0].content)
    found = control.report(["yes"] * len(control.cases))
    assert found.scores.keys() == {f"pope.{name}.{mode.value}" for mode in Negatives} == found.references.keys()
    assert set(values(found).values()) == {0.5} and found.scores[f"pope.{name}.random"].clusters == len({p.cluster for _, p in exam.asked})
    assert control.report(["well"] * len(control.cases)).scores[f"pope.{name}.random"].unparsed == 2 * EACH
