"""Sets: how two sets of pictures differ in the features of each, by every measure of the field, with its interval."""

from collections.abc import Callable, Mapping
from itertools import count
from math import ceil, sqrt
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from tessera.intervals import Z95
from tessera.scoring.distances import (
    balls,
    density_coverage,
    frechet_distance,
    kernel_distance,
    kernel_distances_without,
    precision_recall,
)
from tessera.scoring.intervals import Score, bootstrap, rate

GROUPS = 50  # to leave out in turn
NEAREST = {"precision": 3, "density": 5}  # to which neighbour a ball reaches; recall is as precision, coverage as density

Vectors = Float[Tensor, "... feature"]  # two sets of one function may differ in number
Distance = Callable[[Tensor, Tensor], float]
Without = Callable[[Tensor, Tensor], Tensor]


def distances(made: Vectors, real: Vectors) -> dict[str, Score]:
    """`frechet` and `kid` with the jackknife's intervals, one group in fifty of both sets left out in turn.

    Resampled pictures would repeat themselves, which moves both distances up.
    """
    return {name: left_out(made, real, distance, without) for name, (distance, without) in DISTANCES.items()}


def shares(made: Vectors, real: Vectors) -> dict[str, Score]:
    """`precision` is the share of made pictures among the real ones, `recall` that of the real among the made.

    See `scoring.distances.precision_recall`. The interval of each takes the other set as given.
    """
    k = NEAREST["precision"]
    within = {"precision": balls(real, made, k, closed=True).within, "recall": balls(made, real, k, closed=True).within}
    return {name: rate((each > 0).tolist()) for name, each in within.items()}


def densities(made: Vectors, real: Vectors) -> dict[str, Score]:
    """`density` is in how many balls around real pictures a made one is, over 5, and `coverage` the share of them that hold any.

    See `scoring.distances.density_coverage`. The interval of each takes the other set as given.
    """
    k = NEAREST["density"]
    found = balls(real, made, k)
    return {"density": bootstrap((found.within.double() / k).tolist(), fmean), "coverage": rate(found.filled.tolist())}


def measures(made: Vectors, real: Vectors) -> dict[str, float]:
    """All of these without intervals, which take most of the time: what scores are compared with."""
    apart = {name: distance(made, real) for name, (distance, _) in DISTANCES.items()}
    names = ("precision", "recall"), ("density", "coverage")
    found = precision_recall(real, made, k=NEAREST["precision"]), density_coverage(real, made, k=NEAREST["density"])
    return apart | {name: value for some, values in zip(names, found, strict=True) for name, value in zip(some, values, strict=True)}


def least(features: int) -> int:
    """The fewest pictures of a set that `distances` accepts: two for each feature, whichever group is left out."""
    return next(n for n in count(2 * features) if n - ceil(n / GROUPS) >= 2 * features)


def left_out(made: Vectors, real: Vectors, distance: Distance, without: Without | None = None) -> Score:
    """A distance between two sets, with the jackknife's interval; `without` gives the distances without each group in turn.

    Source: Efron and Stein 1981 (the jackknife's variance), with groups in place of single pictures.
    """
    left = (without or _without(distance))(made, real)
    value, half = distance(made, real), Z95 * sqrt((GROUPS - 1) * float(left.var(correction=0)))
    return Score(value, (value - half, value + half), len(made), f"jackknife/{GROUPS}")


def _without(distance: Distance) -> Without:
    """The distances without each group in turn, one after another."""

    def measured(made: Tensor, real: Tensor) -> Tensor:
        groups = [torch.arange(len(samples)) % GROUPS for samples in (made, real)]
        return torch.tensor([distance(made[groups[0] != g], real[groups[1] != g]) for g in range(GROUPS)], dtype=torch.float64)

    return measured


DISTANCES: Mapping[str, tuple[Distance, Without | None]] = {
    "frechet": (frechet_distance, None),
    "kid": (kernel_distance, lambda made, real: kernel_distances_without(made, real, GROUPS)),
}
