"""LLaVA: what its stages train, and what its presets are."""

import pytest
import torch

from tessera.data import schedule
from tessera.document import Document, Image, Task, Text
from tessera.draws import Draw
from tessera.systems.llava import PRESETS, llava
from tessera.verbs.evaluate import Plan
from tessera.verbs.recipes import build
from tessera.vision import ViT


def test_the_projector_is_aligned_to_an_eye_that_stands_still_and_then_all_are_tuned():
    system = build("llava", preset="tiny")
    reader = system.by_name["image"].reader
    stages = {stage.name: stage for stage in system.stages}
    assert list(stages) == ["eye", "language", "align", "tuned"]
    moved = {name: {id(p) for m in stage.train for p in m.parameters()} for name, stage in stages.items()}
    seeing = {id(p) for p in reader.eye.parameters()}
    assert seeing <= moved["eye"] and not any(seeing & moved[name] for name in ("language", "align"))
    assert moved["align"] == {id(p) for p in reader.projector.parameters()}
    everything = {id(p) for p in system.parameters()}
    assert moved["tuned"] == everything


def test_the_paper_preset_has_clips_eye_at_its_last_layer_but_one():
    with torch.device("meta"):
        system = llava(**PRESETS["paper"])
    eye = system.by_name["image"].reader.eye
    assert isinstance(eye, ViT) and len(eye.blocks) == 23 and eye.elements == 576 and eye.class_token is not None
    assert eye.blocks[0].mlp.inner.up.out_features == 4096 and system.trunk.blocks[0].mlp.inner.down.in_features == 11008


def test_it_reads_and_says_and_draws_nothing():
    system = build("llava", preset="tiny")
    assert not system.draws and build("janus", preset="tiny").draws
    assert set(Plan().within(system).cases) == set(Plan().cases) - {"drawing", "likeness"}
    picture = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    losses = system.losses([Document((Image(picture), Text("what is it?"), Text("a dot", learn=True)))], [Draw(0)])
    assert list(losses) == ["text"] and losses["text"][1] > 0


@pytest.mark.parametrize("tasks", [{Task.CAPTION, Task.DRAW}, {Task.QUESTION}], ids=["pairs", "questions"])
@pytest.mark.parametrize("name", ["llava", "janus"])
def test_every_stage_finds_something_to_learn_in_data_of_ones_own(name, tasks):
    class Own:
        def __init__(self):
            self.tasks = tasks

        def document(self, task, index):
            raise NotImplementedError

    for stage in build(name, preset="tiny").stages:
        assert set(schedule(Own(), stage.mix).shares) <= tasks
