"""What every reader says: what a port shows of a segment, turned into trunk width."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Read(NamedTuple):
    """What a reader returns for a batch of segments of one shape.

    `predicts` names the place that stands for each clean element (a reader may add places: a time token, row ends).
    `coordinates` (time, row, column) turn rotary positions. `condition`, a vector per place, goes to adaptive norms.
    `aside`, one entry per element, goes round the trunk to the writer.
    """

    embeddings: Float[Tensor, "batch place width"]
    predicts: Int[Tensor, "element"]
    coordinates: Int[Tensor, "batch place axis"]
    condition: Float[Tensor, "batch place width"] | None = None
    aside: Tensor | None = None


@runtime_checkable
class Reader(Protocol):
    """visible -> trunk width. `start` is the number of the first element: while writing, elements come a few at a time.

    Segments read in one batch have one shape and one start, unless `elementwise` says that each element is read alone:
    then they may be of any length.
    """

    elementwise: bool

    def __call__(self, visible: Any, start: Int[Tensor, "batch"]) -> Read: ...


def grid_coordinates(start: Int[Tensor, "batch"], elements: int, columns: int) -> Int[Tensor, "batch element 3"]:
    """Time 0 and the row and column of each element, numbered from `start` in reading order; all 0 where `columns` is 0."""
    if not columns:
        return start.new_zeros(len(start), elements, 3)
    number = start[:, None] + torch.arange(elements, device=start.device)
    return torch.stack([torch.zeros_like(number), number // columns, number % columns], -1)
