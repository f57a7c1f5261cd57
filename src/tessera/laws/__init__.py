"""Laws: the distribution of one element, given what the trunk says."""

from tessera.laws.base import Drawn, Law, Sampling, Weighing, guide
from tessera.laws.categorical import Categorical
from tessera.laws.chain import Chain
from tessera.laws.denoiser import Denoiser
from tessera.laws.mixture import Mixture
from tessera.laws.regression import Regression, cosine_distance, squared_error

__all__ = [
    "Categorical",
    "Chain",
    "Denoiser",
    "Drawn",
    "Law",
    "Mixture",
    "Regression",
    "Sampling",
    "Weighing",
    "cosine_distance",
    "guide",
    "squared_error",
]
