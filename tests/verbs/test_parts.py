"""Parts are trained once, whoever asks, and filled in bit for bit the same from then on."""

import dataclasses
import signal

import pytest
import torch
from torch import nn

from tessera.codecs import FSQ, Autoencoder
from tessera.document import Document, Image, Task
from tessera.stages import Stage
from tessera.verbs.parts import SHIPPED, Parts, is_part, key
from tessera.verbs.recipes import build, names
from tessera.verbs.stepping import TrainingStep
from tessera.verbs.train import Settings, Stopped, train
from tessera.world import World

MIX = {Task.DRAW: 1.0}
FAST = Settings(device="cpu", precision="float32", glances=0)


class Pictures:
    """Random pictures."""

    tasks = frozenset((Task.DRAW,))
    asked = 0

    def document(self, task, index):
        self.asked += 1
        picture = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))
        return Document((Image(picture, learn=True),), task=task)


def codec(**changes) -> Autoencoder:
    return Autoencoder(**{"quantizer": FSQ((3, 3)), "pixels": 8, "stride": 4, "channels": 8, **changes})


def stage(learner, **changes) -> Stage:
    return Stage(**{"name": "codec", "learner": learner, "train": (learner,), "documents": 16, "mix": MIX, "batch": 8, **changes})


@pytest.fixture
def parts():
    return Parts("some world")


def trained(tiny, parts, tmp_path, number, source, seed=0):
    system = tiny()
    system.stages = tuple(dataclasses.replace(s, documents=64) for s in system.stages if s.learner is not None)
    return train(system, source, tmp_path / f"run{number}", settings=dataclasses.replace(FAST, scale=0.5, seed=seed), parts=parts)


def codec_of(system):
    return system.by_name["image"].codec.codec.state_dict()


def test_a_part_is_trained_once_and_then_taken_whoever_asks(tiny, parts, tmp_path):
    first, second = Pictures(), Pictures()
    one = trained(tiny, parts, tmp_path, 1, first)
    other = trained(tiny, parts, tmp_path, 2, second, seed=7)
    assert first.asked > 0 and second.asked == 0
    for name, tensor in codec_of(one).items():
        assert torch.equal(tensor, codec_of(other)[name])


def test_a_run_says_which_parts_it_took_and_what_they_cost(tiny, parts, tmp_path):
    from tessera.verbs.runs import training_facts
    from tessera.verbs.weights import latest

    for number in (1, 2):
        trained(tiny, parts, tmp_path, number, Pictures())
        folder = tmp_path / f"run{number}"
        told = training_facts(folder, latest(folder))["parts"]["codec"]
        assert told["part"].startswith("codec-") and told["documents"] == 64 and told["seconds"] >= 0


def test_what_a_part_cost_counts_from_where_its_stage_began_stopped_or_not(tiny, parts, tmp_path, monkeypatch):
    """A stop behind the last step of the stage leaves nothing of it to a session of its own."""
    clock, take = iter(range(0, 10_000, 10)), TrainingStep.__call__
    monkeypatch.setattr("tessera.verbs.train.spent", lambda: (float(next(clock)), 0.0))

    def take_and_stop(self, *args, number):
        taken = take(self, *args, number=number)
        signal.raise_signal(signal.SIGINT)
        return taken

    system = tiny()
    system.stages = tuple(dataclasses.replace(s, documents=16, batch=16) for s in system.stages if s.learner is not None)
    with monkeypatch.context() as stopped, pytest.raises(Stopped):
        stopped.setattr(TrainingStep, "__call__", take_and_stop)
        train(system, Pictures(), tmp_path / "run", settings=FAST, parts=parts)
    train(system, Pictures(), tmp_path / "run", settings=FAST, parts=parts, resume=True)
    assert parts.find(system.stages[0]).facts["seconds"] == 10


def test_without_parts_nothing_is_kept(tiny, parts, tmp_path):
    trained(tiny, None, tmp_path, 1, Pictures())
    assert not (tmp_path / "cache").exists()


def test_what_makes_another_part_has_another_name(parts):
    usual = parts.name(stage(codec()))
    assert usual == parts.name(stage(codec())), "initial weights do not count"
    others = [
        parts.name(stage(codec(), documents=17)),
        parts.name(stage(codec(), lr=0.5)),
        parts.name(stage(codec(noise=0.3))),
        parts.name(stage(codec(quantizer=FSQ((9,))))),
        parts.name(stage(codec(quantizer=FSQ((9, 1))))),
        parts.name(stage(codec(channels=16))),
        Parts("another world").name(stage(codec())),
    ]
    assert len({usual, *others}) == 1 + len(others)


def test_what_was_trained_inside_a_part_before_it_counts_and_what_was_not_does_not():
    inner, other = codec(), codec()

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.own = inner, nn.Linear(2, 2)

        def arrange(self, documents, draws):
            raise NotImplementedError

        losses_of = arrange

    outer = stage(Outer(), name="outer")
    alone = key(outer, [], "world")
    assert key(outer, [stage(other)], "world") == alone
    behind = key(outer, [stage(inner)], "world")
    assert behind != alone
    assert key(outer, [stage(inner, documents=99)], "world") != behind


def test_parts_that_come_with_the_library_are_those_that_recipes_ask_for():
    """A module that remembers something new has another name, and nobody would find what it learned."""
    parts, asked = Parts(World.easy().hash()), set()
    for name in names():
        stages = build(name).stages
        asked |= {parts.name(stage, stages[:i]) for i, stage in enumerate(stages) if is_part(stage)}
    assert {file.stem for file in SHIPPED.glob("*.safetensors")} <= asked
