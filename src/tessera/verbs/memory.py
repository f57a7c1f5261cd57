"""Memory: what training would hold, found by a dry run in which nothing has any."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tessera.codecs.base import PictureCodec
from tessera.data import Mannered, Source, schedule
from tessera.document import Document, Image, Segment, Task, Text
from tessera.draws import Draw
from tessera.dryrun import dry
from tessera.stages import Learner, Stage
from tessera.system import System
from tessera.verbs.loader import Loader
from tessera.verbs.optimizing import thaw
from tessera.verbs.recomputing import recomputed

MOMENTS = 2  # that AdamW keeps of every trained number
IDS = 64  # of a text, where no documents are given


@dataclass(frozen=True)
class Step:
    """The most bytes that a pass forward and back holds besides weights: without gradients of weights, and with them."""

    activations: int
    all: int


@dataclass(frozen=True)
class Memory:
    """Bytes: of weights, of gradients, of the optimizer's moments; what a step holds, as it is and under gradient checkpointing.

    `encoding` is what codecs take while they make the next batch ready.
    """

    weights: int
    gradients: int
    optimizer: int
    plain: Step
    recomputed: Step
    encoding: int

    def total(self, step: Step) -> int:
        """The most that is there at once."""
        return self.weights + self.optimizer + self.encoding + step.all


def memory_of(system: System, stage: Stage, source: Source | None = None, *, seed: int = 0) -> Memory:
    """What a stage takes, by its first batch; without a source that is made of typical documents.

    The system is on `meta`; nothing of it moves. Attention is taken to keep no scores, and everything to be computed in the precision of
    the weights.
    """
    source = source or Mannered(Typical(system), system.manners) if system.manners else source or Typical(system)
    learner = stage.learner or system
    modules = [module for module in (system, stage.learner) if isinstance(module, nn.Module)]
    thaw(system, stage)
    loader = Loader(system, stage, source, schedule(source, stage.mix, seed), seed=seed, number=0)
    with dry(*modules) as ready:
        batch = loader.prepare(0)
    plain = _step(modules, learner, batch)
    with recomputed(*modules):
        again = _step(modules, learner, batch)
    trained = sum(map(nbytes, {p for module in stage.train for p in module.parameters()}))
    weights = sum(map(nbytes, {tensor for module in modules for tensor in (*module.parameters(), *module.buffers())}))
    return Memory(weights, trained, MOMENTS * trained, plain, again, ready.peak())


def _step(modules: Sequence[nn.Module], learner: Learner, batch: Any) -> Step:
    with dry(*modules) as ledger:
        losses = learner.losses_of(batch)
        torch.autograd.backward(torch.stack([total for total, _ in losses.values()]).sum())
        gradients = {ledger.number(p.grad) for module in modules for p in module.parameters() if p.grad is not None}
        found = Step(ledger.peak(without=gradients), ledger.peak())
    for module in modules:
        module.zero_grad(set_to_none=True)
    return found


def nbytes(tensor: Tensor) -> int:
    """What a tensor's numbers take."""
    return tensor.numel() * tensor.element_size()


class Typical:
    """Documents as a system reads and writes them, with texts of 64 ids, for who has none at hand."""

    def __init__(self, system: System):
        self.system = system
        each = len(system.text.codec.encode(["word " * IDS], [Draw(0)]).clean[0]) / IDS
        self.words = "word " * max(1, round(IDS / each))

    @property
    def tasks(self) -> Collection[Task]:
        return [Task.TEXT, *([Task.QUESTION] if self.system.looks else []), *([Task.DRAW] if self.system.draws else [])]

    def document(self, task: Task, index: int) -> Document:
        """One of this task: the same as any other."""
        said, answer = Text(self.words), Text(self.words, learn=True)
        segments: dict[Task, tuple[Segment, ...]] = {Task.TEXT: (said, answer)}
        if task is Task.QUESTION:
            segments[task] = (self._picture(), said, answer)
        if task is Task.DRAW:
            segments[task] = (said, self._picture(learn=True))
        return Document(segments[task], task=task)

    def _picture(self, *, learn: bool = False) -> Image:
        codec = self.system.port(Image(learn=learn)).codec
        assert isinstance(codec, PictureCodec)
        return Image(torch.zeros(3, codec.pixels, codec.pixels, dtype=torch.uint8), learn)
