"""Extras: auxiliary losses, by which the trunk learns to say of what it writes what a teacher sees in it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tessera.codecs.base import Codec
from tessera.document import Segment
from tessera.draws import Draw
from tessera.laws.regression import Distance, cosine_distance
from tessera.ports import Port
from tessera.precision import precise


class Extra(nn.Module):
    """A loss of its own name: the distance of what `head` says of hidden states inside the trunk from what `teacher` says.

    The hidden states are those at the observation point `point` (a module of the trunk) in the places that answer for what `port`
    learns; the teacher is shown the same segment, as `codec` encodes it, and has a vector for each of the port's elements. No gradient
    reaches it. A stage weighs the loss by its name. Sources: Yu et al. 2024, arXiv:2410.06940 (REPA), section 3.2; JanusFlow (Ma et al.
    2024, arXiv:2411.07975), section 3.2.
    """

    def __init__(
        self,
        name: str,
        *,
        port: Port,
        point: nn.Module,
        codec: Codec,
        teacher: nn.Module,
        head: nn.Module,
        distance: Distance = cosine_distance,
    ):
        super().__init__()
        self.name, self.teacher, self.head, self.distance = name, teacher, head, distance
        self._looks = port, point, codec  # in a tuple, because they are parts of the system, not of its extras

    @property
    def port(self) -> Port:
        """Whose learned segments it is about."""
        return self._looks[0]

    @property
    def point(self) -> nn.Module:
        """Where it looks into the trunk."""
        return self._looks[1]

    def shown(self, segment: Segment) -> Tensor:
        """What the teacher will be shown of a segment."""
        return self._looks[2].encode([segment.content], [Draw(0)]).clean[0]

    def loss(self, hidden: Float[Tensor, "answer width"], shown: Sequence[Tensor]) -> Float[Tensor, "answer"]:
        """The distance of each element, from the hidden states of segment after segment."""
        with torch.no_grad():
            taught = self.teacher(torch.stack(tuple(shown)).to(hidden.device)).flatten(0, 1)
        said = precise(self.head(hidden))
        assert said.shape == taught.shape, f"{self.name}: the head says {tuple(said.shape)}, the teacher {tuple(taught.shape)}"
        return self.distance(said, taught.to(said))


@contextmanager
def observed(points: Sequence[nn.Module]) -> Iterator[Mapping[nn.Module, Tensor]]:
    """What modules returned when they last ran, while this lasts."""
    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[module] = output

    handles = [point.register_forward_hook(keep) for point in dict.fromkeys(points)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
