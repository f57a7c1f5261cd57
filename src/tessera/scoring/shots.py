"""What a model gains from examples in its context."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Shots:
    """A few-shot curve in three numbers; `efficiency` is the share of the area between zero-shot and perfect that lies under it.

    It is negative where examples hurt, and 0 where zero-shot is perfect: nothing is left to learn.
    """

    zero_shot: float
    peak: float
    efficiency: float


def few_shot(accuracy: Mapping[int, float]) -> Shots:
    """Zero-shot, peak and efficiency of accuracies (0 to 1) by number of shots, such as 0, 1, 2, 4, 8; 0 must be there.

    Source: VL-ICL Bench (Zong et al. 2025, arXiv 2403.13164). The area is the trapezoids' over the number of shots itself, so that
    the step from 4 to 8 weighs four times that from 0 to 1.
    """
    gained, room = gain(accuracy)
    return Shots(accuracy[0], max(accuracy.values()), gained / room if room else 0.0)


def gain(accuracy: Mapping[int, float]) -> tuple[float, float]:
    """The mean height of the curve above zero-shot, and the room that zero-shot leaves: sums of each over questions give the efficiency."""
    shots = sorted(accuracy)
    if len(shots) < 2 or shots[0] != 0:
        raise ValueError(f"few_shot: accuracies at {shots} shots; 0 and at least one more; measure zero-shot too")
    if not all(0 <= value <= 1 for value in accuracy.values()):
        raise ValueError(f"few_shot: accuracies {sorted(accuracy.values())}; 0 to 1; divide percentages by 100")
    start = accuracy[0]
    area = sum((high - low) * (accuracy[low] + accuracy[high]) / 2 for low, high in pairwise(shots))
    return area / shots[-1] - start, 1 - start
