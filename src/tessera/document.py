"""What a model reads and writes: a document is a row of typed segments, each given or learned."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from torch import Tensor


class Task(Enum):
    """What a document asks of a model. Data are mixed, and losses may be weighted, by task."""

    DRAW = "draw"
    CAPTION = "caption"
    QUESTION = "question"
    TEXT = "text"
    EDIT = "edit"
    STORY = "story"
    READ = "read"


@dataclass(frozen=True, eq=False)
class Text:
    """A piece of text. `content` is None where a model shall write it; `learn` asks for that.

    `dropped` marks what guidance leaves unread (see drops.py).
    """

    content: str | None = None
    learn: bool = False
    dropped: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, eq=False)
class Image:
    """A picture: uint8 [3, height, width], sRGB; None where a model shall write it.

    `keep`, a bool tensor [height, width], gives part of a learned picture: True is given (in-painting).
    `dropped` marks what guidance leaves unread.
    """

    content: Tensor | None = None
    learn: bool = False
    keep: Tensor | None = None
    dropped: bool = field(default=False, kw_only=True)


Segment = Text | Image


@dataclass(frozen=True, eq=False)
class Document:
    """Segments in reading order, the task they make up, a stable name of their content, and how much their losses count."""

    segments: tuple[Segment, ...]
    task: Task | None = field(default=None, kw_only=True)
    id: str = field(default="", kw_only=True)
    weight: float = field(default=1.0, kw_only=True)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, index: int) -> Segment:
        return self.segments[index]

    @property
    def texts(self) -> list[str]:
        """What its texts say, in reading order; blank ones say nothing."""
        return [s.content for s in self.segments if isinstance(s, Text) and s.content is not None]

    @property
    def pictures(self) -> list[Tensor]:
        """Its pictures, in reading order, uint8 [3, height, width]; blank ones are none."""
        return [s.content for s in self.segments if isinstance(s, Image) and s.content is not None]
