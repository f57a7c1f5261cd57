"""Features are projected one by one, told their position, and put where they stand in the grid."""

import torch
from torch import nn

from tessera.perceptron import perceptron
from tessera.readers import FeatureReader, Reader


def test_elements_are_read_alone_wherever_a_segment_is_cut():
    read = FeatureReader(perceptron(6, 8, 8), columns=2, positions=nn.Embedding(4, 8))
    assert isinstance(read, Reader) and read.elementwise
    features = torch.randn(2, 4, 6)
    whole = read(features, torch.zeros(2, dtype=torch.long))
    parts = [read(features[:, i : i + 2], torch.full((2,), i)) for i in (0, 2)]
    torch.testing.assert_close(torch.cat([part.embeddings for part in parts], 1), whole.embeddings)
    assert torch.equal(torch.cat([part.coordinates for part in parts], 1), whole.coordinates)
    assert whole.coordinates[0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]] and whole.predicts.tolist() == [0, 1, 2, 3]


def test_positions_are_added_to_what_is_projected():
    positions = nn.Embedding(4, 8)
    projector = nn.Linear(6, 8)
    features, start = torch.randn(1, 2, 6), torch.tensor([2])
    bare, told = (FeatureReader(projector, positions=one)(features, start) for one in (None, positions))
    torch.testing.assert_close(told.embeddings - bare.embeddings, positions.weight[None, 2:4])
    assert not bare.coordinates.any(), "a row has no grid"
