"""Memory that is told beforehand, beside what a process really takes. Run as a script, this file takes it, and says how much."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tessera.data import schedule
from tessera.document import Document, Image, Task, Text
from tessera.verbs.loader import Loader
from tessera.verbs.memory import Typical, memory_of
from tessera.verbs.optimizing import thaw
from tessera.verbs.recipes import build
from tessera.verbs.recomputing import recomputed
from tessera.weightless import weightless

SIZES = {"width": 160, "depth": 4, "heads": 4}
PICTURE = torch.zeros(3, 32, 32, dtype=torch.uint8)


class Same:
    """The same documents again and again."""

    tasks = (Task.DRAW, Task.CAPTION)

    def document(self, task, index):
        words = Text("a red circle and " * 8, learn=task is Task.CAPTION)
        return Document((words, Image(PICTURE, learn=True)) if task is Task.DRAW else (Image(PICTURE), words), task=task)


def stage_of(system):
    return replace(system.stages[-1], batch=16)


def status(line):
    return 1024 * int(next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(line)).split()[1])


def step(system, batch, again):
    with recomputed(system, when=again):
        losses = system.losses_of(batch)
        sum(total for total, _ in losses.values()).backward()
    del losses
    system.zero_grad(set_to_none=True)


def measured():
    """The most bytes of a step, as it is and under checkpointing."""
    system = build("transfusion", arguments=SIZES)
    stage = stage_of(system)
    thaw(system, stage)
    batch = Loader(system, stage, Same(), schedule(Same(), stage.mix), seed=0, number=0).prepare(0)
    for again in (False, True):
        step(system, batch, again)  # what is imported and set up at the first time
        Path("/proc/self/clear_refs").write_text("5")
        before = status("VmRSS")
        step(system, batch, again)
        print(status("VmHWM") - before)


QUICK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}  # what is freed is given back


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")
def test_a_step_takes_what_was_said_with_and_without_checkpointing():
    """Kernels work in some memory of their own, a few MB here."""
    env = {**QUICK, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    plain, again = map(int, done.stdout.split())
    with weightless():
        system = build("transfusion", arguments=SIZES)
    said = memory_of(system, stage_of(system), Same())
    assert 0.97 < said.plain.all / plain < 1.03 and 0.97 < said.recomputed.all / again < 1.03
    assert again < 0.5 * plain


def outline(name, **arguments):
    with weightless():
        return build(name, preset="tiny", arguments=arguments)


def test_weights_gradients_and_moments_are_counted():
    system = outline("llava")
    stage = next(stage for stage in system.stages if stage.name == "language")  # the eye stands still
    found = memory_of(system, stage)
    trained = {parameter for module in stage.train for parameter in module.parameters()}
    assert found.gradients == 4 * sum(p.numel() for p in trained) and found.optimizer == 2 * found.gradients
    assert found.weights >= 4 * sum(p.numel() for p in system.parameters()) > found.gradients
    assert found.recomputed.activations < found.plain.activations <= found.plain.all < found.plain.activations + found.gradients
    assert found.total(found.plain) == found.weights + found.optimizer + found.encoding + found.plain.all
    assert all(parameter.is_meta and parameter.grad is None for parameter in system.parameters())


@pytest.mark.parametrize("name", ["janusflow", "lmfusion", "omnimamba", "unified_io_2", "orthus"])
def test_every_kind_of_trunk_law_and_order_runs_dry(name):
    system = outline(name)
    found = memory_of(system, system.stages[-1])
    assert 0 < found.recomputed.activations < found.plain.activations and found.encoding > 0


def test_larger_batches_take_as_much_more():
    def found(batch):
        system = outline("transfusion")
        return memory_of(system, replace(system.stages[-1], batch=batch)).plain.activations

    assert 1.6 < found(32) / found(16) < 2.4


def test_typical_documents_are_those_that_a_system_reads_and_writes():
    system = outline("janus")
    source = Typical(system)
    assert set(source.tasks) == {Task.TEXT, Task.QUESTION, Task.DRAW}
    for task in source.tasks:
        document = source.document(task, 0)
        assert document.task is task and 60 <= len(system.text.codec.encode(document.texts[:1], []).clean[0]) <= 68
    drawn, asked = source.document(Task.DRAW, 0), source.document(Task.QUESTION, 0)
    assert [type(s) for s in drawn] == [Text, Image] and drawn[1].learn and [type(s) for s in asked] == [Image, Text, Text]
    assert isinstance(asked, Document) and Typical(outline("llava")).tasks == [Task.TEXT, Task.QUESTION]
    assert torch.equal(drawn.pictures[0], torch.zeros(3, 32, 32, dtype=torch.uint8))


if __name__ == "__main__":
    measured()
