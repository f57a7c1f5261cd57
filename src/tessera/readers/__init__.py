"""Readers: what a port shows of a segment, turned into trunk width."""

from tessera.readers.adaptive import AdaptiveReader, Middle
from tessera.readers.base import Read, Reader, grid_coordinates
from tessera.readers.encoded import T5, EncodedReader
from tessera.readers.eye import EyeReader
from tessera.readers.features import FeatureReader
from tessera.readers.framed import FramedReader
from tessera.readers.hidden import HiddenReader
from tessera.readers.linear import LinearReader
from tessera.readers.noisy import GridReader, NoisyReader
from tessera.readers.rows import RowReader
from tessera.readers.soft import SoftReader
from tessera.readers.tiles import TileReader
from tessera.readers.timed import TimedReader, square_sines
from tessera.readers.tokens import Digits, TokenReader

__all__ = [
    "T5",
    "AdaptiveReader",
    "Digits",
    "EncodedReader",
    "EyeReader",
    "FeatureReader",
    "FramedReader",
    "GridReader",
    "HiddenReader",
    "LinearReader",
    "Middle",
    "NoisyReader",
    "Read",
    "Reader",
    "RowReader",
    "SoftReader",
    "TileReader",
    "TimedReader",
    "TokenReader",
    "grid_coordinates",
    "square_sines",
]
