"""Mixture: an element of continuous features, drawn from one of several diagonal Gaussians."""

from math import log, pi
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tessera.draws import Draw, Streams
from tessera.laws.base import Drawn, Sampling, guide
from tessera.orders.base import Seen
from tessera.precision import precise
from tessera.writers import Writer

WIDER = 2  # how much wider than both branches a guided draw may range around what the prompt alone would say


class Gaussians(NamedTuple):
    """The mixture of each answer. `log_shares` are logarithms of shares that sum to 1."""

    log_shares: Float[Tensor, "*answers component"]
    means: Float[Tensor, "*answers component feature"]
    deviations: Float[Tensor, "*answers component feature"]

    def log_density(self, value: Float[Tensor, "*answers feature"]) -> Float[Tensor, "*answers"]:
        """Of one value per answer, in nats."""
        apart = (value.unsqueeze(-2) - self.means) / self.deviations
        each = -0.5 * apart.square() - self.deviations.log() - 0.5 * log(2 * pi)
        return (self.log_shares + each.sum(-1)).logsumexp(-1)

    def of(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, per feature, of one component for each answer."""
        index = which[..., None, None].expand(*which.shape, 1, self.means.shape[-1])
        return self.means.gather(-2, index)[..., 0, :], self.deviations.gather(-2, index)[..., 0, :]


class Mixture:
    """The negative log density of a mixture of `components` diagonal Gaussians over `features`, in nats, and draws from it.

    A writer says `parameters` numbers: a logit for each component, then for each component its means and what its standard
    deviations come from, (r + sqrt(r^2 + 4)) / 2, at least `floor`. Temperature divides the logits and multiplies the
    deviations; at 0 the mean of the likeliest component is taken.

    Guidance draws a component by the logits, then each feature from the product of both branches' Gaussians, asked ^ guidance
    * dropped ^ (1 - guidance), which is a Gaussian itself. Above 1 it may lie where neither branch has been: what is drawn is
    then kept with the probability that a Gaussian of twice their width around the asked one allows, `tries` times, and falls
    back to the asked one; so it does where the product is no density because the dropped branch is the narrower one.
    Source: Tschannen et al. 2023, arXiv:2312.02116 (GIVT); JetFormer, arXiv:2411.19722, and its published code, which rejects draws
    from the wide Gaussian by the guided one: the same distribution. Differs: one temperature for logits and deviations,
    the published code has one each; below guidance 1, which it does not have, logits are guided too.
    """

    def __init__(self, *, components: int, features: int, floor: float = 1e-6, tries: int = 16, sampling: Sampling = Sampling()):
        self.components, self.features, self.floor, self.tries, self.sampling = components, features, floor, tries, sampling
        self.parameters = components * (1 + 2 * features)

    def gaussians(self, said: Float[Tensor, "*answers value"]) -> Gaussians:
        """The mixtures that a writer's numbers stand for."""
        logits, rest = said.split([self.components, said.shape[-1] - self.components], -1)
        means, raw = rest.unflatten(-1, (self.components, 2, self.features)).unbind(-2)
        half = (raw.abs() + (raw.square() + 4).sqrt()) / 2  # for r below 0 the other root, lest digits cancel
        deviations = torch.where(raw < 0, 1 / half, half).clamp(min=self.floor)
        return Gaussians(logits.log_softmax(-1), means, deviations)

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
        """Nats per element. Where a codec learns, its gradient comes through `target`."""
        said = precise(writer(hidden, aside))
        return -self.gaussians(said).log_density(target.to(said.dtype))

    def draw(self, writer: Writer, seen: Seen, sampling: Sampling, rng: Streams) -> Drawn:
        """One value per answer. Guided or not, as many numbers are drawn: guidance 1 then draws what no guidance draws."""
        said = self.gaussians(writer(seen.hidden, seen.aside).double())
        asked, dropped = Gaussians(*(one[0] for one in said)), Gaussians(*(one[-1] for one in said))
        which = self._component(asked, dropped, sampling, rng)
        (centre, plain), (_, other) = asked.of(which), dropped.of(which)
        mean, deviation = product(asked.of(which), dropped.of(which), sampling.guidance)
        noise, chance = rng.normal(self.tries, self.features).double(), rng.uniform(self.tries, self.features)
        drawn = mean[:, None] + sampling.temperature * deviation[:, None] * noise
        if sampling.guidance > 1 and sampling.temperature > 0:
            wide = WIDER * sampling.temperature * torch.maximum(plain, other)
            apart = (drawn - centre[:, None]) / wide[:, None]
            kept = chance.log() < 0.5 * (noise.square() - apart.square())
            instead = centre + sampling.temperature * plain * noise[:, 0]
            value = torch.where(kept.any(1), first(drawn, kept), instead)
        else:
            value = drawn[:, 0]
        return Drawn(value.to(seen.hidden.dtype), asked.log_density(value))

    def _component(self, asked: Gaussians, dropped: Gaussians, sampling: Sampling, rng: Streams) -> Int[Tensor, "answer"]:
        """Above guidance 1 the asked branch alone decides, as in the published code."""
        logits = guide(torch.stack([asked.log_shares, dropped.log_shares]), min(sampling.guidance, 1.0))
        if sampling.temperature == 0:
            return logits.argmax(-1)
        cumulative = (logits / sampling.temperature).softmax(-1).cumsum(-1)
        return torch.searchsorted(cumulative, rng.uniform(1) * cumulative[:, -1:], right=True)[:, 0]


Gaussian = tuple[Float[Tensor, "answer feature"], Float[Tensor, "answer feature"]]  # means and standard deviations


def product(asked: Gaussian, dropped: Gaussian, guidance: float) -> Gaussian:
    """asked ^ guidance * dropped ^ (1 - guidance), feature by feature; the asked one where that is no density."""
    (mean, deviation), (other, spread) = asked, dropped
    mine, theirs = guidance / deviation.square(), (1 - guidance) / spread.square()
    precision = mine + theirs
    proper = precision > 0
    precision = precision.where(proper, 1.0)
    return torch.where(proper, (mine * mean + theirs * other) / precision, mean), torch.where(proper, precision.rsqrt(), deviation)


def first(drawn: Float[Tensor, "answer attempt feature"], kept: Bool[Tensor, "answer attempt feature"]) -> Float[Tensor, "answer feature"]:
    """Of each feature the first attempt that was kept."""
    return drawn.gather(1, kept.int().argmax(1, keepdim=True))[:, 0]
