"""Writers: hidden states turned into what a law needs."""

from tessera.writers.base import Writer
from tessera.writers.denoising import DenoisingWriter
from tessera.writers.linear import LinearWriter

__all__ = ["DenoisingWriter", "LinearWriter", "Writer"]
