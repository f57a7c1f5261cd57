"""One training step: losses, their weighted mean, its gradient, clipped, and the optimizer's move."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tessera.codecs.base import Losses
from tessera.stages import Learner, Stage
from tessera.verbs.estimate import Estimate
from tessera.verbs.machine import finished
from tessera.verbs.optimizing import Optimizers, set_rate


@dataclass(frozen=True)
class Taken:
    """What a step tells: its number, the mean loss of every port (on the device), how much it counts, and the gradient's norm."""

    number: int
    losses: dict[str, Tensor]
    counts: dict[str, float]
    norm: Tensor


class TrainingStep:
    """Steps of one stage. `precision` "bfloat16" is autocast; gradients are clipped to the norm `clip`."""

    def __init__(
        self, learner: Learner, stage: Stage, optimizer: Optimizers, trained: Sequence[Tensor], *, device: str, precision: str, clip: float
    ):
        self.learner, self.stage, self.optimizer, self.trained = learner, stage, optimizer, trained
        self.device, self.half, self.clip, self.lr = device, precision == "bfloat16", clip, 0.0

    def __call__(self, batch: Any, progress: float, *, number: int) -> Taken:
        """Take step `number`, `progress` (0 to 1) through the stage."""
        self.lr = set_rate(self.optimizer, self.stage, progress)
        losses = self.backward(batch)
        norm = nn.utils.clip_grad_norm_(self.trained, self.clip).to(self.device)
        self.optimizer.step()
        self.optimizer.zero_grad()
        means = {port: mean(total, count).detach() for port, (total, count) in losses.items()}
        return Taken(number, means, {port: float(count) for port, (_, count) in losses.items()}, norm)

    def backward(self, batch: Any) -> Losses:
        """Gradients of one batch; returns its losses. A batch of which the stage learns nothing has none."""
        with torch.autocast(self.device, torch.bfloat16) if self.half else nullcontext():
            losses = self.learner.losses_of(batch)
        unknown = set(self.stage.weights) - set(losses)
        if unknown:
            raise ValueError(
                f"stage {self.stage.name}: weights for {', '.join(unknown)}; there are losses of {', '.join(losses)}; name one of these"
            )
        total = torch.stack([self.stage.weights.get(port, 1.0) * mean(total, count) for port, (total, count) in losses.items()]).sum()
        if total.requires_grad:
            total.backward()
        return losses

    def estimate(self, batch: Any, documents: int) -> Estimate:
        """What so many more documents cost, from two steps that are thrown away. Nothing moves; the optimizer keeps nothing."""
        modes = {module: module.training for top in self.stage.train for module in top.modules()}
        for module in modes:
            module.training = False  # so that no buffer and no random state moves
        seconds = []
        for _ in range(2):
            begun = time.perf_counter()
            self.backward(batch)
            self.optimizer.rehearse()
            self.optimizer.zero_grad()
            finished(self.device)
            seconds.append(time.perf_counter() - begun)
        for module, mode in modes.items():
            module.training = mode
        steps = documents / self.stage.batch
        return Estimate.of(steps * min(seconds), self.trained, averaged=bool(self.stage.average), device=self.device)


def mean(total: Tensor, count: float | int) -> Tensor:
    """A port's loss per element; its zero where it had nothing to learn."""
    return total / count if count else total
