"""Distances between two sets of pictures, over features that the caller brings, a row for each. FID is the name for Inception's alone."""

import torch
from jaxtyping import Float
from torch import Tensor


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

    Source: Binkowski et al. 2018, arXiv 1801.01401 (KID). Differs: all pairs at once, in place of the mean over
    100 subsets of 1,000, which has the same expectation and more noise.
    """
    first, second = first.double(), second.double()
    kernel = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3
    within = lambda a: (kernel(a, a).sum() - kernel(a, a).trace()) / (len(a) * (len(a) - 1))
    return float(within(first) + within(second) - 2 * kernel(first, second).mean())


def precision_recall(real: Float[Tensor, "... feature"], made: Float[Tensor, "... feature"], *, k: int = 3) -> tuple[float, float]:
    """The share of made samples inside the real manifold, and of real ones inside the made.

    A manifold is the union of balls around its samples that reach to their k-th nearest. Source: Kynkäänniemi et al. 2019,
    arXiv 1904.06991, improved precision and recall.
    """
    between = _apart(real, made)
    precision = (between <= _reach(real, k)[:, None]).any(0)
    recall = (between <= _reach(made, k)[None]).any(1)
    return float(precision.double().mean()), float(recall.double().mean())


def density_coverage(real: Float[Tensor, "... feature"], made: Float[Tensor, "... feature"], *, k: int = 5) -> tuple[float, float]:
    """How many real balls a made sample is in, over k (about 1 for equal distributions, may exceed it), and the share of real
    balls that hold any made sample.

    A ball reaches to the k-th nearest real sample. Source: Naeem et al. 2020, arXiv 2002.09797.
    """
    inside = _apart(real, made) < _reach(real, k)[:, None]
    return float(inside.double().sum() / (k * len(made))), float(inside.any(1).double().mean())


def _apart(a: Tensor, b: Tensor) -> Tensor:
    # By products of rows, many times faster than by differences; in float64 what rounding adds decides ties alone.
    return torch.cdist(a.double(), b.double(), compute_mode="use_mm_for_euclid_dist")


def _reach(samples: Tensor, k: int) -> Tensor:
    if len(samples) <= k:
        raise ValueError(f"distances: the {k}th nearest of {len(samples)} samples; more than {k} samples; bring more or lower k")
    return _apart(samples, samples).kthvalue(k + 1).values  # the nearest is the sample itself
