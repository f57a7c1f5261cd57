"""Ids around a segment are read as text and are places of it; everything else is as the reader inside says."""

import torch
from torch import nn

from tessera.orders.masked import PartlyHidden
from tessera.readers import FramedReader, HiddenReader, TokenReader


def test_ids_stand_around_what_is_read():
    table = nn.Embedding(9, 4)
    inner, words = TokenReader(table, columns=2), TokenReader(table)
    visible, start = torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]]), torch.tensor([0, 0])
    alone, framed = inner(visible, start), FramedReader(inner, words, before=[7, 8], behind=[5])(visible, start)
    assert torch.equal(framed.embeddings, table(torch.tensor([[7, 8, 1, 2, 3, 4, 5], [7, 8, 4, 3, 2, 1, 5]])))
    assert framed.predicts.tolist() == [2, 3, 4, 5]
    assert torch.equal(framed.coordinates[:, 2:6], alone.coordinates) and not framed.coordinates[:, [0, 1, 6]].any()


def test_without_ids_nothing_is_added_and_around_hidden_elements_they_stay():
    table = nn.Embedding(9, 4)
    inner, visible, start = TokenReader(table), torch.tensor([[1, 2]]), torch.tensor([0])
    assert torch.equal(FramedReader(inner, inner)(visible, start).embeddings, inner(visible, start).embeddings)
    hidden = HiddenReader(FramedReader(inner, inner, before=[7]), 4)
    read = hidden(PartlyHidden(visible, torch.tensor([[True, False]])), start)
    assert torch.equal(read.embeddings[0], torch.stack([table.weight[7], hidden.mask, table.weight[2]]))
