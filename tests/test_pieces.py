from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from tessera.codecs import Patches
from tessera.document import Image
from tessera.laws import Categorical
from tessera.orders import Next
from tessera.pieces import Later, Piece, assemble, join, number, pack, place, read, spread
from tessera.places import PADDING, View
from tessera.ports import Port
from tessera.readers import Read, TokenReader, grid_coordinates

CPU = torch.device("cpu")
PUBLIC, PRIVATE = View.PUBLIC, View.PRIVATE


class Pair(NamedTuple):
    values: torch.Tensor
    times: torch.Tensor


class Timed(nn.Module):
    """Reads numbers behind a place that holds their time; sends the numbers round the trunk, and a condition."""

    elementwise = False

    def forward(self, visible, start):
        embeddings = torch.cat([visible.times[:, None], visible.values], 1)[..., None].expand(-1, -1, 4)
        count = visible.values.shape[1]
        coordinates = torch.cat([torch.zeros(len(start), 1, 3, dtype=torch.long), grid_coordinates(start, count, 2)], 1)
        return Read(embeddings, torch.arange(count) + 1, coordinates, condition=embeddings * 10, aside=visible.values)


def port(number: int, reader: nn.Module | None = None, **parts) -> Port:
    made = Port(f"port{number}", Image, codec=Patches(), reader=reader or TokenReader(nn.Embedding(50, 4)), **parts)
    made.number = number
    return made


def piece(count: int, *, by: Port | None = None, **facts) -> Piece:
    """A piece that has been read: `count` places, each standing for one element."""
    one = Piece(by or port(0), None, -1, **facts)
    one.count, one.predicts = count, np.arange(count)
    return one


@pytest.mark.parametrize(
    ("lengths", "capacity", "rows"),
    [
        ([3, 5, 4, 2], 8, [[1, 0], [2, 3]]),
        ([3, 3, 3], 6, [[0, 1], [2]]),
        ([9, 1, 1], 4, [[0], [1, 2]]),  # what is longer than a row has one to itself
        ([1, 2, 3], 0, [[2], [1], [0]]),
        ([], 8, []),
    ],
)
def test_rows_are_filled_by_first_fit_longest_first(lengths, capacity, rows):
    assert pack(lengths, capacity) == rows


@pytest.mark.parametrize("capacity", [0, 1, 40, 128, 10_000])
def test_halves_are_spread_evenly(capacity):
    dice = np.random.default_rng(0)
    kinds = np.array([(46, 6), (16, 18), (0, 30), (24, 10)])
    halves = [(int(given), int(learned)) for given, learned in kinds[dice.integers(4, size=64)] + dice.integers(5, size=(64, 2))]
    padded = lambda rows: len(rows) * sum(max(sum(halves[d][side] for d in row) for row in rows) for side in (0, 1))
    spreading, total = spread(halves, capacity), sum(map(sum, halves))
    assert sorted(d for row in spreading for d in row) == list(range(64)) and all(spreading)
    assert len(spreading) == (min(64, -(-total // capacity)) if capacity else 64)
    if capacity == 128:
        assert padded(spreading) < 0.85 * padded(pack([sum(half) for half in halves], capacity))
        assert padded(spreading) < 1.2 * total


def test_halves_of_nothing_are_spread_too():
    assert spread([], 8) == [] and spread([(0, 0), (0, 0)], 0) == [[0], [1]] and spread([(300, 0), (1, 0)], 128) == [[0], [1]]


def test_segments_are_numbered_and_views_share_theirs():
    pieces = [piece(1), piece(2), piece(2, again=True), piece(1)]
    assert number(pieces) == 3 and [p.segment for p in pieces] == [0, 1, 1, 2]
    assert number(pieces, 7) == 10 and [p.segment for p in pieces] == [7, 8, 8, 9]


def test_positions_run_on_and_before_counts_back_to_the_last_public_place():
    pieces = [piece(1), piece(3), piece(2)]
    number(pieces)
    assert place(pieces, 10) == 16
    assert [p.order for p in pieces] == [10, 11, 14] and [p.before for p in pieces] == [0, 1, 1]


def test_two_views_share_positions_and_the_longer_one_counts():
    text, private, public, after = piece(2), piece(4, view=PRIVATE), piece(5, again=True), piece(1)
    pieces = [text, private, public, after]
    number(pieces)
    assert place(pieces) == 8  # 2 + 5 + 1
    assert [p.order for p in pieces] == [0, 2, 2, 7]
    assert [p.before for p in pieces] == [0, 1, 5, 1]  # the public view looks back past the private one


def test_a_private_view_is_no_place_to_predict_from():
    pieces = [piece(2), piece(3, view=PRIVATE), piece(1)]
    number(pieces)
    place(pieces)
    assert pieces[2].order == 5 and pieces[2].before == 4


def test_room_keeps_positions_free():
    pieces = [piece(1), piece(2, room=6), piece(1)]
    number(pieces)
    assert place(pieces) == 8 and [p.order for p in pieces] == [0, 1, 7]


@pytest.mark.parametrize(("lead", "expected"), [(1, [14, 20, 21]), (0, [20, 21, 22])])
def test_elements_are_answered_for_by_their_own_place_or_the_one_before(lead, expected):
    order = Next()
    order.lead = lead
    one = piece(3, by=port(0, writer=nn.Identity(), order=order, law=Categorical(allowed=[0])))
    one.offset, one.before = 20, 6
    assert one.answers().tolist() == expected


def test_added_places_shift_what_answers():
    one = piece(4, by=port(0, writer=nn.Identity(), order=Next(), law=Categorical(allowed=[0])))
    one.predicts, one.offset, one.before = np.array([1, 2, 3]), 20, 6
    assert one.answers().tolist() == [20, 21, 22]


def test_join_goes_field_by_field():
    first, second = Pair(torch.tensor([1.0]), torch.tensor(2.0)), Pair(torch.tensor([3.0]), torch.tensor(4.0))
    both = join([first, second], torch.stack)
    assert isinstance(both, Pair) and both.values.tolist() == [[1.0], [3.0]] and both.times.tolist() == [2.0, 4.0]
    assert join([first.values, second.values], torch.cat).tolist() == [1.0, 3.0]


def test_texts_of_any_length_are_read_in_one_run():
    tokens, calls = port(0, TokenReader(nn.Embedding(50, 4), columns=2)), []
    tokens.reader.register_forward_hook(lambda module, inputs, output: calls.append(inputs))
    pieces = [Piece(tokens, torch.tensor(ids), -1, start=start) for ids, start in (([5, 6, 7], 0), ([8], 3), ([9, 9], 1))]
    everything = read(pieces, CPU)
    assert len(calls) == 1
    for one, ids, at in zip(pieces, ([5, 6, 7], [8], [9, 9]), (0, 3, 4), strict=True):
        assert (one.at, one.count, one.predicts.tolist()) == (at, len(ids), list(range(len(ids))))
        assert torch.equal(everything.embeddings[at : at + one.count], tokens.reader.table.weight[ids])
    assert everything.coordinates.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [0, 0, 1], [0, 1, 0]]
    assert everything.condition is None


def test_other_readers_run_once_per_shape_and_may_add_places():
    timed, tokens, calls = port(1, Timed()), port(0), []
    timed.reader.register_forward_hook(lambda module, inputs, output: calls.append(len(inputs[1])))
    numbers = [[1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0]]
    pieces = [Piece(timed, Pair(torch.tensor(values), torch.tensor(0.5)), 1) for values in numbers]
    text = Piece(tokens, torch.tensor([1, 2]), 1)
    everything = read([*pieces[:1], text, *pieces[1:]], CPU)
    assert sorted(calls) == [1, 2]
    for one, values in zip(pieces, numbers, strict=True):
        assert one.count == len(values) + 1 and one.predicts.tolist() == list(range(1, len(values) + 1))
        mine = slice(one.at, one.at + one.count)
        assert everything.embeddings[mine, 0].tolist() == [0.5, *values] and one.aside.tolist() == values
        assert everything.condition[mine, 0].tolist() == [5.0, *(10 * value for value in values)]
    assert everything.condition[text.at : text.at + 2].abs().sum() == 0 and text.aside is None


def test_rows_are_assembled_side_by_side_and_padded():
    tokens, timed = port(0), port(1, Timed())
    text = lambda *ids, **facts: Piece(tokens, torch.tensor(ids), 1, **facts)
    picture = Piece(timed, Pair(torch.tensor([1.0, 2.0]), torch.tensor(0.5)), 1, view=PRIVATE, learned=True)
    documents = [[text(3), picture, text(4)], [text(5, 6)], [text(7, 8, 9, 10)]]
    everything = read([one for pieces in documents for one in pieces], CPU)
    for i, pieces in enumerate(documents):
        number(pieces)
        place(pieces)
        for one in pieces:
            one.document = i
    batch = assemble([documents[2], [*documents[0], *documents[1]]], everything)
    p = batch.places
    none = PADDING
    assert p.document.tolist() == [[2, 2, 2, 2, none, none, none], [0, 0, 0, 0, 0, 1, 1]]
    assert p.segment[1].tolist() == [0, 1, 1, 1, 2, 0, 0] and p.port[1].tolist() == [0, 1, 1, 1, 0, 0, 0]
    assert p.view[1].tolist() == [0, 1, 1, 1, 0, 0, 0] and p.learned[1].tolist() == [0, 1, 1, 1, 0, 0, 0]
    assert p.order[:, :5].tolist() == [[0, 1, 2, 3, none], [0, 1, 2, 3, 4]] and p.order[1, 5:].tolist() == [0, 1]
    assert p.begins[1].tolist() == [0, 1, 1, 1, 4, 0, 0]
    assert p.column[1].tolist() == [0, 0, 0, 1, 0, 0, 0] and (p.writes[1] == 1).all()
    table = tokens.reader.table.weight
    assert torch.equal(batch.embeddings[0, :4], table[[7, 8, 9, 10]]) and batch.embeddings[0, 4:].abs().sum() == 0
    assert torch.equal(batch.embeddings[1, [0, 4, 5, 6]], table[[3, 4, 5, 6]])
    assert batch.embeddings[1, 1:4, 0].tolist() == [0.5, 1.0, 2.0] and batch.condition[1, 1:4, 0].tolist() == [5.0, 10.0, 20.0]
    assert [(one.row, one.offset) for pieces in documents for one in pieces] == [(1, 0), (1, 1), (1, 4), (1, 5), (0, 0)]


def test_a_segment_that_comes_a_few_at_a_time_begins_where_its_first_place_was():
    tokens = port(0)
    pieces = [Piece(tokens, torch.tensor(ids), 1, turn=2, passed=passed) for ids, passed in (([4, 5], 3), ([6], 0))]
    everything = read(pieces, CPU)
    number(pieces)
    place(pieces, 10)
    places = assemble([pieces], everything).places
    assert places.order[0].tolist() == [10, 11, 12] and places.begins[0].tolist() == [7, 7, 12] and places.turn[0].tolist() == [2, 2, 2]


def test_later_pieces_are_made_anew_each_time():
    made = []

    def make() -> list[list[Piece]]:
        made.append(len(made))
        return [[made[-1]], [-1]]

    later = Later(make, 2)
    assert len(later) == 2 and made == []
    assert list(later) == [[0], [-1]] and later[0] == [1] and list(later) == [[2], [-1]]
