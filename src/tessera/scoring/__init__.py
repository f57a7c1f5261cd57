"""Scoring: pure functions from answers to numbers with intervals. No model inside."""

from tessera.intervals import wilson
from tessera.scoring.intervals import Score, bootstrap, rate

__all__ = ["Score", "bootstrap", "rate", "wilson"]
