"""Likelihood of pictures: what true ones cost a system whose codec is invertible and whose law is a density."""

from collections.abc import Sequence

import torch

from tessera.document import Document, Image
from tessera.draws import Draw
from tessera.laws import Mixture
from tessera.orders import Next
from tessera.system import System, evaluating


def has_likelihood(system: System) -> bool:
    """Whether the nats of its pictures are pixels' own: tokens one after another by a mixture, from a codec that adds its own."""
    port = system.port(Image(learn=True))
    written = isinstance(port.order, Next) and isinstance(port.law, Mixture)
    if not written:
        return False
    with evaluating(system), torch.no_grad():
        blank = port.codec.decode([port.codec.blank(None)])[0]
        return port.codec.encode([blank], [Draw(0)]).nats is not None


def picture_nats(system: System, documents: Sequence[Document], *, seed: int = 0) -> list[float]:
    """The nats of the learned pictures of each document, given all that stands before them: a bound, see `Flow`.

    Pixels are filled by one draw for each document. Raises ValueError where a system has no likelihood of pixels.
    """
    if not has_likelihood(system):
        raise ValueError(
            f"{system.name}: the likelihood of pictures; a density of tokens (Next, Mixture) over a codec that says its own nats (Flow) "
            "has one; ask for other scores"
        )
    name = system.port(Image(learn=True)).name
    with evaluating(system), torch.no_grad():
        return [float(system.losses([document], [Draw(seed, i)])[name][0]) for i, document in enumerate(documents)]
