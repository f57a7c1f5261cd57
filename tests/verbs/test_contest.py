import json

import pytest

from tessera.document import Task
from tessera.stages import Stage
from tessera.verbs.contest import Budget, contest, end_loss
from tessera.verbs.train import Settings

LAST = Stage("tuned", train=(), documents=100, mix={Task.TEXT: 1.0}, weights={"image": 2.0})
LOSSES = {0.5: 0.9, 1.0: 0.4, 2.0: 0.7}  # what training at each rate ends in


def told(run, losses, stage="tuned"):
    """A run that tells of these losses, one for each ten documents."""
    run.mkdir(parents=True, exist_ok=True)
    lines = [{"stage": stage, "documents": 10 * (i + 1), "loss": loss} for i, loss in enumerate(losses)]
    lines.append({"stage": stage, "documents": 10 * len(losses), "scores": {"drawing": 0.5}})
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def trained():
    """Stands for training: notes what it is asked for, and ends in the loss of that rate."""
    asked = []

    def train(run, settings):
        asked.append((run.name, settings.seed, settings.scale, settings.rate))
        told(run, [{"text": LOSSES[settings.rate]}])

    train.asked = asked
    return train


def test_every_rate_is_tried_briefly_and_the_best_trains_every_seed(trained, tmp_path):
    found = contest(trained, LAST, tmp_path, Budget(), [Settings(seed=0), Settings(seed=1)])
    assert trained.asked == [
        ("rate-0.5", 0, 0.2, 0.5),
        ("rate-1", 0, 0.2, 1.0),
        ("rate-2", 0, 0.2, 2.0),
        ("seed-0", 0, 2.0, 1.0),
        ("seed-1", 1, 2.0, 1.0),
    ]
    assert (found.rate, found.losses, [run.name for run in found.runs]) == (1.0, LOSSES, ["seed-0", "seed-1"])


def test_one_rate_is_not_tried(trained, tmp_path):
    found = contest(trained, LAST, tmp_path, Budget(scale=0.5, rates=(2.0,)), [Settings()])
    assert trained.asked == [("seed-0", 0, 0.5, 2.0)] and found.losses == {}


def test_the_loss_at_the_end_is_of_the_last_stage_and_weighs_ports_as_that_does(tmp_path):
    told(tmp_path, [{"text": 9.0, "image": 9.0}], stage="joint")
    last = [{"text": 1.0, "image": 2.0}, {"text": 2.0, "image": 2.0}, {"text": 3.0, "image": 5.0}]
    told(tmp_path, [*[{"text": 5.0, "image": 5.0}] * 7, *last])
    assert end_loss(tmp_path, LAST) == pytest.approx(2.0 + 2 * 3.0)
    with pytest.raises(ValueError, match=r"tells of no loss in stage other"):
        end_loss(tmp_path, Stage("other", train=(), documents=1, mix={}))


@pytest.mark.parametrize("wrong", [{"rates": ()}, {"rates": (1.0, 0.0)}, {"scale": 0.0}, {"sweep": -1.0}])
def test_a_budget_is_positive(wrong):
    with pytest.raises(ValueError, match="compare: rates"):
        Budget(**wrong)
