"""What a stage will cost, told before it starts."""

import sys
from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.stages import Stage


@dataclass(frozen=True)
class Estimate:
    """What a stage will cost: seconds, and megabytes for weights, gradients and optimizer, and for what a step holds."""

    seconds: float
    weights_mb: float
    peak_mb: float

    @classmethod
    def of(cls, stage: Stage, step_seconds: float, trained: list[Tensor], device: str) -> "Estimate":
        """From the seconds of one forward and backward pass; peak memory is what the process has used so far."""
        import resource

        copies = 4 + bool(stage.average)  # weights, gradients, two moments, and the average
        weights = sum(p.numel() * p.element_size() for p in trained) * copies / 2**20
        if device.startswith("cuda"):
            peak = torch.cuda.max_memory_allocated() / 2**20
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform != "darwin" else 2**20)
        return cls(step_seconds * stage.documents / stage.batch, weights, peak)

    def __str__(self) -> str:
        minutes = f"{self.seconds / 60:.1f} min" if self.seconds >= 90 else f"{self.seconds:.0f} s"
        return f"about {minutes}, {self.weights_mb:.0f} MB for weights and optimizer, {self.peak_mb:.0f} MB in all so far"
