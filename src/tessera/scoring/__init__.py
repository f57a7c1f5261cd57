"""Scoring: pure functions from answers to numbers with intervals. No model inside."""

from tessera.scoring.intervals import Score, bootstrap, rate, wilson

__all__ = ["Score", "bootstrap", "rate", "wilson"]
