"""Laws: the distribution of one element, given what the trunk says."""

from tessera.laws.base import Drawn, Law, Sampling, guide
from tessera.laws.categorical import Categorical
from tessera.laws.mixture import Mixture

__all__ = ["Categorical", "Drawn", "Law", "Mixture", "Sampling", "guide"]
