"""What a watcher of writing is told, in order, row by row."""

from dataclasses import dataclass, field

from torch import Tensor

from tessera.codecs.base import Codec


@dataclass(frozen=True, eq=False)
class TextPiece:
    """More of a text: `text` continues what was told before of this segment."""

    segment: int
    text: str
    row: int = field(default=0, kw_only=True)


@dataclass(frozen=True, eq=False)
class PictureStarted:
    """A picture begins."""

    segment: int
    row: int = field(default=0, kw_only=True)


@dataclass(frozen=True, eq=False)
class PicturePart:
    """Part of a picture: `known`, from 0 to 1, is how much of it is decided. `picture()` decodes it as it stands."""

    segment: int
    known: float
    clean: Tensor
    codec: Codec
    row: int = field(default=0, kw_only=True)

    def picture(self) -> Tensor:
        """uint8 [3, height, width], blank where nothing is decided. Costs one decoding."""
        return self.codec.decode([self.clean])[0]


@dataclass(frozen=True, eq=False)
class PictureFinished:
    """A picture is done: uint8 [3, height, width]."""

    segment: int
    picture: Tensor
    row: int = field(default=0, kw_only=True)


Event = TextPiece | PictureStarted | PicturePart | PictureFinished
