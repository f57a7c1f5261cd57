import torch
from torch import nn

from tessera.readers import LinearReader


def test_every_element_passes_one_layer_and_has_a_place():
    reader, soft = LinearReader(5, 8, columns=2), torch.randn(3, 4, 5)
    read = reader(soft, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(read.embeddings, soft @ reader.embed.weight.T + reader.embed.bias)
    assert read.predicts.tolist() == [0, 1, 2, 3] and read.condition is None and read.aside is None
    assert read.coordinates[1].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]


def test_elements_a_few_at_a_time_read_as_all_at_once():
    reader, soft = LinearReader(5, 8, columns=3, positions=nn.Embedding(6, 8)), torch.randn(1, 5, 5)
    whole = reader(soft, torch.tensor([0]))
    parts = [reader(soft[:, i : i + 2], torch.tensor([i])) for i in range(0, 5, 2)]
    torch.testing.assert_close(torch.cat([part.embeddings for part in parts], 1), whole.embeddings)
    assert torch.equal(torch.cat([part.coordinates for part in parts], 1), whole.coordinates)
    plain = reader.embed(soft)
    torch.testing.assert_close(whole.embeddings[0] - plain[0], reader.positions.weight[:5])
