import torch
from torch import nn

from tessera.codecs import FSQ, LFQ
from tessera.readers import Digits, TokenReader, grid_coordinates


def test_coordinates_are_rows_and_columns_in_reading_order_from_start():
    first, second = grid_coordinates(torch.tensor([0, 4]), elements=4, columns=3)
    assert first.tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 0]]
    assert second.tolist() == [[0, 1, 1], [0, 1, 2], [0, 2, 0], [0, 2, 1]]


def test_text_has_no_coordinates():
    assert grid_coordinates(torch.tensor([5]), elements=3, columns=0).tolist() == [[[0, 0, 0]] * 3]


def test_tokens_are_rows_of_the_table_one_place_each():
    table = nn.Embedding(10, 4)
    reader = TokenReader(table, columns=2)
    read = reader(torch.tensor([[3, 1, 3]]), torch.tensor([0]))
    assert torch.equal(read.embeddings[0], table.weight[[3, 1, 3]])
    assert read.predicts.tolist() == [0, 1, 2] and read.condition is None and read.aside is None
    assert reader.elementwise and reader.table is table


def test_elements_a_few_at_a_time_read_as_all_at_once():
    reader = TokenReader(nn.Embedding(10, 4), columns=3)
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    whole = reader(ids, torch.tensor([0]))
    parts = [reader(ids[:, i : i + 2], torch.tensor([i])) for i in range(0, 5, 2)]
    assert torch.equal(torch.cat([part.embeddings for part in parts], 1), whole.embeddings)
    assert torch.equal(torch.cat([part.coordinates for part in parts], 1), whole.coordinates)


def test_positions_are_added_by_the_number_of_the_element():
    table, positions = nn.Embedding(10, 4), nn.Embedding(6, 4)
    read = TokenReader(table, columns=3, positions=positions)(torch.tensor([[7, 2]]), torch.tensor([3]))
    assert torch.equal(read.embeddings[0], table.weight[[7, 2]] + positions.weight[[3, 4]])


def test_digits_of_a_code_are_those_of_its_quantizer():
    levels = (4, 2, 3)
    quantizer = FSQ(levels)
    digits = Digits(quantizer, 5, first=7)
    codes = torch.arange(24)[None]
    rows = [torch.arange(sum(levels[:i]), sum(levels[: i + 1])) for i in range(3)]
    where = [(quantizer.lookup(codes)[..., i] * (levels[i] // 2) + levels[i] // 2).round().long() for i in range(3)]
    expected = sum(digits.rows.weight[rows[i][where[i]]] for i in range(3))
    torch.testing.assert_close(digits(codes + 7), expected)


def test_digits_of_signs_are_a_row_for_each_sign():
    digits = Digits(LFQ(3), 5)
    assert torch.equal(digits(torch.tensor([[6]]))[0, 0], digits.rows.weight[[1, 3, 4]].sum(0))


def test_digits_are_added_to_the_row_of_a_code():
    table, digits = nn.Embedding(20, 4), Digits(FSQ((4, 3)), 4, first=8)
    ids = torch.tensor([[9, 19]])
    read = TokenReader(table, digits=digits)(ids, torch.tensor([0]))
    assert torch.equal(read.embeddings, table(ids) + digits(ids))


def test_an_adaptor_takes_rows_to_the_trunks_width_and_positions_are_added_behind_it():
    table, adaptor, positions = nn.Embedding(10, 3), nn.Linear(3, 5), nn.Embedding(4, 5)
    reader = TokenReader(table, columns=2, adaptor=adaptor, positions=positions)
    read = reader(torch.tensor([[7, 2]]), torch.tensor([1]))
    torch.testing.assert_close(read.embeddings[0], adaptor(table.weight[[7, 2]]) + positions.weight[1:3])


def test_several_codes_of_an_element_are_read_side_by_side():
    quantizer = FSQ((4, 3))
    table, digits, adaptor, positions = nn.Embedding(12, 3), Digits(quantizer, 3), nn.Linear(6, 5), nn.Embedding(4, 5)
    reader = TokenReader(table, columns=2, digits=digits, adaptor=adaptor, positions=positions, levels=2)
    ids = torch.tensor([[[7, 2], [0, 11]]])
    read = reader(ids, torch.tensor([1]))
    rows = (table(ids) + digits(ids))[0]
    assert read.predicts.tolist() == [0, 1] and read.coordinates[0].tolist() == [[0, 0, 1], [0, 1, 0]]
    for i in range(2):
        torch.testing.assert_close(read.embeddings[0, i], adaptor(torch.cat([rows[i, 0], rows[i, 1]])) + positions.weight[1 + i])
