"""Whether confidence means what it says, and how to make it so."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata

from tessera.scoring.intervals import Score, rate


@dataclass(frozen=True)
class Calibration:
    """From a raw confidence to the share that is right with it: linear between the fitted points, constant beyond them."""

    confidences: tuple[float, ...]
    shares: tuple[float, ...]

    def __call__(self, confidence: float) -> float:
        return float(np.interp(confidence, self.confidences, self.shares))


def calibrate(confidences: Sequence[float], right: Sequence[bool]) -> Calibration:
    """The never-falling function of confidence that fits the right and wrong cases best, in squares.

    Fit it on other cases than are scored. Source: Zadrozny and Elkan 2002, KDD.
    """
    points, where, counts = np.unique(np.asarray(confidences, dtype=np.float64), return_inverse=True, return_counts=True)
    shares = np.bincount(where, weights=np.asarray(right, dtype=np.float64)) / counts
    fitted = isotonic_regression(shares, weights=counts).x
    return Calibration(tuple(points.tolist()), tuple(fitted.tolist()))


@dataclass(frozen=True)
class Bin:
    """Cases of confidence above `low` up to `high`: their mean confidence, and the share that is right."""

    low: float
    high: float
    confidence: float
    right: Score


def reliability(confidences: Sequence[float], right: Sequence[bool], *, bins: int = 10) -> tuple[Bin, ...]:
    """A row for each of `bins` equal parts of 0 to 1 that holds any case; confidence 0 is in the first. Raises ValueError outside."""
    outside = [confidence for confidence in confidences if not 0 <= confidence <= 1]
    if outside:
        raise ValueError(f"reliability: a confidence of {outside[0]}; 0 to 1; calibrate scores of another range first")
    places = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidences).tolist()
    rows = []
    for place in sorted(set(places)):
        cases = [(confidence, ok) for at, confidence, ok in zip(places, confidences, right, strict=True) if at == place]
        mean = sum(confidence for confidence, _ in cases) / len(cases)
        rows.append(Bin(place / bins, (place + 1) / bins, mean, rate([ok for _, ok in cases])))
    return tuple(rows)


def calibration_error(confidences: Sequence[float], right: Sequence[bool], *, bins: int = 10) -> float:
    """Expected calibration error: the mean over cases of the gap between confidence and share right in their bin.

    It depends on `bins` and grows with few cases, so print both. Source: Guo et al. 2017, arXiv 1706.04599, equation 3.
    """
    rows = reliability(confidences, right, bins=bins)
    return sum(row.right.n * abs(row.confidence - row.right.value) for row in rows) / len(confidences)


def auroc(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """The chance that a right case is more confident than a wrong one, ties counting half: the area under the ROC curve.

    Raises ValueError where all are right or all are wrong. Source: Hanley and McNeil 1982, Radiology 143.
    """
    hits = sum(map(bool, right))
    misses = len(right) - hits
    if not hits or not misses:
        raise ValueError(f"auroc: {hits} right and {misses} wrong cases; at least one of each; score more cases")
    ranks = rankdata(confidences)
    total = sum(float(rank) for rank, ok in zip(ranks, right, strict=True) if ok)
    return (total - hits * (hits + 1) / 2) / (hits * misses)
