import torch
from torch import nn

from tessera.clocks import Clock
from tessera.orders import PartlyHidden
from tessera.readers import HiddenReader, Read, TokenReader


def hidden(*flags: int) -> torch.Tensor:
    return torch.tensor([flags]).bool()


def test_what_is_hidden_shows_the_mask_and_all_else_is_read_as_ever():
    known = TokenReader(nn.Embedding(10, 4), columns=2)
    reader = HiddenReader(known, 4)
    ids, start = torch.tensor([[3, 0, 7, 0]]), torch.tensor([0])
    read, plain = reader(PartlyHidden(ids, hidden(0, 1, 0, 1)), start), known(ids, start)
    assert torch.equal(read.embeddings[0, [0, 2]], plain.embeddings[0, [0, 2]])
    assert torch.equal(read.embeddings[0, [1, 3]], reader.mask.expand(2, 4))
    assert torch.equal(read.coordinates, plain.coordinates) and torch.equal(read.predicts, plain.predicts)
    assert reader.elementwise and known.elementwise


def test_nothing_is_learned_of_what_stands_behind_the_mask():
    table = nn.Embedding(10, 4)
    reader = HiddenReader(TokenReader(table), 4)
    reader(PartlyHidden(torch.tensor([[3, 0]]), hidden(0, 1)), torch.tensor([0])).embeddings.sum().backward()
    assert table.weight.grad[3].all() and not table.weight.grad[0].any() and reader.mask.grad.all()


def test_positions_are_added_to_both_by_the_number_of_the_element():
    known, positions = TokenReader(nn.Embedding(10, 4)), nn.Embedding(6, 4)
    reader = HiddenReader(known, 4, positions=positions)
    read = reader(PartlyHidden(torch.tensor([[5, 0]]), hidden(0, 1)), torch.tensor([3]))
    assert torch.equal(read.embeddings[0, 0], known.table.weight[5] + positions.weight[3])
    assert torch.equal(read.embeddings[0, 1], reader.mask + positions.weight[4])


class RowEnds(nn.Module):
    """Continuous elements, and a place of zeros behind every second one."""

    elementwise = False

    def forward(self, visible, start):
        rows = visible.unflatten(1, (-1, 2))
        places = torch.cat([rows, torch.zeros_like(rows[:, :, :1])], 2).flatten(1, 2)
        return Read(places, torch.tensor([0, 1, 3, 4]), torch.zeros(*places.shape[:2], 3, dtype=torch.long))


def test_places_that_stand_for_no_element_are_left_alone():
    reader, values = HiddenReader(RowEnds(), 4), torch.randn(1, 4, 4)
    read = reader(PartlyHidden(values, hidden(1, 0, 0, 1)), torch.tensor([0]))
    zeros = torch.zeros(4)
    expected = torch.stack([reader.mask, values[0, 1], zeros, values[0, 2], reader.mask, zeros])
    assert torch.equal(read.embeddings[0], expected) and not reader.elementwise


def test_with_a_clock_what_is_hidden_is_noise_and_all_else_is_clean():
    clock = Clock(4)
    reader = HiddenReader(TokenReader(nn.Embedding(10, 4)), 4, clock=clock)
    read = reader(PartlyHidden(torch.tensor([[3, 0, 7]]), hidden(0, 1, 0)), torch.tensor([0]))
    torch.testing.assert_close(read.condition[0], clock(torch.tensor([1000.0, 0.0, 1000.0])))
    added = HiddenReader(RowEnds(), 4, clock=clock)(PartlyHidden(torch.randn(1, 4, 4), hidden(0, 1, 1, 0)), torch.tensor([0]))
    torch.testing.assert_close(added.condition[0], clock(torch.tensor([1000.0, 0.0, 1000.0, 0.0, 1000.0, 1000.0])))
