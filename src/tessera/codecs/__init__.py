"""Codecs: between raw segments and the clean elements that a model reads and writes."""

from tessera.codecs.autoencoder import Autoencoder
from tessera.codecs.base import Codec, Encoded
from tessera.codecs.canvas import Canvas
from tessera.codecs.convolutions import ConvDecoder, ConvEncoder
from tessera.codecs.couplings import Couplings
from tessera.codecs.features import Features
from tessera.codecs.films import FilmDecoder, FilmEncoder, FilmVQGAN, ToldDecoder
from tessera.codecs.flow import NormalizingFlow, Settled
from tessera.codecs.folded import Folded
from tessera.codecs.former import CausalFormer
from tessera.codecs.lines import Lines
from tessera.codecs.painting import Painter
from tessera.codecs.patches import Patches, cosines
from tessera.codecs.quantizers import FSQ, LFQ, VQ, Residual
from tessera.codecs.shifted import Shifted
from tessera.codecs.text import BPE, Markers, Padding
from tessera.codecs.tiles import Tiled, Tiles
from tessera.codecs.unquantized import Unquantized
from tessera.codecs.vae import VAE, square_vae
from tessera.codecs.vqgan import VQGAN, chameleon_vqgan, llamagen_vq, magvit_v2

__all__ = [
    "BPE",
    "FSQ",
    "LFQ",
    "VAE",
    "VQ",
    "VQGAN",
    "Autoencoder",
    "Canvas",
    "CausalFormer",
    "Codec",
    "ConvDecoder",
    "ConvEncoder",
    "Couplings",
    "Encoded",
    "Features",
    "FilmDecoder",
    "FilmEncoder",
    "FilmVQGAN",
    "Folded",
    "Lines",
    "Markers",
    "NormalizingFlow",
    "Padding",
    "Painter",
    "Patches",
    "Residual",
    "Settled",
    "Shifted",
    "Tiled",
    "Tiles",
    "ToldDecoder",
    "Unquantized",
    "chameleon_vqgan",
    "cosines",
    "llamagen_vq",
    "magvit_v2",
    "square_vae",
]
