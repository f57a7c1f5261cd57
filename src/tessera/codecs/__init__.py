"""Codecs: between raw segments and the clean elements that a model reads and writes."""

from tessera.codecs.autoencoder import Autoencoder
from tessera.codecs.base import Codec, Encoded
from tessera.codecs.couplings import Couplings
from tessera.codecs.flow import Flow, Settled
from tessera.codecs.patches import Patches, cosines
from tessera.codecs.quantizers import FSQ, VQ, Residual
from tessera.codecs.shifted import Shifted
from tessera.codecs.text import BPE, Markers

__all__ = [
    "BPE",
    "FSQ",
    "VQ",
    "Autoencoder",
    "Codec",
    "Couplings",
    "Encoded",
    "Flow",
    "Markers",
    "Patches",
    "Residual",
    "Settled",
    "Shifted",
    "cosines",
]
