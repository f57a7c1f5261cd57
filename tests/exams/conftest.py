"""What the tests of exams share: who knows the answers, and intervals that are found sooner."""

import pytest
from exams.players import Truth

from tessera.scoring import intervals
from tessera.world import World


@pytest.fixture(scope="session")
def truth():
    """Who knows all answers to a few cases in the easy world."""
    return Truth(World.easy())


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    """An interval takes 2,000 resamples, which is most of the time of a small exam."""
    monkeypatch.setattr(intervals, "RESAMPLES", 50)
