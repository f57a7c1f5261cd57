"""Confidence: from the margin by which a thing is what it is read as, to the probability that the reading is right, and its worth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tessera.world.rates import Rate

BINS = 20  # of equal width, of margins for the rising line, and of confidences for the calibration error
SURE = 0.9


@dataclass(frozen=True)
class Calibration:
    """A rising line through `knots`, pairs of a margin (0 to 1) and the share of readings that are right there.

    Level beyond the outermost knots. The default leaves margins as they are.
    """

    knots: tuple[tuple[float, float], ...] = ((0.0, 0.0), (1.0, 1.0))

    def __call__(self, margins: Sequence[float]) -> list[float]:
        """The confidence for each margin."""
        at, right = zip(*self.knots, strict=True)
        return np.interp(margins, at, right).tolist()


@dataclass(frozen=True)
class Worth:
    """How far a confidence can be believed, from things that it was not fitted on.

    `error` is the expected calibration error (Naeini et al. 2015, AAAI), `auroc` how well it ranks right above wrong readings;
    `accuracy` is among the things with a confidence above SURE, and `coverage` is how many these are.
    """

    error: float
    auroc: float
    accuracy: Rate
    coverage: Rate

    def __str__(self) -> str:
        return f"expected error {self.error:.4f}, AUROC {self.auroc:.3f}; above {SURE}: {self.accuracy} right, which covers {self.coverage}"


def worth(confidence: Sequence[float], right: Sequence[bool]) -> Worth:
    """What the confidences of some things are worth, given which were read right."""
    values, true = np.asarray(confidence, dtype=float), np.asarray(right, dtype=bool)
    wrong, sure = np.sort(values[~true]), values > SURE
    below = sum(np.searchsorted(wrong, values[true], side).sum() for side in ("left", "right")) / 2  # ties count half
    pairs = len(wrong) * int(true.sum())
    return Worth(
        calibration_error(confidence, right),
        float(below / pairs) if pairs else float("nan"),
        Rate(int(true[sure].sum()), int(sure.sum())),
        Rate(int(sure.sum()), len(true)),
    )


def calibration_error(confidence: Sequence[float], right: Sequence[bool]) -> float:
    """The mean distance, over BINS bins weighed by what is in them, from the mean confidence to the share of right ones."""
    off = np.bincount(bins_of(confidence), np.asarray(confidence) - np.asarray(right, dtype=float), BINS)
    return float(np.abs(off).sum() / len(right))


def bins_of(values: Sequence[float]) -> np.ndarray:
    """The bin of each value between 0 and 1."""
    return np.minimum((np.asarray(values) * BINS).astype(int), BINS - 1)


# By level, as `python -m tessera.world.calibrate` prints them.
# fmt: off
SHIPPED: dict[str, Calibration] = {
    "easy": Calibration(
        (
            (0.0284, 0.5652), (0.0746, 0.6207), (0.1288, 0.6207), (0.174, 0.8182), (0.2253, 0.886), (0.2723, 0.886), (0.3281, 0.886),
            (0.3746, 0.9512), (0.4248, 0.9729), (0.4751, 0.9729), (0.5233, 0.9729), (0.5761, 0.9928), (0.629, 0.9964), (0.6738, 0.9964),
            (0.7258, 1.0), (0.776, 1.0), (0.8234, 1.0), (0.8739, 1.0), (0.9245, 1.0), (0.9902, 1.0),
        )
    ),
    "standard": Calibration(
        (
            (0.025, 0.5053), (0.0735, 0.6645), (0.1223, 0.6767), (0.1754, 0.7304), (0.2254, 0.7688), (0.274, 0.8058), (0.3246, 0.8382),
            (0.3751, 0.8594), (0.4268, 0.9471), (0.4751, 0.9471), (0.525, 0.9471), (0.5761, 0.9672), (0.6228, 0.9672), (0.6763, 0.9869),
            (0.7268, 0.9869), (0.7739, 1.0), (0.8232, 1.0), (0.8754, 1.0), (0.9313, 1.0), (0.9915, 1.0),
        )
    ),
}
# fmt: on
