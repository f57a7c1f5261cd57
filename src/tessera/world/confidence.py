"""Confidence: from the margin by which a thing is what it is read as, to the probability that the reading is right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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
