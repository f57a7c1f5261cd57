"""Training moves what it says, in the right direction, and what it made is kept bit by bit."""

import signal
from dataclasses import replace

import torch
from properties.harness import Case, blanks, documents, write
from torch import Tensor, nn

from tessera.document import Document, Task
from tessera.draws import Draw
from tessera.stages import Stage
from tessera.system import System
from tessera.verbs.optimizing import optimizer_for, thaw
from tessera.verbs.stepping import TrainingStep
from tessera.verbs.train import Settings, Stopped, train
from tessera.verbs.weights import load, save

STEPS = 6


def tensors(system: System, stage: Stage) -> dict[str, Tensor]:
    """Every parameter and buffer of the system and of the stage's learner."""
    found = {}
    for top in (system, stage.learner or system):
        found |= {f"{type(top).__name__}.{name}": tensor for name, tensor in (*top.named_parameters(), *top.named_buffers())}
    return found


def batch(system: System, stage: Stage):
    """The same documents with the same draws."""
    some = documents(system)
    return (stage.learner or system).arrange(some, [Draw(5, i) for i in range(len(some))])


def step(system: System, stage: Stage, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """One step on the one batch; returns the mean loss of each port."""
    losses = (stage.learner or system).losses_of(batch(system, stage))
    means = {port: total / max(count, 1) for port, (total, count) in losses.items()}
    optimizer.zero_grad()
    sum(means.values()).backward()
    optimizer.step()
    return {port: float(mean.detach()) for port, mean in means.items()}


def test_each_stage_moves_exactly_what_it_says(case: Case):
    system = case.fresh()
    for stage in system.stages:
        thaw(system, stage)
        system.zero_grad()
        before = {name: tensor.detach().clone() for name, tensor in tensors(system, stage).items()}
        step(system, stage, optimizer_for(system, stage))
        said = {tensor for module in stage.train for tensor in (*module.parameters(), *module.buffers())}
        for name, tensor in tensors(system, stage).items():
            moved = not torch.equal(tensor, before[name])
            assert not moved or tensor in said, f"{stage.name} moves {name}"
            assert moved or not (tensor in said and isinstance(tensor, nn.Parameter)), f"{stage.name} leaves {name}"
            assert not isinstance(tensor, nn.Parameter) or (tensor in said) == (tensor.grad is not None and bool(tensor.grad.any())), name


def test_arranging_moves_nothing(case: Case):
    """What is done ahead of time, beside the step, must leave even trained parts as they are."""
    system = case.fresh()
    for stage in system.stages:
        thaw(system, stage)
        before = {name: tensor.detach().clone() for name, tensor in tensors(system, stage).items()}
        with torch.no_grad():
            batch(system, stage)
            system.train().arrange(documents(system), [Draw(5)] * len(documents(system)))
        assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(system, stage).items())


def test_every_loss_falls(case: Case):
    system = case.fresh()
    for stage in system.stages:
        thaw(system, stage)
        optimizer = optimizer_for(system, stage)
        history = [step(system, stage, optimizer) for _ in range(STEPS)]
        first, last = history[0], history[-1]
        assert sum(last.values()) < sum(first.values())
        trained = {p for module in stage.train for p in module.parameters()}
        heads = {port.name: port.writer for port in system.ports if port.writes} | {extra.name: extra.head for extra in system.extras}
        for name in first if stage.learner is None else ():
            if any(p in trained for p in heads[name].parameters()):
                assert last[name] < first[name], (stage.name, name)


def test_every_stage_learns_in_half_precision(case: Case):
    """As on a GPU, and on processors that know bfloat16: losses come back in float32, and what learns gets gradients that are numbers."""
    torch.set_default_dtype(torch.float32)
    system = case.fresh()
    for stage in system.stages:
        thaw(system, stage)
        system.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            losses = (stage.learner or system).losses_of(batch(system, stage))
        assert all(total.dtype == torch.float32 for total, _ in losses.values()), {name: total.dtype for name, (total, _) in losses.items()}
        sum(total for total, _ in losses.values()).backward()
        learned = [parameter.grad for module in stage.train for parameter in module.parameters()]
        assert all(grad is not None and grad.isfinite().all() for grad in learned)


def test_saved_and_loaded_bit_by_bit(case: Case, tmp_path):
    system = case.fresh()
    save(system, tmp_path / "weights.safetensors")
    loaded = load(tmp_path / "weights.safetensors")
    ours, theirs = system.state_dict(), loaded.state_dict()
    assert list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)
    shared = lambda state: {(a, b) for a in state for b in state if state[a].data_ptr() == state[b].data_ptr()}
    assert shared(ours) == shared(theirs)
    some = blanks(system)[::2]
    for one, other in zip(write(system, some, guidance=2.0), write(loaded, some, guidance=2.0), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.clean, other.clean, strict=True))


class Given:
    """A system's own documents again and again, whatever task they are asked for."""

    tasks = frozenset(Task)

    def __init__(self, system: System):
        self.some = documents(system)

    def document(self, task: Task, index: int) -> Document:
        return self.some[index % len(self.some)]


def learned(case: Case, folder, *, resume: bool = False) -> System:
    """A new system behind all its stages, two steps of two documents each, or as far as it comes."""
    system, settings = case.fresh(), Settings(device="cpu", precision="float32", glances=0)
    system.stages = tuple(replace(stage, documents=4, batch=2) for stage in system.stages)
    return train(system, Given(system), folder, settings=settings, resume=resume)


def test_stopped_and_resumed_in_all_stages_it_becomes_what_it_had_become(case: Case, tmp_path, monkeypatch):
    """Behind the first step of one stage, the last of the next, and so on."""
    whole, stops = learned(case, tmp_path / "whole").state_dict(), 0
    take, stopping = TrainingStep.__call__, lambda number: number % 4 in (0, 1)

    def take_and_stop(self, *args, number):
        taken = take(self, *args, number=number)
        if stopping(number):
            signal.raise_signal(signal.SIGINT)
        return taken

    monkeypatch.setattr(TrainingStep, "__call__", take_and_stop)
    while True:
        try:
            system = learned(case, tmp_path / "parts", resume=stops > 0)
            break
        except Stopped:
            stops += 1
    assert stops == sum(map(stopping, range(1, 2 * len(system.stages) + 1)))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in system.state_dict().items())
