"""What a stage will cost, told before it starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from tessera.verbs.machine import peak_megabytes


@dataclass(frozen=True)
class Estimate:
    """Seconds; megabytes for weights, gradients and optimizer; and for all that the process will hold, 0 where unknown."""

    seconds: float
    weights_mb: float
    peak_mb: float

    @classmethod
    def of(cls, seconds: float, trained: Sequence[Tensor], *, averaged: bool, device: str) -> "Estimate":
        """From the seconds it will take, and from what was used by the steps that told them."""
        megabytes = sum(p.numel() * p.element_size() for p in trained) / 2**20
        return cls(seconds, megabytes * (4 + averaged), peak_megabytes(device))

    def __str__(self) -> str:
        time = f"{self.seconds / 60:.1f} min" if self.seconds >= 90 else f"{self.seconds:.0f} s"
        peak = f", about {self.peak_mb:,.0f} MB in all" if self.peak_mb else ""
        return f"about {time}, {self.weights_mb:,.0f} MB for weights and optimizer{peak}"
