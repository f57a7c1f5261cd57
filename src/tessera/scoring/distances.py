"""Distances between two sets of pictures, over features that the caller brings, a row for each. FID is the name for Inception's alone.

All pairs are looked at, some rows at once: sets of tens of thousands need no more memory than their features and a block.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ROWS = 2048  # of a set that are held against the whole other at once


def frechet_distance(first: Float[Tensor, "... feature"], second: Float[Tensor, "... feature"]) -> float:
    """The squared Fréchet distance between the Gaussians fitted to two sets of features, in float64.

    It is biased upwards for few samples, so print their number with it. Raises ValueError below two samples per feature.
    Source: Dowson and Landau 1982; Heusel et al. 2017, arXiv 1706.08500, equation 6. Differs: the root of the product of the
    covariances is taken by eigen-decomposition of the symmetric form, with negative eigenvalues cut to 0.
    """
    for features in (first, second):
        n, dim = features.shape
        if n < 2 * dim:
            raise ValueError(f"frechet_distance: {n} samples of {dim} features; at least {2 * dim}; bring more samples or fewer features")
    (mean_a, cov_a), (mean_b, cov_b) = _moments(first), _moments(second)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    distance = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return max(0.0, float(distance))  # below 0 by rounding alone


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    features = features.double()
    return features.mean(0), torch.atleast_2d(torch.cov(features.T))


def kernel_distance(first: Float[Tensor, "... feature"], second: Float[Tensor, "... feature"]) -> float:
    """The unbiased squared maximum mean discrepancy under the cubic kernel (x . y / features + 1)^3; negative by chance.

    Source: Binkowski et al. 2018, arXiv 1801.01401 (KID). Differs: all pairs, in place of the mean over
    100 subsets of 1,000, which has the same expectation and more noise.
    """
    first, second = first.double(), second.double()
    return _within(first) + _within(second) - 2 * sum(float(block.sum()) for block in _kernels(first, second)) / (len(first) * len(second))


def _within(samples: Tensor) -> float:
    """The mean kernel of two different samples."""
    total, itself = 0.0, 0.0
    for i, block in enumerate(_kernels(samples, samples)):
        total += float(block.sum())
        itself += float(block.diagonal(i * ROWS).sum())
    return (total - itself) / (len(samples) * (len(samples) - 1))


def kernel_distances_without(
    first: Float[Tensor, "... feature"], second: Float[Tensor, "... feature"], groups: int
) -> Float[Tensor, "..."]:
    """The kernel distance without each group in turn, sample i being of group i modulo `groups` in both sets.

    It costs as much as one distance: the sums of the kernel over pairs of groups tell all of them.
    """
    first, second = first.double(), second.double()
    kept = [len(samples) - torch.bincount(_groups(samples, groups), minlength=groups) for samples in (first, second)]
    within = [_by_groups(samples, samples, groups) for samples in (first, second)]
    for sums, samples in zip(within, (first, second), strict=True):
        itself = (samples.square().sum(1) / samples.shape[1] + 1) ** 3
        sums.diagonal().index_add_(0, _groups(samples, groups), -itself)
    means = [_sums_without(sums) / (left * (left - 1)) for sums, left in zip(within, kept, strict=True)]
    return means[0] + means[1] - 2 * _sums_without(_by_groups(first, second, groups)) / (kept[0] * kept[1])


def _sums_without(sums: Tensor) -> Tensor:
    """The sum of a square without its i-th row and column, for each i."""
    return sums.sum() - sums.sum(0) - sums.sum(1) + sums.diagonal()


def _by_groups(first: Tensor, second: Tensor, groups: int) -> Tensor:
    """The sum of the kernel over the pairs of each two groups: [groups, groups]."""
    theirs = torch.eye(groups).double()[_groups(second, groups)]
    rows = torch.cat([block @ theirs for block in _kernels(first, second)])
    return torch.zeros(groups, groups).double().index_add(0, _groups(first, groups), rows)


def _groups(samples: Tensor, groups: int) -> Tensor:
    return torch.arange(len(samples)) % groups


def _kernels(first: Tensor, second: Tensor) -> Iterator[Tensor]:
    """The kernel of each two samples, some rows at once."""
    return ((rows @ second.T / second.shape[1] + 1) ** 3 for rows in first.split(ROWS))


def precision_recall(real: Float[Tensor, "... feature"], made: Float[Tensor, "... feature"], *, k: int = 3) -> tuple[float, float]:
    """The share of made samples inside the real manifold, and of real ones inside the made.

    A manifold is the union of balls around its samples that reach to their k-th nearest. Source: Kynkäänniemi et al. 2019,
    arXiv 1904.06991, improved precision and recall.
    """
    precision, recall = (balls(around, of, k, closed=True).within > 0 for around, of in ((real, made), (made, real)))
    return float(precision.double().mean()), float(recall.double().mean())


def density_coverage(real: Float[Tensor, "... feature"], made: Float[Tensor, "... feature"], *, k: int = 5) -> tuple[float, float]:
    """How many real balls a made sample is in, over k (about 1 for equal distributions, may exceed it), and the share of real
    balls that hold any made sample.

    A ball reaches to the k-th nearest real sample. Source: Naeem et al. 2020, arXiv 2002.09797.
    """
    found = balls(real, made, k)
    return float(found.within.double().sum() / (k * len(made))), float(found.filled.double().mean())


class Balls(NamedTuple):
    """In how many balls each sample is, and which balls hold any sample."""

    within: Int[Tensor, "batch"]
    filled: Bool[Tensor, "batch"]


def balls(around: Float[Tensor, "... feature"], samples: Float[Tensor, "... feature"], k: int, *, closed: bool = False) -> Balls:
    """The samples in balls around others, each reaching to the k-th nearest of these others; `closed` balls have their rim."""
    if len(around) <= k:
        raise ValueError(f"distances: the {k}th nearest of {len(around)} samples; more than {k} samples; bring more or lower k")
    within, filled = torch.zeros(len(samples), dtype=torch.long), []
    for rows in around.split(ROWS):
        reach = _apart(rows, around).kthvalue(k + 1).values[:, None]  # the nearest is the sample itself
        apart = _apart(rows, samples)
        inside = apart <= reach if closed else apart < reach
        within += inside.sum(0)
        filled.append(inside.any(1))
    return Balls(within, torch.cat(filled))


def nearest(samples: Float[Tensor, "... feature"], among: Float[Tensor, "... feature"]) -> Int[Tensor, "batch"]:
    """Which of the others each sample is nearest to."""
    return torch.cat([_apart(rows, among).argmin(1) for rows in samples.split(ROWS)])


def _apart(a: Tensor, b: Tensor) -> Tensor:
    # By products of rows, many times faster than by differences; in float64 what rounding adds decides ties alone.
    return torch.cdist(a.double(), b.double(), compute_mode="use_mm_for_euclid_dist")
