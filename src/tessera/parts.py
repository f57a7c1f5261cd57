"""Parts that several systems share, each with the stage that trains it: once for all of them, by `tessera parts --make`."""

from tessera.codecs import Autoencoder
from tessera.codecs.quantizers import Quantizer
from tessera.document import Task
from tessera.stages import Stage

MIX = {Task.DRAW: 0.4, Task.CAPTION: 0.2, Task.QUESTION: 0.3, Task.TEXT: 0.1}  # the world's own


def codes(quantizer: Quantizer, *, channels: int = 64, pixels: int = 32, stride: int = 8) -> tuple[Autoencoder, Stage]:
    """Pictures as codes of squares. At the default sizes trained in about 3 minutes on one core."""
    codec = Autoencoder(quantizer=quantizer, pixels=pixels, stride=stride, channels=channels)
    return codec, Stage("codec", learner=codec, train=(codec,), documents=210_000, mix=MIX, lr=2e-3, weight_decay=0.0)
