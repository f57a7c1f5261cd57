"""Categorical: one of finitely many values, by softmax."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tessera.draws import Draw, Streams
from tessera.laws.base import Drawn, Sampling, guide
from tessera.orders.base import Seen
from tessera.precision import precise
from tessera.writers import Partial, Writer


class Categorical:
    """Cross-entropy, in nats, and draws under temperature, top-k and top-p.

    `allowed`, ids that rise, keeps markers and the other modality's ids of a shared vocabulary out of what is drawn; learning
    still sees all of it, unless they are the `only` values there are (a mask is none). `sampling` is how to draw unless
    asked otherwise. `z_loss` weighs the square of the log partition function, which keeps logits from drifting (Chameleon,
    arXiv:2405.09818, section 2.3, uses 1e-5).
    """

    def __init__(
        self, *, allowed: Sequence[int] | Int[Tensor, "value"], only: bool = False, sampling: Sampling = Sampling(), z_loss: float = 0.0
    ):
        self.allowed, self.only, self.sampling, self.z_loss = torch.as_tensor(allowed), only, sampling, z_loss

    def noise(self, target: Tensor, draw: Draw) -> None:
        """Nothing is drawn in training."""
        return None

    def loss(
        self,
        writer: Writer,
        hidden: Float[Tensor, "answer width"],
        aside: Tensor | None,
        target: Int[Tensor, "answer"],
        noise: Tensor | None,
    ) -> Float[Tensor, "answer"]:
        """Nats per element, plus the z-loss where there is one."""
        logits = precise(writer(hidden, aside))
        possible = logits.index_select(-1, self.allowed.to(logits.device)) if self.only else logits
        log_partition = possible.logsumexp(-1)
        nats = log_partition - logits.gather(-1, target[:, None])[:, 0]
        return nats + self.z_loss * log_partition.square() if self.z_loss else nats

    def draw(self, writer: Writer, seen: Seen, sampling: Sampling, rng: Streams) -> Drawn:
        """One value per answer by inverting the distribution function at one uniform number each."""
        allowed = self.allowed.to(seen.hidden.device)
        logits = self._guided(writer, seen, sampling, allowed)
        if sampling.temperature == 0:
            p = logits.softmax(-1)
            index = logits.argmax(-1)
        else:
            p = truncate((logits / sampling.temperature).softmax(-1), sampling.top_k, sampling.top_p)
            cumulative = p.cumsum(-1)
            index = torch.searchsorted(cumulative, rng.uniform(1) * cumulative[:, -1:], right=True)[:, 0]
        return Drawn(allowed[index], p.gather(-1, index[:, None])[:, 0].log())

    def entropy(self, writer: Writer, seen: Seen, sampling: Sampling) -> Float[Tensor, "answer"]:
        """What is left open among the values that may be drawn, in nats, at temperature 1."""
        log_p = self._guided(writer, seen, sampling, self.allowed.to(seen.hidden.device)).log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def _guided(self, writer: Writer, seen: Seen, sampling: Sampling, allowed: Int[Tensor, "value"]) -> Float[Tensor, "answer value"]:
        """Logits of the allowed values, both branches as one, in float64."""
        return guide(self._possible(writer, seen, allowed).double(), sampling.guidance)

    def _possible(self, writer: Writer, seen: Seen, allowed: Int[Tensor, "value"]) -> Float[Tensor, "branch answer value"]:
        """Logits of the allowed values: where two modalities share a vocabulary, most of the others need not be computed."""
        first, last = int(self.allowed[0]), int(self.allowed[-1])
        if isinstance(writer, Partial) and last - first + 1 == len(self.allowed):
            return writer.some(seen.hidden, slice(first, last + 1))
        return writer(seen.hidden, seen.aside).index_select(-1, allowed)


def truncate(p: Float[Tensor, "answer value"], top_k: int | None, top_p: float | None) -> Float[Tensor, "answer value"]:
    """Probabilities with the tail set to 0: beyond the `top_k` likeliest, and beyond the fewest that hold `top_p`.

    What is left is not normalised again. Ties at the edge keep the lower value.
    """
    if top_k is None and top_p is None:
        return p
    ordered, index = p.sort(dim=-1, descending=True, stable=True)
    kept = torch.ones_like(ordered, dtype=torch.bool)
    if top_k is not None:
        kept[:, top_k:] = False
    if top_p is not None:
        kept &= ordered.cumsum(-1) - ordered < top_p
    return torch.zeros_like(p).scatter(-1, index, ordered * kept)
