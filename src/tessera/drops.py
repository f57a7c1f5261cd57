"""Drops: how a system learns to write pictures without their prompt, which guidance compares with writing under it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch

from tessera.document import Document, Image, Segment, Text
from tessera.draws import Draw


@runtime_checkable
class Drop(Protocol):
    """What becomes of the segments before a picture when they are dropped.

    `rate` is the share of documents ending with a picture that lose what was before it in training. `hides` makes dropped
    segments invisible to all others.
    """

    @property
    def rate(self) -> float: ...

    @property
    def hides(self) -> bool: ...

    def left(self, segments: Sequence[Segment]) -> tuple[Segment, ...]: ...


@dataclass(frozen=True)
class Absent:
    """The prompt is left out: the picture stands alone."""

    rate: float = 0.1
    hides = False

    def left(self, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True)
class Hidden:
    """The prompt keeps its places, but nobody sees them: they are of a private view (JanusFlow, arXiv:2411.07975, in its code)."""

    rate: float = 0.1
    hides = True

    def left(self, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        """All of them, given and marked."""
        return tuple(replace(segment, learn=False, dropped=True) for segment in segments)


@dataclass(frozen=True)
class Replaced:
    """The prompt is read through the port that takes what is dropped (`Takes.DROPPED`): as padding, or as a learned null.

    Segments of a kind without such a port stay as they are, so a picture to be edited is still seen.
    """

    rate: float = 0.1
    hides = False

    def left(self, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        """All of them, given and marked."""
        return tuple(replace(segment, learn=False, dropped=True) for segment in segments)


@dataclass(frozen=True)
class Instead:
    """A text stands in place of the prompt: nothing, or what is not wanted (Emu3, arXiv:2409.18869, in its code)."""

    said: str = ""
    rate: float = 0.1
    hides = False

    def left(self, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        """That text alone."""
        return (Text(self.said),)


def now_and_then(drop: Drop, document: Document, draw: Draw) -> Document:
    """The document as it is learned: if it ends with a learned picture, dropped at the drop's rate."""
    *before, last = document
    if not (isinstance(last, Image) and last.learn) or torch.rand((), generator=draw.rng) >= drop.rate:
        return document
    return replace(document, segments=(*drop.left(before), last))
