"""Rows of users' data: what readers find in files, with the pictures still on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from tessera.document import Image, Segment, Task, Text


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes on disk, read when asked for: a whole file, or `length` bytes of it from `start` on."""

    file: Path
    start: int = 0
    length: int = -1

    def read(self) -> bytes:
        with self.file.open("rb") as file:
            file.seek(self.start)
            return file.read(self.length)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that makes no document: where it stands, in words ("line 3"), and why."""

    file: Path
    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, {self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture and its text: to draw from the text, or to caption."""

    file: Path
    where: str
    picture: Span
    text: str
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.DRAW, Task.CAPTION})

    @property
    def pictures(self) -> tuple[Span, ...]:
        return (self.picture,)

    def segments(self, task: Task, see: Callable[[Span], Tensor]) -> tuple[Segment, ...]:
        if task is Task.DRAW:
            return Text(self.text), Image(see(self.picture), learn=True)
        return Image(see(self.picture)), Text(self.text, learn=True)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Text and pictures in reading order. Pictures are given; each Text says whether it is learned."""

    file: Path
    where: str
    parts: tuple[Text | Span, ...]

    @property
    def pictures(self) -> tuple[Span, ...]:
        return tuple(part for part in self.parts if isinstance(part, Span))

    @property
    def tasks(self) -> frozenset[Task]:
        return frozenset({Task.QUESTION if self.pictures else Task.TEXT})

    def segments(self, task: Task, see: Callable[[Span], Tensor]) -> tuple[Segment, ...]:
        return tuple(Image(see(part)) if isinstance(part, Span) else part for part in self.parts)


Row = Pair | Conversation
