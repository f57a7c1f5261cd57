"""Readers: what a port shows of a segment, turned into trunk width."""

from tessera.readers.base import Read, Reader, grid_coordinates
from tessera.readers.eye import EyeReader
from tessera.readers.features import FeatureReader
from tessera.readers.tokens import Digits, TokenReader

__all__ = ["Digits", "EyeReader", "FeatureReader", "Read", "Reader", "TokenReader", "grid_coordinates"]
