"""Drops: how a system learns to write without its prompt, which guidance compares with writing under it."""

from dataclasses import dataclass, replace

import torch

from tessera.document import Document, Image
from tessera.draws import Draw


@dataclass(frozen=True)
class Absent:
    """Guidance trained by leaving the prompt out: the dropped document holds the picture alone.

    `rate` is the share of drawing documents that lose their prompt in training.
    """

    rate: float = 0.1

    def train(self, document: Document, draw: Draw) -> Document:
        """The document as it is learned: now and then without what was given before its picture."""
        last = document[-1]
        if not (isinstance(last, Image) and last.learn) or torch.rand((), generator=draw.rng) >= self.rate:
            return document
        return replace(document, segments=(last,))

    def dropped(self, document: Document, index: int) -> Document | None:
        """The document before segment `index` without its prompt; None where guidance means nothing (text)."""
        return Document(()) if isinstance(document[index], Image) else None
