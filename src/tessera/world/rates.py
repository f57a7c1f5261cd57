"""Measured rates with their uncertainty."""

from dataclasses import dataclass

from tessera.intervals import wilson


@dataclass(frozen=True)
class Rate:
    """So many of so many."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        return self.hits / self.of if self.of else 0.0

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of Wilson."""
        return wilson(self.hits, self.of)

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{100 * self.share:.2f} % ({100 * low:.2f}-{100 * high:.2f})"
