"""Writers: hidden states turned into what a law needs."""

from tessera.writers.adapted import AdaptedWriter
from tessera.writers.base import Partial, Whole, Writer
from tessera.writers.chain import ChainWriter
from tessera.writers.denoising import DenoisingWriter
from tessera.writers.grid import GridWriter
from tessera.writers.linear import LinearWriter
from tessera.writers.mlp import MLPWriter

__all__ = ["AdaptedWriter", "ChainWriter", "DenoisingWriter", "GridWriter", "LinearWriter", "MLPWriter", "Partial", "Whole", "Writer"]
