import torch
from torch import nn

from tessera.readers import RowReader, TokenReader

TABLE = nn.Embedding(12, 4)
END = 11


def reader(**changes) -> RowReader:
    return RowReader(TokenReader(TABLE, **changes), columns=3, end=END)


def test_a_place_stands_behind_every_row():
    read = reader()(torch.tensor([[3, 1, 4, 1, 5, 9]]), torch.tensor([0]))
    assert torch.equal(read.embeddings[0], TABLE.weight[[3, 1, 4, END, 1, 5, 9, END]])
    assert read.predicts.tolist() == [0, 1, 2, 4, 5, 6] and not reader().elementwise
    assert read.coordinates[0].tolist() == [[0, row, column] for row in range(2) for column in range(4)]


def test_a_row_that_has_not_ended_has_none():
    read = reader()(torch.tensor([[3, 1, 4, 1]]), torch.tensor([0]))
    assert torch.equal(read.embeddings[0], TABLE.weight[[3, 1, 4, END, 1]]) and read.predicts.tolist() == [0, 1, 2, 4]


def test_elements_a_few_at_a_time_read_as_all_at_once():
    made, ids = reader(positions=nn.Embedding(6, 4)), torch.tensor([[3, 1, 4, 1, 5, 9], [2, 7, 1, 8, 2, 8]])
    whole = made(ids, torch.tensor([0, 0]))
    for steps in ([1] * 6, [2, 3, 1], [4, 2]):
        begun, embeddings, coordinates = 0, [], []
        for count in steps:
            part = made(ids[:, begun : begun + count], torch.tensor([begun, begun]))
            assert part.predicts.tolist() == [p - (begun + begun // 3) for p in whole.predicts.tolist()[begun : begun + count]]
            embeddings.append(part.embeddings)
            coordinates.append(part.coordinates)
            begun += count
        torch.testing.assert_close(torch.cat(embeddings, 1), whole.embeddings)
        assert torch.equal(torch.cat(coordinates, 1), whole.coordinates)


def test_positions_are_those_of_the_elements_alone():
    positions, ids = nn.Embedding(6, 4), torch.tensor([[3, 1, 4, 1, 5, 9]])
    read = reader(positions=positions)(ids, torch.tensor([0]))
    torch.testing.assert_close(read.embeddings[0, read.predicts], TABLE.weight[ids[0]] + positions.weight)
    assert torch.equal(read.embeddings[0, 3], TABLE.weight[END])
