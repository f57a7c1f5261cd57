"""Canvas: how long a text is where that must be known before the first word is."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from tessera.document import Document, Text


@dataclass(frozen=True)
class Canvas:
    """The ids that a learned text is written on, in any order: `answer` where it goes on from a text before it, else `alone`.

    A shorter text ends with its first `end`, and more of them fill the canvas; a longer one is learned as far as the canvas goes.
    """

    alone: int
    answer: int

    def __post_init__(self):
        if self.alone < 1 or self.answer < 1:
            raise ValueError(f"Canvas: {self.alone} and {self.answer} ids; at least 1 is accepted; raise it")

    def size(self, document: Document, i: int) -> int:
        """How many ids learned text `i` of the document has."""
        return self.answer if i and isinstance(document[i - 1], Text) else self.alone

    def laid(self, clean: Int[Tensor, "..."], document: Document, i: int, end: int) -> Int[Tensor, "..."]:
        """The text as it lies on its canvas."""
        size = self.size(document, i)
        return torch.cat([clean[:size], clean.new_full((max(0, size - len(clean)),), end)])


def up_to(clean: Int[Tensor, "..."], end: int) -> Int[Tensor, "..."]:
    """The ids as far as the first `end`, which is the last of them; all where there is none."""
    ends = (clean == end).nonzero()[:, 0]
    return clean[: int(ends[0]) + 1] if len(ends) else clean
