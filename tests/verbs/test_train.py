"""Training that is stopped, killed, resumed and refused. Run as a script, this file trains until its source kills it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from tessera.codecs import VQ
from tessera.document import Document, Image, Task, Text
from tessera.draws import Draw
from tessera.stages import Stage
from tessera.system import System
from tessera.systems.chameleon import chameleon
from tessera.verbs.checkpoint import load_state
from tessera.verbs.optimizing import optimizer_for, thaw
from tessera.verbs.recipes import build
from tessera.verbs.stepping import TrainingStep
from tessera.verbs.train import Settings, Stopped, train
from tessera.verbs.weights import latest
from tessera.world import World

FAST = Settings(device="cpu", precision="float32", checkpoint_seconds=0.0, glances=0)
CODEC, JOINT, MORE = 12, 30, 6  # steps of each stage
KILLED = 4 + 48 + 2 + 52  # call of the source, estimates included, with which the script ends: deep inside the second stage


class Pictures:
    """Eight random pictures to draw and to describe. Call number `at` does something else first."""

    tasks = frozenset((Task.DRAW, Task.CAPTION))

    def __init__(self, at: int = 0, act=None):
        self.pictures = torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
        self.at, self.act, self.calls = at, act, 0

    def document(self, task, index):
        self.calls += 1
        if self.calls == self.at:
            self.act()
        picture, text = self.pictures[index % 8], f"picture {index % 8}"
        if task is Task.DRAW:
            return Document((Text(text), Image(picture, learn=True)), task=task)
        return Document((Image(picture), Text(text, learn=True)), task=task)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def small(*stages: str) -> System:
    """A system with all that a run must keep: moving buffers, dropout, averaged weights, a carried optimizer."""
    torch.manual_seed(1)
    system = chameleon(width=16, depth=1, heads=2, levels=(3, 3), channels=8, pixels=8, stride=4)
    codec = system.by_name["image"].codec.codec
    codec.quantizer = VQ(size=9, features=2, patience=3)
    system.trunk.blocks[0].attention.dropout.p = 0.1
    head, table = system.text.writer, system.text.reader.table
    drawing, both = {Task.DRAW: 1.0}, {Task.DRAW: 0.5, Task.CAPTION: 0.5}
    there = {
        "codec": Stage("codec", learner=codec, train=(codec,), documents=4 * CODEC, mix=drawing, batch=4),
        "joint": Stage("joint", train=(system.trunk, head, table), documents=2 * JOINT, mix=both, batch=2, average=0.9),
        "more": Stage("more", train=(head, system.trunk), documents=4 * MORE, mix=both, batch=4, carry=True),
    }
    system.stages = tuple(there[name] for name in stages or there)
    return system


def same(one: System, other: System) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def diary(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that never stopped: its system and folder."""
    folder = tmp_path_factory.mktemp("whole")
    return train(small(), Pictures(), folder, settings=FAST), folder


def test_a_run_writes_down_what_happened(whole):
    system, folder = whole
    entries = diary(folder)
    assert [(e["stage"], e["step"]) for e in entries[:3]] == [("codec", 10), ("codec", 12), ("joint", 22)]
    assert entries[-1]["step"] == CODEC + JOINT + MORE and set(entries[-1]["loss"]) == {"text", "image"}
    assert set(entries[0]["loss"]) == {"pixels", "commitment"} and entries[0]["lr"] > 0 and entries[0]["grad_norm"] > 0
    about = json.loads((folder / "run.json").read_text())
    assert about["system"] == "chameleon" and about["settings"]["seed"] == 0 and about["versions"]["torch"] == torch.__version__
    assert not any(part.training for part in system.modules())
    assert same(small_from(folder), system)


def small_from(folder: Path) -> System:
    system = small()
    load_state(latest(folder), system)
    return system


def test_killed_stopped_and_resumed_is_as_never_having_stopped(whole, tmp_path):
    child = subprocess.run([sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert latest(tmp_path).name == "000001000000040"  # the last tenth step before the kill
    with pytest.raises(Stopped, match=r"chameleon: stopped in stage joint at document 5.; go on with --resume"):
        train(small(), Pictures(2 + 14, interrupt), tmp_path, settings=FAST, resume=True)
    with pytest.raises(Stopped, match="stopped in stage more"):
        train(small(), Pictures(2 + 10 + 4 + 10, interrupt), tmp_path, settings=FAST, resume=True)
    moments = load_file(latest(tmp_path) / "state.safetensors")
    taken = int(latest(tmp_path).name[-3:]) // 4
    assert 0 < taken < MORE and moments["optimizer.by_name.text.reader.table.weight.step"] == JOINT + taken
    resumed = train(small(), Pictures(), tmp_path, settings=FAST, resume=True)
    assert same(resumed, whole[0])
    last, whole_last = diary(tmp_path)[-1], diary(whole[1])[-1]
    assert all(last[key] == whole_last[key] for key in ("stage", "step", "documents", "lr", "grad_norm"))
    assert same(train(small(), Pictures(), tmp_path, settings=FAST, resume=True), resumed)  # nothing is left to do


def test_a_run_can_be_resumed_from_its_very_beginning(whole, tmp_path):
    with pytest.raises(OSError, match="at once"):
        train(small(), Pictures(1, _fail), tmp_path, settings=FAST)
    torch.manual_seed(77)  # whatever the system is when it comes back
    other = small()
    torch.nn.init.normal_(other.text.writer.out.weight)
    assert same(train(other, Pictures(), tmp_path, settings=FAST, resume=True), whole[0])


def _fail() -> None:
    raise OSError("at once")


def test_a_stop_behind_the_last_step_of_a_stage_is_no_end(tmp_path):
    def shortened():
        system = small("codec", "joint")
        system.stages = tuple(replace(stage, documents=stage.batch) for stage in system.stages)
        return system

    with pytest.raises(Stopped, match="stopped in stage codec at document 4"):
        train(shortened(), Pictures(4 + 1, interrupt), tmp_path / "a", settings=FAST)
    resumed = train(shortened(), Pictures(), tmp_path / "a", settings=FAST, resume=True)
    assert same(resumed, train(shortened(), Pictures(), tmp_path / "b", settings=FAST))


def test_a_second_interrupt_stops_at_once(tmp_path):
    system, before = small("joint"), signal.getsignal(signal.SIGINT)
    system.trunk.register_forward_hook(lambda *_: [signal.raise_signal(signal.SIGINT) for _ in range(2)] and None)
    with pytest.raises(KeyboardInterrupt):
        train(system, Pictures(), tmp_path, settings=FAST)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_optimizer_is_carried_only_where_a_stage_asks_for_it(tmp_path):
    def trained(carry: bool) -> System:
        system = small("joint", "more")
        system.stages = (system.stages[0], replace(system.stages[1], carry=carry))
        return train(system, Pictures(), tmp_path / str(carry), settings=FAST)

    assert not same(trained(True), trained(False))


def test_a_loss_that_is_no_number_is_named_and_the_last_good_checkpoint_stays(tmp_path):
    system, passes = small("joint"), []
    # two passes go to the estimate; the thirteenth step is the first bad one
    system.trunk.register_forward_hook(
        lambda module, inputs, output: passes.append(0) or (output * torch.nan if len(passes) > 2 + 12 else output)
    )
    with pytest.raises(
        FloatingPointError, match=r"chameleon: the loss of image is nan in stage joint at step 13; .* lower rate than 0.001 or precision"
    ):
        train(system, Pictures(), tmp_path, settings=FAST)
    assert latest(tmp_path).name.endswith("20") and len(diary(tmp_path)) == 1
    assert all(tensor.isfinite().all() for tensor in small_from(tmp_path).state_dict().values())


def test_a_folder_is_used_once_and_resumed_with_the_same_settings(tmp_path):
    system = small("codec")
    system.stages, system.origin = (), {"recipe": "chameleon", "arguments": {"width": 16}}
    with pytest.raises(ValueError, match=r"train: --resume in .*, where no run.json is; the folder of a run is accepted"):
        train(system, Pictures(), tmp_path / "run", settings=FAST, resume=True)
    train(system, Pictures(), tmp_path / "run", settings=FAST)
    with pytest.raises(
        ValueError, match=r"train: .*run holds a run already; a new folder is accepted; add --resume to go on, or choose another"
    ):
        train(system, Pictures(), tmp_path / "run", settings=FAST)
    with pytest.raises(ValueError, match=r"with other settings than it began with; it began with .*'seed': 0"):
        train(system, Pictures(), tmp_path / "run", settings=replace(FAST, seed=1), resume=True)
    system.origin = {"recipe": "chameleon", "arguments": {"width": 32}}
    with pytest.raises(ValueError, match=r"with other arguments than it began with; it began with .*'width': 16"):
        train(system, Pictures(), tmp_path / "run", settings=FAST, resume=True)


def test_a_run_that_is_killed_before_its_first_checkpoint_is_begun_anew(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as during, pytest.raises(KeyboardInterrupt):
        during.setattr("tessera.verbs.train.save_state", killed)
        train(small("joint"), Pictures(), tmp_path, settings=replace(FAST, scale=0.1))
    assert not (tmp_path / "run.json").exists()
    train(small("joint"), Pictures(), tmp_path, settings=replace(FAST, scale=0.1))
    assert (tmp_path / "run.json").exists()


def test_settings_scale_stages_and_name_what_is_accepted(tmp_path):
    train(small("joint"), Pictures(), tmp_path, settings=replace(FAST, scale=0.1))
    assert diary(tmp_path)[-1]["documents"] == 6
    with pytest.raises(ValueError, match="train: precision 'float16'; auto, bfloat16 and float32 are accepted"):
        train(small("joint"), Pictures(), tmp_path / "half", settings=replace(FAST, precision="float16"))


def test_seeds_change_what_is_learned_and_nothing_else_does(whole, tmp_path):
    other = train(small(), Pictures(), tmp_path / "a", settings=replace(FAST, seed=1))
    assert not same(other, whole[0])
    assert same(train(small(), Pictures(), tmp_path / "b", settings=replace(FAST, checkpoint_seconds=99.0)), whole[0])


def test_glances_come_evenly_and_are_written_down(tmp_path):
    seen = []
    glance = lambda system, folder, name: seen.append(name) or {"score": 0.5}
    train(small("codec", "joint"), Pictures(), tmp_path, settings=replace(FAST, glances=3), glance=glance)
    assert seen == ["joint-00000020", "joint-00000040", "joint-00000060"]  # none while a codec learns
    assert [entry["documents"] for entry in diary(tmp_path) if "scores" in entry] == [20, 40, 60]


def test_losses_are_weighted_by_port():
    system = small("joint").eval()
    documents = [Pictures().document(task, i) for i, task in enumerate(Task.DRAW for _ in range(3))] + [
        Pictures().document(Task.CAPTION, 5)
    ]
    batch = system.arrange(documents, [Draw(0, i) for i in range(4)])
    stage = replace(system.stages[0], weights={"image": 5.0})
    gradients = []
    for how in (stage, None):
        system.zero_grad()
        if how:
            TrainingStep(system, how, optimizer_for(system, how), [], device="cpu", precision="float32", clip=1.0).backward(batch)
        else:
            (text, words), (image, codes) = system.losses_of(batch).values()
            (text / words + 5 * image / codes).backward()
        gradients.append([p.grad.clone() for p in system.trunk.parameters()])
    for mine, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, expected)


def test_a_batch_of_which_a_stage_learns_nothing_moves_nothing():
    system = build("janus", preset="tiny")
    (adaptors,) = (stage for stage in system.stages if stage.name == "adaptors")
    thaw(system, adaptors)
    optimizer = optimizer_for(system, adaptors)
    step = TrainingStep(system, adaptors, optimizer, list(system.parameters()), device="cpu", precision="float32", clip=1.0)
    before = [parameter.clone() for parameter in system.parameters()]
    taken = step(system.arrange([World.easy().document(Task.TEXT, 0)], [Draw(0)]), 0.5, number=1)
    assert taken.counts["text"] and taken.losses["text"] > 0 and taken.norm == 0
    assert all(map(torch.equal, before, system.parameters()))


def test_weights_of_unknown_ports_are_refused(tmp_path):
    system = small("joint")
    system.stages = (replace(system.stages[0], weights={"sound": 2.0}),)
    with pytest.raises(ValueError, match="stage joint: weights for sound; there are losses of text, image; name one of these"):
        train(system, Pictures(), tmp_path, settings=FAST)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(small(), Pictures(KILLED, lambda: os.kill(os.getpid(), signal.SIGKILL)), Path(sys.argv[1]), settings=FAST)


def test_a_stage_that_has_nothing_to_carry_on_is_seeded(tmp_path):
    """Or dropout would depend on what ran before in the process."""
    found = []
    for before in (1, 2):
        system = small("joint")
        system.stages = (replace(system.stages[0], carry=True, documents=16),)
        system.trunk.blocks[0].attention.register_forward_hook(lambda module, given, said: F.dropout(said, 0.5))
        torch.manual_seed(before)
        train(system, Pictures(), tmp_path / str(before), settings=FAST)
        found.append(system.state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_stage_that_nothing_is_offered_for_is_named_before_anything_is_written(tmp_path):
    system = small("joint")
    system.stages = (*system.stages, replace(system.stages[0], name="edits", mix={Task.EDIT: 1.0}))
    with pytest.raises(ValueError, match=r"stage edits: schedule: the mix asks for edit; the source offers .*, or train other stages"):
        train(system, Pictures(), tmp_path / "run", settings=FAST)
    assert not (tmp_path / "run").exists()
