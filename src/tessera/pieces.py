"""Pieces: how documents become rows of places. A piece is one view of one segment (or a marker), as one port reads it."""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tessera.grouping import alike
from tessera.places import COORDINATES, FIELDS, PADDING, Places, View
from tessera.ports import Port
from tessera.readers import Read

FACTS = len(FIELDS) - len(COORDINATES)


class Ahead(NamedTuple):
    """A document's next learned segment: the number of the port that writes it, -1 if there is none, and how many come before it."""

    writes: int
    turn: int


class Goal(NamedTuple):
    """What is learned of a piece: per element the target, whether it counts, and the law's noise; encoding's nats; its weight.

    Each element that counts stands for `stands_for`. `shown` is what the teacher of each of its port's auxiliary losses is shown.
    """

    target: Tensor
    where: Tensor
    noise: Tensor | None
    nats: Tensor | None = None
    weight: float = 1.0
    stands_for: float = 1.0
    shown: tuple[Tensor, ...] = ()


@dataclass(eq=False)
class Piece:
    """One entry into the trunk. `start` numbers its first element; `room` is the least positions its segment takes.

    `writes` and `turn` say what is Ahead. `learned` says that it belongs to what is learned: to a segment, or to the markers around it.
    `passed` is how many places of its segment passed the trunk before: while it is written, they come a few at a time.
    What stands below the line is filled in on the way: by `number`, `read`, `place` and `assemble`.
    """

    port: Port
    visible: Any
    writes: int
    turn: int = 0
    view: View = View.PUBLIC
    learned: bool = False
    goal: Goal | None = None
    start: int = 0
    room: int = 0
    passed: int = 0
    again: bool = False  # another view of the segment before it
    # ------------------------------------------------------------------
    document: int = 0
    segment: int = 0
    at: int = 0  # its first place among all that was read
    count: int = 0  # how many places it has
    predicts: np.ndarray = field(default_factory=lambda: np.arange(0))  # the place that stands for each element
    aside: Tensor | None = None
    order: int = 0  # causal position of its first place
    before: int = 0  # places between its first place and the last public place before its segment
    offset: int = 0  # its first place in its row
    row: int = 0

    def answers(self) -> np.ndarray:
        """The place in its row that answers for each element: its own, or `lead` places earlier."""
        at = self.predicts - self.port.order.lead
        assert self.before or not (at < 0).any(), f"nothing stands in front of a {self.port.name} that is to be predicted"
        return self.offset + np.where(at < 0, -self.before, at)


class Later(Sequence[list[Piece]]):
    """Pieces of documents that are made when they are looked at, anew each time: what they hold depends on weights that move."""

    def __init__(self, make: Callable[[], list[list[Piece]]], documents: int):
        self.make, self.documents = make, documents

    def __len__(self) -> int:
        return self.documents

    def __iter__(self) -> Iterator[list[Piece]]:
        return iter(self.make())

    def __getitem__(self, index: Any) -> Any:
        return self.make()[index]


class ReadAll(NamedTuple):
    """All places of some pieces, in the order in which readers ran."""

    embeddings: Float[Tensor, "place width"]
    condition: Float[Tensor, "place width"] | None
    coordinates: Tensor


class Batch(NamedTuple):
    """Rows of places, ready for the trunk."""

    embeddings: Float[Tensor, "row place width"]
    condition: Float[Tensor, "row place width"] | None
    places: Places


def leaves(visible: Any) -> list[Tensor]:
    """The tensors of something visible: one, or the fields of a named tuple."""
    return list(visible) if isinstance(visible, tuple) else [visible]


def content(piece: Piece) -> Hashable:
    """All that a piece says, before it is read: pieces of the same content become the same places."""
    stands = (piece.port.number, piece.view, piece.learned, piece.start, piece.room, piece.passed, piece.segment, piece.writes, piece.turn)
    seen = ((leaf.dtype, leaf.shape, leaf.flatten().view(torch.uint8).cpu().numpy().tobytes()) for leaf in leaves(piece.visible))
    return stands, *seen


def join(visibles: Sequence[Any], how: Callable[[tuple[Tensor, ...]], Tensor]) -> Any:
    """Several visibles made one by `how` (torch.stack, torch.cat), field by field."""
    first = visibles[0]
    return type(first)(*map(how, zip(*visibles, strict=True))) if isinstance(first, tuple) else how(tuple(visibles))


def read(pieces: Sequence[Piece], device: torch.device) -> ReadAll:
    """Every piece through its reader; readers run once per port, or once per port, shape and start where elements are not alone."""
    results, at = [], 0
    for numbers in alike(pieces, lambda piece: piece.port.number):
        mine = [pieces[i] for i in numbers]
        runs = [mine] if mine[0].port.reader.elementwise else _alike(mine)
        for run in runs:
            result = (_read_elements if run[0].port.reader.elementwise else _read_together)(run, at, device)
            at += result.embeddings.shape[0] * result.embeddings.shape[1]
            results.append(result)
    condition = None
    if any(r.condition is not None for r in results):
        condition = torch.cat([(torch.zeros_like(r.embeddings) if r.condition is None else r.condition).flatten(0, 1) for r in results])
    flat = [torch.cat([getattr(r, name).flatten(0, 1) for r in results]) for name in ("embeddings", "coordinates")]
    return ReadAll(flat[0], condition, flat[1])


def _alike(pieces: list[Piece]) -> list[list[Piece]]:
    """Of one shape and start: how many places a reader adds may depend on both (row ends)."""
    kind = lambda piece: (piece.start, *(leaf.shape for leaf in leaves(piece.visible)))
    return [[pieces[i] for i in numbers] for numbers in alike(pieces, kind)]


def _read_together(run: list[Piece], at: int, device: torch.device) -> Read:
    """Segments of one shape and start, side by side."""
    starts = torch.tensor([piece.start for piece in run], device=device)
    result = run[0].port.reader(join([moved(p.visible, device) for p in run], torch.stack), starts)
    predicts, count = result.predicts.cpu().numpy(), result.embeddings.shape[1]
    for i, piece in enumerate(run):
        piece.at, piece.count, piece.predicts = at + i * count, count, predicts
        piece.aside = None if result.aside is None else result.aside[i]
    return result


def _read_elements(run: list[Piece], at: int, device: torch.device) -> Read:
    """Segments of any lengths, as one batch of single elements."""
    lengths = [leaves(piece.visible)[0].shape[0] for piece in run]
    numbers = np.arange(max(lengths))
    starts = np.concatenate([numbers[:length] + piece.start for piece, length in zip(run, lengths, strict=True)])
    visible = moved(join([piece.visible for piece in run], torch.cat), device)
    alone = type(visible)(*(leaf[:, None] for leaf in visible)) if isinstance(visible, tuple) else visible[:, None]
    result = run[0].port.reader(alone, torch.from_numpy(starts).to(device))
    assert result.embeddings.shape[1] == 1, "an elementwise reader adds no places"
    done = 0
    for piece, length in zip(run, lengths, strict=True):
        piece.at, piece.count, piece.predicts = at + done, length, numbers[:length]
        piece.aside = None if result.aside is None else result.aside[done : done + length, 0]
        done += length
    return result


def moved(visible: Any, device: torch.device) -> Any:
    """Something visible, on that device."""
    return join([visible], lambda one: one[0].to(device))


def number(pieces: Sequence[Piece], first: int = 0) -> int:
    """Number the segments of a document, markers counted, from `first` on. Returns the next free number."""
    for piece in pieces:
        first += not piece.again
        piece.segment = first - 1
    return first


def place(pieces: Sequence[Piece], order: int = 0) -> int:
    """Causal positions for the pieces of one document, from `order` on. Returns the position behind the last.

    The views of a segment share their positions, and the segment takes as many as its longest view or its `room`.
    """
    offset, last = 0, 0
    for _, views in groupby(pieces, key=lambda piece: piece.segment):
        extent, latest = 0, last
        for piece in views:
            piece.order, piece.before = order, offset - last
            offset += piece.count
            extent = max(extent, piece.count, piece.room)
            if piece.view is View.PUBLIC:
                latest = offset - 1
        last, order = latest, order + extent
    return order


def assemble(rows: Sequence[Sequence[Piece]], everything: ReadAll) -> Batch:
    """Rows of pieces as padded tensors. All arithmetic on places is vectorised over the whole batch."""
    pieces = [piece for row in rows for piece in row]
    facts = np.array([_facts(piece) for piece in pieces]).T
    start, counts = np.array([(piece.at, piece.count) for piece in pieces]).T
    if len(pieces) == len(rows) and counts.max() == 1:  # one place a row, as in most passes of writing: nothing to lay out
        for number, piece in enumerate(pieces):
            piece.offset, piece.row = 0, number
        return _gather(everything, facts[:, :, None], start[:, None])
    first = np.concatenate([[0], counts.cumsum()[:-1]])  # of each piece, among all
    row = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    begin = first[np.cumsum([0, *map(len, rows[:-1])])]  # of each row, among all
    for piece, offset, number in zip(pieces, (first - begin[row]).tolist(), row.tolist(), strict=True):
        piece.offset, piece.row = offset, number
    owner = np.repeat(np.arange(len(pieces)), counts)
    within = np.arange(len(owner)) - first[owner]
    column = np.arange(len(owner)) - begin[row[owner]]
    shape = (len(rows), int(column.max()) + 1)
    packed = np.full((FACTS, *shape), PADDING)
    packed[:, row[owner], column] = facts[:, owner]
    packed[FIELDS.index("order"), row[owner], column] += within
    index = np.full(shape, PADDING)
    index[row[owner], column] = start[owner] + within
    return _gather(everything, packed, index)


def _facts(p: Piece) -> tuple[int, ...]:
    """What is true of its first place, in the order of FIELDS."""
    return p.document, p.segment, p.port.number, p.view, p.order, p.order - p.passed, p.learned, p.writes, p.turn


def _gather(everything: ReadAll, packed: np.ndarray, index: np.ndarray) -> Batch:
    device, padded = everything.embeddings.device, index.min() == PADDING
    at = torch.from_numpy(index).to(device)

    def rows_of(flat: Tensor) -> Tensor:
        return (torch.cat([flat, flat.new_zeros(1, flat.shape[1])]) if padded else flat)[at]

    coordinates = rows_of(everything.coordinates).movedim(-1, 0)
    places = Places(torch.cat([torch.from_numpy(packed).to(device), coordinates]))
    condition = None if everything.condition is None else rows_of(everything.condition)
    return Batch(rows_of(everything.embeddings), condition, places)


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Which documents share a row: first fit, longest first; a row holds at most `capacity` places, or one document.

    Rows that are padded once are filled best so; see `spread` for those whose halves are padded each.
    """
    rows: list[list[int]] = []
    left: list[int] = []
    for document in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        for i, space in enumerate(left):
            if lengths[document] <= space:
                rows[i].append(document)
                left[i] -= lengths[document]
                break
        else:
            rows.append([document])
            left.append(capacity - lengths[document])
    return rows


def spread(halves: Sequence[tuple[int, int]], capacity: int) -> list[list[int]]:
    """Which documents share a row, where what is given and what is learned are padded each: as alike in both as can be.

    There are as many rows as all places fill, each of about `capacity`, or one for each document. The largest go first, each to the row
    that it leaves the least full, by the half that is the fuller.
    """
    totals = [max(sum(half), 1) for half in zip(*halves, strict=True)]
    share = lambda half: max(size / total for size, total in zip(half, totals, strict=True))
    count = len(halves) if capacity < 1 else min(len(halves), math.ceil(sum(totals) / capacity))
    rows: list[list[int]] = [[] for _ in range(count)]
    held = [(0, 0)] * count
    for document in sorted(range(len(halves)), key=lambda i: -share(halves[i])):
        given, learned = halves[document]
        then = [(before[0] + given, before[1] + learned) for before in held]
        best = min(range(count), key=lambda row: (share(then[row]), sum(then[row]), len(rows[row])))
        rows[best].append(document)
        held[best] = then[best]
    return rows
