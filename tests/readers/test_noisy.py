import pytest
import torch
from torch import nn

from tessera.clocks import Clock
from tessera.orders import Noisy
from tessera.readers import GridReader, NoisyReader
from tessera.unets import ConvNeXtDown

START = torch.zeros(2, dtype=torch.long)


def noisy(times=((100.0,), (700.0,))) -> Noisy:
    walk = torch.tensor(times).expand(2, 4)
    return Noisy(torch.randn(2, 4, 12), walk.clone(), walk)


def test_a_linear_layer_reads_elements_that_know_their_time():
    positions = nn.Embedding(4, 6)
    reader, seen = NoisyReader(12, 6, columns=2, positions=positions), noisy()
    read = reader(seen, START)
    for i in range(2):
        for j in range(4):
            told = seen.value[i, j] + reader.clock(seen.time[i, j])
            expected = reader.embed.weight @ told + reader.embed.bias + positions.weight[j]
            torch.testing.assert_close(read.embeddings[i, j], expected)
    assert read.predicts.tolist() == [0, 1, 2, 3] and read.aside is None
    assert read.coordinates[0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]


def test_elements_read_alone_stand_where_they_start():
    reader, seen = NoisyReader(12, 6, columns=2, positions=nn.Embedding(4, 6)), noisy()
    together = reader(seen, START)
    alone = reader(Noisy(*(part[:, 3:] for part in seen)), START + 3)
    torch.testing.assert_close(alone.embeddings[:, 0], together.embeddings[:, 3])
    assert torch.equal(alone.coordinates[:, 0], together.coordinates[:, 3])


def grid_reader(**how) -> GridReader:
    return GridReader(ConvNeXtDown(12, 8, 6, patch=2), 6, clock=Clock(6), columns=2, **how)


def test_what_skips_the_trunk_goes_aside_with_the_time():
    reader, seen = grid_reader(), noisy()
    read, told = reader(seen, START), reader.clock(seen.time)
    features, skips = reader.net(seen.value.unflatten(1, (2, 2)), told.unflatten(1, (2, 2)))
    torch.testing.assert_close(read.aside, torch.cat([skips.flatten(1, 2), told], -1))
    torch.testing.assert_close(read.embeddings, reader.embed(features.flatten(1, 2)))
    assert read.predicts.tolist() == [0, 1, 2, 3]


def test_positions_are_added_where_there_are_some():
    positions = nn.Embedding(4, 6)
    reader, seen = grid_reader(positions=positions), noisy()
    read = reader(seen, START).embeddings
    reader.positions = None
    torch.testing.assert_close(read - reader(seen, START).embeddings, positions.weight.expand(2, 4, 6))


@pytest.mark.parametrize("clean", [0.0, 1000.0])
@pytest.mark.parametrize("given", [0, 3])
def test_a_place_in_front_tells_how_far_the_picture_is(given, clean):
    reader, seen = grid_reader(leading=True), noisy()
    seen.time[:, :given] = clean
    read = reader(seen, START)
    assert read.embeddings.shape == (2, 5, 6) and read.predicts.tolist() == [1, 2, 3, 4] and read.aside.shape == (2, 4, 14)
    torch.testing.assert_close(read.embeddings[:, 0], reader.clock(torch.tensor([100.0, 700.0])))
    assert read.coordinates[0].tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]
