"""Published diffusion heads; and dice that show what theirs did."""

from torch import Tensor

from tessera.draws import Streams
from tessera.hub.denoising import HEAD, head_for
from tessera.hub.filling import filled
from tessera.writers import DenoisingWriter


def head(weights: dict[str, Tensor]) -> DenoisingWriter:
    """The head that these weights belong to."""
    return filled(head_for(weights), HEAD, weights)


class Official(Streams):
    """Stands in for Streams: noise as the official code drew it."""

    def __init__(self, *drawn: Tensor):
        self.queue = list(drawn)

    def normal(self, *shape: int) -> Tensor:
        noise = self.queue.pop(0)
        assert noise.shape[1:] == shape
        return noise
