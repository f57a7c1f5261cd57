"""Train: run a system through its stages, in a folder that can be watched, stopped and resumed."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tessera.data import Source, schedule
from tessera.stages import Learner, Stage
from tessera.system import System
from tessera.verbs.checkpoint import load_state, save_state
from tessera.verbs.loader import Loader
from tessera.verbs.machine import chosen_device, commit, fast_bfloat16, give_back_memory, keep_memory, machine, spent
from tessera.verbs.optimizing import Average, Optimizers, optimizer_for, thaw
from tessera.verbs.parts import Part, Parts, is_part
from tessera.verbs.progress import Progress
from tessera.verbs.recomputing import recomputed
from tessera.verbs.runs import Diary, start_diary
from tessera.verbs.stepping import Taken, TrainingStep
from tessera.verbs.weights import latest

Glance = Callable[[System, Path, str], Mapping[str, float]]
CHECK = 10  # steps between looks at the losses: each look waits for the device


@dataclass(frozen=True)
class Settings:
    """How to train, whatever the system.

    `scale` multiplies the documents of every stage, `rate` its learning rate; shared parts stay as they are. `precision` "bfloat16"
    is autocast; "auto" takes it where the machine multiplies it faster than float32. `optimizer` "muon" moves the matrices of trunks
    by Muon and all else by AdamW, "adamw" all by AdamW. `recompute` computes what happens inside blocks again on the way back, in
    place of keeping it (gradient checkpointing). That, `checkpoint_seconds` and `glances` (looks at the system per stage) do not
    change what is learned.
    """

    seed: int = 0
    scale: float = 1.0
    rate: float = 1.0
    device: str = "auto"
    precision: str = "auto"
    optimizer: str = "muon"
    compile: bool = False
    recompute: bool = False
    clip: float = 1.0
    checkpoint_seconds: float = 60.0
    glances: int = 6

    def __post_init__(self):
        if self.scale <= 0 or self.rate < 0 or self.clip <= 0:
            raise ValueError(
                f"train: scale {self.scale:g}, rate {self.rate:g}, clip {self.clip:g}; scale and clip above 0 and rates from 0 on are "
                "accepted; change the one outside"
            )
        if self.optimizer not in ("muon", "adamw"):
            raise ValueError(f"train: optimizer {self.optimizer!r}; muon and adamw are accepted; choose one")

    def resolved(self) -> "Settings":
        """With device and precision chosen for this machine."""
        device = chosen_device(self.device)
        precision = ("bfloat16" if fast_bfloat16(device) else "float32") if self.precision == "auto" else self.precision
        if precision not in ("bfloat16", "float32"):
            raise ValueError(f"train: precision {precision!r}; auto, bfloat16 and float32 are accepted; choose one")
        return replace(self, device=device, precision=precision)


class Stopped(Exception):
    """Somebody asked training to stop; a checkpoint has been written."""


@dataclass
class _Position:
    """Where a run stands: the stage, documents seen in it, steps taken in all, and seconds spent: by the clock, and by all cores.

    `begun` is what the clock said when the stage began.
    """

    stage: int = 0
    documents: int = 0
    steps: int = 0
    seconds: float = 0.0
    core_seconds: float = 0.0
    begun: float = 0.0


def train(
    system: System,
    source: Source,
    folder: Path | str,
    *,
    settings: Settings = Settings(),
    resume: bool = False,
    glance: Glance | None = None,
    notes: Mapping[str, Any] | None = None,
    parts: Parts | None = None,
) -> System:
    """Train a system in place, through all its stages, and return it.

    With `parts`, a stage that trains a part apart from the system (a codec, an eye) takes what somebody has trained already, or
    leaves what it trains for others.

    The folder receives run.json, metrics.jsonl, sample sheets of `glance` and checkpoints. With `resume`, training goes
    on from the folder's latest checkpoint, on a CPU bit for bit as if it had never stopped.
    Raises Stopped after Ctrl-C (a checkpoint is written first), and FloatingPointError where a loss is no number (the
    last good checkpoint stays).
    """
    settings, folder = settings.resolved(), Path(folder)
    system.to(settings.device)
    stages = [stage if parts and is_part(stage) else scaled(stage, settings) for stage in system.stages]
    for stage in stages:
        (stage.learner or system).to(settings.device)
        offered(source, stage)
    diary = start_diary(folder, system, asdict(settings), resume=resume, notes=notes)
    run = _Run(system, stages, source, diary, settings, glance, parts)
    tensors = run.restore() if resume else run.save({})
    if not resume:
        diary.sign()
    keep_memory()
    with run.progress, _interruptible(run), recomputed(system, when=settings.recompute):
        for number in range(run.at.stage, len(stages)):
            tensors = {} if run.took(number) else run.stage(number, tensors)
    system.eval()
    return system


def offered(source: Source, stage: Stage) -> None:
    """Raises ValueError, before anything is written, where a source offers nothing that a stage learns from."""
    try:
        schedule(source, stage.mix)
    except ValueError as error:
        raise ValueError(f"stage {stage.name}: {error}, or train other stages (--stage), or another mix (--mix)") from error


def scaled(stage: Stage, settings: Settings) -> Stage:
    """The stage as long and as fast as the settings say; it has one batch at least."""
    return replace(stage, documents=max(stage.batch, round(stage.documents * settings.scale)), lr=stage.lr * settings.rate)


class _Run:
    """One training run: what the stages share."""

    def __init__(
        self,
        system: System,
        stages: Sequence[Stage],
        source: Source,
        diary: Diary,
        settings: Settings,
        glance: Glance | None,
        parts: Parts | None,
    ):
        self.system, self.stages, self.source, self.diary = system, stages, source, diary
        self.settings, self.glance, self.parts = settings, glance, parts
        self.at, self.interrupted, self.saved = _Position(), False, time.monotonic()
        self.read: dict[str, int] = {}  # documents of each stage so far
        self.used: dict[str, dict[str, Any]] = {}  # parts that were trained apart, by stage, and what they cost
        self.progress = Progress(system.name)

    def restore(self) -> dict[str, Tensor]:
        """Go back to the latest checkpoint; returns the optimizer's tensors."""
        tensors, facts = load_state(latest(self.diary.folder), self.system)
        self.at, self.read, self.used = _Position(**facts["at"]), facts["documents"], facts["parts"]
        torch.set_rng_state(tensors.pop("rng"))
        if "cuda_rng" in tensors:
            torch.cuda.set_rng_state(tensors.pop("cuda_rng"), self.settings.device)
        self.diary.forget(self.at.steps)
        return tensors

    def took(self, number: int) -> bool:
        """Whether the stage's part was there already; then it is taken, and the run stands behind the stage."""
        stage, before = self.stages[number], self.stages[:number]
        found = self.parts.find(stage, before) if self.parts and is_part(stage) and not self.at.documents else None
        if found is None:
            return False
        self._take(stage, found)
        self.progress.say(f"{stage.name}: taken from {found.path}, trained on {found.facts['documents']:,} documents")
        self.at.stage = number + 1
        self.save({})
        return True

    def _take(self, stage: Stage, part: Part) -> None:
        assert stage.learner is not None
        part.put_into(stage.learner)
        self.used[stage.name] = {"part": part.name, "documents": part.facts["documents"], "seconds": part.facts["seconds"]}

    def stage(self, number: int, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One stage, from the document where the run stands; returns what the next one carries on of its optimizer."""
        system, settings, stage = self.system, self.settings, self.stages[number]
        if not tensors:  # else the random state goes on too
            torch.manual_seed(settings.seed + number)
        thaw(system, stage)
        optimizer = optimizer_for(system, stage, settings.optimizer, precision=settings.precision)
        learner = stage.learner or system
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        average = Average(trained, stage.average) if stage.average else None
        plan = schedule(self.source, stage.mix, settings.seed)
        loader = Loader(system, stage, self.source, plan, seed=settings.seed, number=number, first=self.at.documents)
        if settings.compile:
            system.trunk.compile(dynamic=True)
        step = TrainingStep(learner, stage, optimizer, trained, device=settings.device, precision=settings.precision, clip=settings.clip)
        if plan.note:
            self.progress.say(f"{stage.name}: {plan.note}")
        self.progress.begin(stage, self.at.documents, step.estimate(loader.prepare(0), stage.documents - self.at.documents))
        names, others = names_of(system, learner), not_in(system, learner)
        put_tensors(names, optimizer, average, tensors)
        for name, tensor in others.items():
            tensor.copy_(tensors.get(name, tensor))
        taken: list[Taken] = []
        begun, before = spent(), (self.at.seconds, self.at.core_seconds)
        glances = [round(stage.documents * (i + 1) / settings.glances) for i in range(settings.glances)]
        for documents, batch in loader:
            progress = self.at.documents / stage.documents
            taken.append(step(batch, progress, number=self.at.steps + 1))
            if average:
                average.follow()
            seen, self.at.documents, self.at.steps = self.at.documents, documents, self.at.steps + 1
            self.at.seconds, self.at.core_seconds = (b + now - then for b, now, then in zip(before, spent(), begun, strict=True))
            self.read[stage.name] = documents
            done, due = documents == stage.documents, any(seen < g <= documents for g in glances)
            if done or due or len(taken) == CHECK or self.interrupted:
                self._look(stage, taken, step)
                taken = []
            if self.interrupted or (not taken and time.monotonic() - self.saved > settings.checkpoint_seconds and not done):
                self.save({**get_tensors(names, optimizer, average), **others})
            if self.interrupted:
                raise Stopped(f"{system.name}: stopped in stage {stage.name} at document {documents}; go on with --resume")
            if self.glance and stage.learner is None and due:
                self._glance(self.glance, stage, documents)
        if average:
            average.finish()
        if self.parts and is_part(stage):
            cost = {"seconds": round(self.at.seconds - self.at.begun), "commit": commit(), "machine": machine()}
            self._take(stage, self.parts.keep(stage, self.stages[:number], cost))
        self.at.stage, self.at.documents, self.at.begun = number + 1, 0, self.at.seconds
        following = self.stages[number + 1 : number + 2]
        return self.save(get_tensors(names, optimizer, None) if following and following[0].carry else {})

    def _look(self, stage: Stage, taken: list[Taken], step: TrainingStep) -> None:
        """Read the losses and gradient norms since the last look, and stop where one is no number."""
        ports = list(taken[0].losses)
        columns = [*(f"loss of {port}" for port in ports), "norm of the gradient"]
        table = torch.stack([torch.stack([*(one.losses[port] for port in ports), one.norm]) for one in taken]).cpu()
        bad = (~table.isfinite()).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            raise FloatingPointError(
                f"{self.system.name}: the {columns[column]} is {table[row, column]:g} in stage {stage.name} at step {taken[row].number}; "
                f"finite numbers are accepted; the last good checkpoint is kept, try a lower rate than {stage.lr:g} or precision float32"
            )
        means = {}
        for i, port in enumerate(ports):
            counts = torch.tensor([one.counts[port] for one in taken])
            if counts.any():
                means[port] = float((table[:, i] * counts).sum() / counts.sum())
        entry = {
            "stage": stage.name,
            "step": self.at.steps,
            "documents": self.at.documents,
            "loss": means,
            "lr": step.lr,
            "grad_norm": float(table[-1, -1]),
        }
        self.diary.write({**entry, "seconds": round(self.at.seconds, 2)})
        self.progress.update(self.at.documents, means)

    def save(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint of where the run stands, with the optimizer's tensors, which it returns."""
        number, facts = self.at.stage * 10**9 + self.at.documents, {"at": asdict(self.at), "documents": self.read, "parts": self.used}
        states = {"rng": torch.get_rng_state()}
        if self.settings.device.startswith("cuda"):
            states["cuda_rng"] = torch.cuda.get_rng_state(self.settings.device)
        save_state(self.diary.folder, number, self.system, {**states, **tensors}, facts)
        give_back_memory()
        self.saved = time.monotonic()
        return tensors

    def _glance(self, glance: Glance, stage: Stage, documents: int) -> None:
        scores = dict(glance(self.system, self.diary.folder, f"{stage.name}-{documents:08d}"))
        self.diary.write({"stage": stage.name, "step": self.at.steps, "documents": documents, "scores": scores})
        self.progress.score(scores)


def names_of(system: System, learner: Learner) -> dict[Tensor, str]:
    """A name for every parameter, by which its optimizer's state is kept: stages need not train the same ones."""
    return {parameter: name for module in (learner, system) for name, parameter in module.named_parameters()}


def not_in(system: System, learner: Learner) -> dict[str, Tensor]:
    """What a learner has that the system has not (an encoder that only helps another to learn), by the name it is kept under."""
    known = {tensor.data_ptr() for tensor in system.state_dict().values()}
    return {f"learner.{name}": tensor for name, tensor in learner.state_dict().items() if tensor.data_ptr() not in known}


def get_tensors(names: Mapping[Tensor, str], optimizer: Optimizers, average: Average | None) -> dict[str, Tensor]:
    """All tensors that training needs besides the weights, by name."""
    tensors = {f"optimizer.{names[p]}.{key}": value for p, state in optimizer.state.items() for key, value in state.items()}
    if average:
        tensors |= {f"average.{names[p]}": shadow for p, shadow in zip(average.parameters, average.shadow, strict=True)}
    return tensors


def put_tensors(names: Mapping[Tensor, str], optimizer: Optimizers, average: Average | None, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of get_tensors. What the optimizer does not move is left out."""
    trained = {names[p]: p for group in optimizer.param_groups for p in group["params"]}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        parameter, _, key = rest.rpartition(".")
        if kind == "optimizer" and parameter in trained:
            optimizer.state[trained[parameter]][key] = value.to(trained[parameter].device)
    if average:
        for p, shadow in zip(average.parameters, average.shadow, strict=True):
            shadow.copy_(tensors.get(f"average.{names[p]}", shadow))


@contextmanager
def _interruptible(run: _Run) -> Iterator[None]:
    """Ctrl-C asks the run to stop behind the present step; a second one stops at once."""

    def ask(signum: int, frame: Any) -> None:
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True
        run.progress.say("stopping behind this step, with a checkpoint; Ctrl-C again stops at once")

    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
