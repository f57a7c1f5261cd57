"""Chain: several codes in one place, written one after another by a small head behind the trunk."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tessera.draws import Draw, Streams
from tessera.laws.base import Drawn, Sampling
from tessera.laws.categorical import Categorical
from tessera.orders.base import Seen
from tessera.writers import Writer


class Chain:
    """A sequence of `length` codes inside one element, each by the law `link`, given those before it and what the trunk says.

    A writer is told the codes so far besides (`ChainWriter`), and says logits for as many codes and one more. Guidance, temperature
    and the cuts of the tail are the link's: they work on each code in turn, the next one sees what was drawn. So temperature 0 takes the
    likeliest code each time, which need not be the likeliest whole. The confidence is that of the whole.
    Source: the RQ-Transformer (Lee et al. 2022, arXiv:2203.01941), section 3.2, for residual codes; for the codes of a piece of a grid
    SynerGen-VL (Li et al. 2024, arXiv:2412.09604).
    """

    def __init__(self, link: Categorical, *, length: int):
        self.link, self.length = link, length
        self.allowed, self.sampling = link.allowed, link.sampling

    def noise(self, target: Tensor, draw: Draw) -> None:
        """Nothing is drawn in training."""
        return None

    def loss(
        self,
        writer: Writer,
        hidden: Float[Tensor, "answer width"],
        aside: Tensor | None,
        target: Int[Tensor, "answer level"],
        noise: Tensor | None,
    ) -> Float[Tensor, "answer"]:
        """Nats per element: the sum over its codes."""
        said = writer(hidden, aside, target[:, :-1])
        return self.link.loss(_as_said, said.flatten(0, 1), None, target.flatten(), None).unflatten(0, target.shape).sum(1)

    def draw(self, writer: Writer, seen: Seen, sampling: Sampling, rng: Streams) -> Drawn:
        """Code after code, all answers side by side; the head is asked in every branch, and starts over each time: chains are short."""
        branches, answers = seen.hidden.shape[:2]
        codes = self.allowed.new_zeros(answers, 0, device=seen.hidden.device)
        confidence = seen.hidden.new_zeros(answers, dtype=torch.float64)
        for _ in range(self.length):
            said = writer(seen.hidden, seen.aside, codes.expand(branches, *codes.shape))[..., -1, :]
            drawn = self.link.draw(_as_said, Seen(said), sampling, rng)
            codes, confidence = torch.cat([codes, drawn.value[:, None]], 1), confidence + drawn.confidence
        return Drawn(codes, confidence)


def _as_said(hidden: Tensor, aside: Tensor | None, *told: Tensor) -> Tensor:
    """A writer of hidden states that are logits already."""
    return hidden
