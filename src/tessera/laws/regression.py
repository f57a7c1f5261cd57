"""Regression: one value, as it is predicted."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from tessera.draws import Draw, Streams
from tessera.laws.base import Drawn, Sampling, guide
from tessera.orders.base import Seen
from tessera.precision import precise
from tessera.writers import Writer

Distance = Callable[[Tensor, Tensor], Tensor]


def squared_error(said: Float[Tensor, "answer feature"], target: Float[Tensor, "answer feature"]) -> Float[Tensor, "answer"]:
    """The mean over features of the squared difference."""
    return (said - target).square().mean(-1)


def cosine_distance(said: Float[Tensor, "answer feature"], target: Float[Tensor, "answer feature"]) -> Float[Tensor, "answer"]:
    """One less the cosine between both (MetaMorph, arXiv:2412.14164, section 2.2)."""
    return 1 - F.cosine_similarity(said, target, dim=-1)


class Regression:
    """A distance from the target; what is drawn is what is predicted. It has no likelihood.

    `distance` compares predictions with targets. `unit` makes what is drawn unit vectors, where the distance knows directions only.
    What a writer says behind as many features as the target has (variances of a diffusion) is drawn, and not learned. Guidance moves
    the first `guided` features, or all; the others are those under the prompt.
    """

    def __init__(
        self, distance: Distance = squared_error, *, unit: bool = False, guided: int | None = None, sampling: Sampling = Sampling()
    ):
        self.distance, self.unit, self.guided, self.sampling = distance, unit, guided, sampling

    def noise(self, target: Tensor, draw: Draw) -> None:
        """Nothing is drawn in training."""
        return None

    def loss(
        self,
        writer: Writer,
        hidden: Float[Tensor, "answer width"],
        aside: Tensor | None,
        target: Float[Tensor, "answer feature"],
        noise: Tensor | None,
    ) -> Float[Tensor, "answer"]:
        """The distance of each."""
        said = writer(hidden, aside)[..., : target.shape[-1]]
        return self.distance(precise(said), target.to(said.device))

    def draw(self, writer: Writer, seen: Seen, sampling: Sampling, rng: Streams) -> Drawn:
        """The prediction, guided; equally sure of all."""
        branches = writer(seen.hidden, seen.aside)
        said = guide(branches, sampling.guidance)
        if self.guided is not None:
            said = torch.cat([said[..., : self.guided], branches[0, ..., self.guided :]], -1)
        value = F.normalize(said, dim=-1) if self.unit else said
        return Drawn(value, value.new_zeros(len(value)))
