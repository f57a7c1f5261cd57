"""Places: where each position of the trunk sits, and what may be known of it."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor


class View(IntEnum):
    """Who may read a place: all later segments, or only its own view of its own segment."""

    PUBLIC = 0
    PRIVATE = 1


FIELDS = ("document", "segment", "port", "view", "order", "begins", "learned", "writes", "turn", "time", "row", "column")
COORDINATES = FIELDS[-3:]
PADDING = -1  # the document of a place that pads a row
UNUSED = -2  # the document of a cached place that nobody has written


@dataclass(frozen=True, eq=False)
class Places:
    """Facts about places, packed: `data` is int64 [field, row, place].

    `document`: number within the batch, PADDING or UNUSED. `segment`: number within the document, markers counted.
    `port`: number of the port that reads it. `view`: see View. `order`: causal and rotary position, shared by the views
    of a segment; `begins`: that of its segment's first place. `learned`: 1 inside a segment to be learned, and in the markers
    around it. `writes`: the port of the document's next learned segment at or after this place, -1 if none; `turn`: how many
    are in front of it. `time`, `row`, `column`: coordinates inside the segment.
    """

    data: Int[Tensor, "field *axes"]

    def __getitem__(self, index: Any) -> "Places":
        """The same facts about some of the places: the index applies behind the field axis."""
        return Places(self.data[(slice(None), *(index if isinstance(index, tuple) else (index,)))])

    def cat(self, other: "Places") -> "Places":
        """These places followed by others, row by row."""
        return Places(torch.cat([self.data, other.data], -1))

    def _field(self, name: str) -> Tensor:
        return self.data[FIELDS.index(name)]

    document = property(lambda self: self._field("document"))
    segment = property(lambda self: self._field("segment"))
    port = property(lambda self: self._field("port"))
    view = property(lambda self: self._field("view"))
    order = property(lambda self: self._field("order"))
    begins = property(lambda self: self._field("begins"))
    learned = property(lambda self: self._field("learned"))
    writes = property(lambda self: self._field("writes"))
    turn = property(lambda self: self._field("turn"))
    time = property(lambda self: self._field("time"))
    row = property(lambda self: self._field("row"))
    column = property(lambda self: self._field("column"))
