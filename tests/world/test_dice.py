from collections import Counter

import pytest

from tessera.world.dice import Dice


def test_a_stream_is_the_same_forever():
    dice = Dice("v1", "easy", "train", 17)
    assert [dice.uniform() for _ in range(3)] == [0.3934869694323707, 0.32961696720521283, 0.030672875653566134]


def test_other_keys_give_other_streams():
    firsts = {Dice("v1", index).uniform() for index in range(1000)}
    assert len(firsts) == 1000
    assert Dice("ab", "c").uniform() != Dice("a", "bc").uniform()


def test_numbers_are_spread_evenly():
    dice = Dice("spread")
    counts = Counter(dice.below(6) for _ in range(6000))
    assert set(counts) == set(range(6))
    assert max(abs(count - 1000) for count in counts.values()) < 150


def test_a_sample_holds_different_items():
    dice = Dice("sample")
    assert sorted(dice.sample("abcdef", 6)) == list("abcdef")
    assert all(len(set(dice.sample(range(9), 4))) == 4 for _ in range(50))


def test_weights_are_obeyed():
    dice = Dice("weights")
    counts = Counter(dice.weighted("abc", (1.0, 0.0, 3.0)) for _ in range(4000))
    assert counts["b"] == 0
    assert counts["c"] / counts["a"] == pytest.approx(3, rel=0.15)
