import pytest
import torch
from torch import nn

from tessera.clocks import Clock
from tessera.orders import Noisy
from tessera.readers import AdaptiveReader, Middle


def test_elements_tell_their_time_by_their_condition_alone():
    clock, positions = Clock(8), nn.Embedding(4, 8)
    reader = AdaptiveReader(2, 8, clock=clock, columns=2, positions=positions)
    value, start, times = torch.randn(1, 3, 2), torch.tensor([1]), torch.tensor([[700.0, 1000.0, 700.0]])
    read = reader(Noisy(value, times, times.new_full((1, 3), 700.0)), start)
    torch.testing.assert_close(read.embeddings, reader.embed(value) + positions.weight[1:])
    torch.testing.assert_close(read.condition, clock(times))
    assert torch.equal(read.condition, read.aside) and not torch.allclose(read.condition[0, 0], read.condition[0, 1])
    assert read.predicts.tolist() == [0, 1, 2] and read.coordinates[0].tolist() == [[0, 0, 1], [0, 1, 0], [0, 1, 1]]


def test_elements_may_all_be_told_how_far_the_picture_is():
    clock = Clock(8)
    reader = AdaptiveReader(2, 8, clock=clock, columns=2, positions=nn.Embedding(4, 8), together=True)
    times, walk = torch.tensor([[700.0, 0.0, 700.0]]), torch.full((1, 3), 700.0)
    read = reader(Noisy(torch.randn(1, 3, 2), times, walk), torch.tensor([1]))
    torch.testing.assert_close(read.condition, clock(walk))


def test_pictures_stand_in_the_middle_of_a_larger_grid():
    positions = Middle(5, 2, columns=2)
    positions.rows.copy_(torch.arange(50.0).view(25, 2))
    assert torch.equal(positions(torch.arange(4)), positions.rows[[6, 7, 11, 12]])
    with pytest.raises(ValueError, match="Middle: 6 columns of a grid of 5; at most as many are accepted"):
        Middle(5, 2, columns=6)
