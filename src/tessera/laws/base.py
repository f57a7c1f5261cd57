"""What every law says: a loss in training, a draw in writing, and how guidance joins two branches."""

from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from tessera.draws import Draw, Streams
from tessera.orders.base import Seen
from tessera.writers import Writer


@dataclass(frozen=True)
class Sampling:
    """How a segment is written. A score is reported with all of it.

    `guidance` 1 is the model as it is, 0 the model without its prompt, more than 1 leans towards the prompt.
    `temperature` 0 takes the likeliest; `top_k` and `top_p` cut the tail of a categorical law; `steps` is how many
    passes an order takes that may choose, `nats` how much elements that become known in one of them may hold in common, at most,
    and `denoising` how many steps a law takes that walks from noise to each value.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    guidance: float = 1.0
    steps: int | None = None
    denoising: int | None = None
    nats: float | None = None

    def __post_init__(self):
        counts = [number for number in (self.top_k, self.steps, self.denoising) if number is not None]
        known = isfinite(self.temperature) and isfinite(self.guidance) and self.temperature >= 0
        shares = (self.top_p is None or 0 < self.top_p <= 1) and (self.nats is None or self.nats >= 0)
        if not known or any(number < 1 for number in counts) or not shares:
            raise ValueError(
                f"Sampling: {self}; temperature and nats >= 0, top_k, steps, denoising >= 1, 0 < top_p <= 1 and any guidance that is a "
                "number are accepted; change the one outside"
            )

    def __str__(self) -> str:
        said = ((name.replace("_", "-"), value) for name, value in vars(self).items() if value is not None)
        return ", ".join(f"{name} {value:g}" for name, value in said)


class Drawn(NamedTuple):
    """One value per answer, and how sure the law is of it: the logarithm of its probability or density; 0 where it has none."""

    value: Tensor
    confidence: Float[Tensor, "answer"]


@runtime_checkable
class Law(Protocol):
    """The distribution of one element. `noise` is drawn per document, so that losses do not depend on the batch.

    `sampling` is how to draw unless asked otherwise.
    """

    sampling: Sampling

    def noise(self, target: Tensor, draw: Draw) -> Tensor | None: ...

    def loss(
        self, writer: Writer, hidden: Tensor, aside: Tensor | None, target: Tensor, noise: Tensor | None
    ) -> Float[Tensor, "answer"]: ...

    def draw(self, writer: Writer, seen: Seen, sampling: Sampling, rng: Streams) -> Drawn: ...


@runtime_checkable
class Weighing(Protocol):
    """A law that can say how much it leaves open in each answer, in nats, under guidance; before temperature and cut tails."""

    def entropy(self, writer: Writer, seen: Seen, sampling: Sampling) -> Float[Tensor, "answer"]: ...


def guide(branches: Float[Tensor, "branch answer feature"], guidance: float) -> Float[Tensor, "answer feature"]:
    """Classifier-free guidance in the law's own space; the first branch saw the prompt, the second did not.

    Source: Ho and Salimans 2022, arXiv:2207.12598; 1 is no guidance here (their w is one less).
    """
    if len(branches) == 1:
        return branches[0]
    asked, dropped = branches
    return dropped.lerp(asked, guidance)
