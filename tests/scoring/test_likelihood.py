from math import log

import pytest

from tessera.scoring.likelihood import bits_per_byte, bits_per_dimension, excess_nats


def test_the_uniform_density_costs_eight_bits():
    assert bits_per_dimension(0.0, 3072) == 8.0
    assert bits_per_dimension(0.0, 784, levels=2) == 1.0


def test_a_value_known_to_be_one_of_two_costs_one_bit():
    # A density of 128 on the two cells of width 1 / 256 that can be.
    assert bits_per_dimension(-10 * log(128), 10) == pytest.approx(1.0)


def test_bytes_are_those_of_utf8():
    assert bits_per_byte(16 * log(2), "ab") == pytest.approx(8.0)
    assert bits_per_byte(48 * log(2), "红色") == pytest.approx(8.0)


def test_the_excess_is_over_the_floor():
    assert excess_nats(3.5, 3.0) == 0.5
    assert excess_nats(2.5, 3.0) == -0.5
