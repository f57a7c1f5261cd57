import math

import pytest
import torch

from tessera.orders import Noisy
from tessera.readers import TimedReader, square_sines


def test_positions_are_waves_of_the_column_and_then_of_the_row():
    table = square_sines(3, 8)
    assert table.shape == (9, 8)
    row, column = 2, 1
    expected = [math.sin(column), math.sin(column / 100), math.cos(column), math.cos(column / 100)]
    expected += [math.sin(row), math.sin(row / 100), math.cos(row), math.cos(row / 100)]
    torch.testing.assert_close(table[3 * row + column], torch.tensor(expected))


@pytest.mark.parametrize("clean", [0.0, 1000.0])
def test_a_place_in_front_tells_how_far_the_picture_is(clean):
    reader = TimedReader(2, 8, columns=2)
    value, start = torch.randn(1, 4, 2), torch.zeros(1, dtype=torch.long)
    read = lambda times, walk: reader(Noisy(value, torch.tensor([times]), torch.full((1, 4), walk)), start)
    early, late = read([700.0, clean, 700.0, clean], 700.0), read([clean] * 4, clean)
    assert early.predicts.tolist() == [1, 2, 3, 4] and early.embeddings.shape == (1, 5, 8) and early.aside.shape == (1, 4, 8)
    torch.testing.assert_close(early.embeddings[:, 1:], late.embeddings[:, 1:])  # elements do not tell their time themselves
    front = reader.front(reader.clock(torch.tensor([700.0])))
    torch.testing.assert_close(early.embeddings[0, :1], front)
    assert not torch.allclose(early.embeddings[0, 0], late.embeddings[0, 0])
    torch.testing.assert_close(early.aside[0, 1], late.aside[0, 1])
    assert early.coordinates[0].tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]
