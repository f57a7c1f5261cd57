"""Readers: what a port shows of a segment, turned into trunk width."""

from tessera.readers.adaptive import AdaptiveReader
from tessera.readers.base import Read, Reader, grid_coordinates
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
    "AdaptiveReader",
    "Digits",
    "EyeReader",
    "FeatureReader",
    "FramedReader",
    "GridReader",
    "HiddenReader",
    "LinearReader",
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
