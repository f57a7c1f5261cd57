"""The mixture: its density against torch's, its draws against closed forms and the published way to guide, and what it learns."""

import math

import pytest
import torch
from scipy.stats import ks_2samp, kstest, norm
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from tessera.draws import Draw, Streams, generator
from tessera.laws import Mixture, Sampling
from tessera.laws.mixture import product
from tessera.orders.base import Seen
from tessera.writers import LinearWriter

F64 = torch.float64
SHARES = torch.tensor([0.5, 0.3, 0.2], dtype=F64)
MEANS = torch.tensor([[0.0, 2.0], [4.0, -1.0], [-3.0, -3.0]], dtype=F64)
DEVIATIONS = torch.tensor([[0.5, 1.5], [1.0, 0.2], [0.3, 0.7]], dtype=F64)
COUNT = 20_000


def as_it_is(hidden, aside):
    """A writer whose hidden states are what the law wants to know."""
    return hidden


def said(shares, means, deviations) -> torch.Tensor:
    """What a writer must say for this mixture: r of s = (r + sqrt(r^2 + 4)) / 2 is s - 1 / s."""
    rest = torch.stack([means, deviations - 1 / deviations], -2)
    return torch.cat([shares.log(), rest.flatten(-3)], -1)


def closed_form(shares, means, deviations) -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(shares), Independent(Normal(means, deviations), 1))


def draw(*branches, count=COUNT, tries=16, **sampling) -> torch.Tensor:
    components, features = branches[0][1].shape
    law = Mixture(components=components, features=features, tries=tries)
    hidden = torch.stack([said(*branch) for branch in branches])[:, None].expand(-1, count, -1)
    return law.draw(as_it_is, Seen(hidden), Sampling(**sampling), Streams([generator(0)], [count], hidden)).value


@pytest.mark.parametrize("components, features", [(1, 1), (3, 2), (8, 16)])
def test_the_loss_is_the_negative_log_density(components, features):
    law = Mixture(components=components, features=features)
    hidden, value = torch.randn(40, law.parameters, dtype=F64), 2 * torch.randn(40, features, dtype=F64)
    shares, means, deviations = law.gaussians(hidden)
    loss = law.loss(as_it_is, hidden, None, value, None)
    torch.testing.assert_close(loss, -closed_form(shares.exp(), means, deviations).log_prob(value))


def test_what_a_writer_says_is_read_as_published():
    law = Mixture(components=2, features=3)
    numbers = torch.randn(law.parameters, dtype=F64)
    shares, means, deviations = law.gaussians(numbers)
    torch.testing.assert_close(shares.exp(), numbers[:2].softmax(-1))
    torch.testing.assert_close(means, torch.stack([numbers[2:5], numbers[8:11]]))
    raw = torch.stack([numbers[5:8], numbers[11:14]])
    torch.testing.assert_close(deviations, (raw + (raw**2 + 4).sqrt()) / 2)


def test_narrow_gaussians_keep_their_digits_and_the_floor_holds():
    law = Mixture(components=1, features=3, floor=1e-3)
    numbers = torch.tensor([0.0, 0.0, 0.0, 0.0, -500.0, 0.0, -1e6])
    deviations = law.gaussians(numbers).deviations[0]
    torch.testing.assert_close(deviations, torch.tensor([1 / 500.002, 1.0, 1e-3]), rtol=1e-6, atol=0)


def test_losses_are_computed_in_float32_at_least():
    law = Mixture(components=4, features=2)
    hidden, value = torch.randn(9, law.parameters).bfloat16(), torch.randn(9, 2)
    loss = law.loss(as_it_is, hidden, None, value, None)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, law.loss(as_it_is, hidden.float(), None, value, None))


def test_draws_are_distributed_as_the_mixture():
    values = draw((SHARES, MEANS, DEVIATIONS))
    expected = closed_form(SHARES, MEANS, DEVIATIONS)
    torch.testing.assert_close(values.mean(0), expected.mean, atol=0.06, rtol=0)
    torch.testing.assert_close(values.var(0), expected.variance, atol=0.15, rtol=0)
    for feature in range(2):
        cdf = lambda x, j=feature: sum(float(p) * norm.cdf(x, m[j], s[j]) for p, m, s in zip(SHARES, MEANS, DEVIATIONS, strict=True))
        assert kstest(values[:, feature].numpy(), cdf).pvalue > 1e-3
    entropy = -expected.log_prob(expected.sample((COUNT,))).mean()
    torch.testing.assert_close(-expected.log_prob(values).mean(), entropy, atol=0.05, rtol=0)


def test_temperature_narrows_components_and_prefers_the_likely_ones():
    values = draw((SHARES, MEANS, DEVIATIONS), temperature=0.5)
    nearest = (values[:, None] - MEANS).square().sum(-1).argmin(-1)
    sharper = SHARES**2 / (SHARES**2).sum()
    torch.testing.assert_close(torch.bincount(nearest, minlength=3) / COUNT, sharper.float(), atol=0.015, rtol=0)
    for component in range(3):
        torch.testing.assert_close(values[nearest == component].std(0), DEVIATIONS[component] / 2, rtol=0.06, atol=0)
    assert torch.equal(draw((SHARES, MEANS, DEVIATIONS), count=3, temperature=0.0), MEANS[:1].expand(3, 2))


def one(mean: float, deviation: float):
    """A mixture of a single Gaussian of one feature."""
    return torch.ones(1, dtype=F64), torch.tensor([[mean]], dtype=F64), torch.tensor([[deviation]], dtype=F64)


def test_a_product_of_gaussians_is_its_density_normalised():
    x = torch.linspace(-12, 12, 20_001, dtype=F64)
    asked, dropped = Normal(1.0, 0.8), Normal(0.4, 1.3)
    for guidance in (0.0, 0.3, 1.0, 2.5):
        density = (guidance * asked.log_prob(x) + (1 - guidance) * dropped.log_prob(x)).exp()
        density /= density.sum()
        mean, deviation = product(one(1.0, 0.8)[1:], one(0.4, 1.3)[1:], guidance)
        torch.testing.assert_close(mean.squeeze(), (density * x).sum())
        torch.testing.assert_close(deviation.squeeze() ** 2, (density * (x - mean.squeeze()) ** 2).sum())


def published(asked: Normal, dropped: Normal, weight: float, tries: int = 1000, count: int = 3000) -> torch.Tensor:
    """Guided draws as in the published code: rejection from a wide Gaussian, in our own words; `weight` is guidance less one."""
    wide = Normal(asked.loc, 2 * torch.maximum(asked.scale, dropped.scale))
    density = lambda x: ((1 + weight) * asked.log_prob(x) - weight * dropped.log_prob(x)).exp()
    grid = asked.loc + torch.linspace(-10, 10, 1001, dtype=F64)
    bound = density(grid).max() / wide.log_prob(asked.loc).exp()
    x = wide.sample((tries, count))
    kept = torch.rand(tries, count, dtype=F64) * bound * wide.log_prob(x).exp() < density(x)
    return torch.where(kept.any(0), x.gather(0, kept.int().argmax(0)[None])[0], asked.sample((count,)))


@pytest.mark.parametrize(
    "asked, dropped, guidance",
    [((0.5, 1.0), (0.0, 1.0), 3.0), ((1.0, 0.5), (0.0, 1.0), 4.0), ((2.0, 1.0), (0.0, 1.1), 3.0), ((1.0, 1.0), (0.0, 0.6), 2.0)],
    ids=["mild", "narrower", "far", "no density"],
)
def test_guided_draws_are_those_of_the_published_code(asked, dropped, guidance):
    ours = draw(one(*asked), one(*dropped), guidance=guidance)[:, 0]
    theirs = published(*(Normal(torch.tensor(m, dtype=F64), torch.tensor(s, dtype=F64)) for m, s in (asked, dropped)), guidance - 1)
    assert ks_2samp(ours.numpy(), theirs.numpy()).pvalue > 1e-3
    assert ks_2samp(draw(one(*asked))[:, 0].numpy(), theirs.numpy()).pvalue < 1e-6 or guidance == 2.0, "guidance matters"


def test_guidance_draws_components_by_the_asked_branch():
    asked, dropped = (SHARES, MEANS, DEVIATIONS / 4), (SHARES.flip(0), MEANS, DEVIATIONS / 4)
    shares = lambda guidance: [
        float(share)
        for share in torch.bincount((draw(asked, dropped, guidance=guidance)[:, None] - MEANS).square().sum(-1).argmin(-1)) / COUNT
    ]
    assert shares(3.0) == pytest.approx(SHARES.tolist(), abs=0.015)
    assert shares(0.0) == pytest.approx(SHARES.flip(0).tolist(), abs=0.015)


def test_it_learns_a_conditional_density_to_its_entropy():
    """y is near sin x or -sin x, the more often the former the larger x: the loss must reach what nobody can be below."""
    rng, law = torch.Generator().manual_seed(3), Mixture(components=4, features=2)
    head = LinearWriter(48, law.parameters, bias=True)
    net = nn.Sequential(nn.Linear(1, 48), nn.GELU(), nn.Linear(48, 48), nn.GELU())

    def sample(count):
        x = torch.rand(count, 1, generator=rng) * 4 - 2
        sign = torch.where(torch.rand(count, 1, generator=rng) < (x / 2).sigmoid(), 1.0, -1.0)
        return x, torch.cat([sign * (1.5 + x.sin()), x], -1) + 0.15 * torch.randn(count, 2, generator=rng)

    def surprise(x, y):
        shares = torch.cat([(x / 2).sigmoid(), (-x / 2).sigmoid()], -1)
        means = torch.stack([torch.cat([sign * (1.5 + x.sin()), x], -1) for sign in (1.0, -1.0)], 1)
        return -closed_form(shares, means, torch.full_like(means, 0.15)).log_prob(y)

    optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=1e-2)
    for step in range(700):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 + math.cos(math.pi * step / 700)) / 2
        x, y = sample(256)
        optimizer.zero_grad()
        law.loss(head, net(x), None, y, law.noise(y, Draw(0))).mean().backward()
        optimizer.step()
    x, y = sample(20_000)
    with torch.no_grad():
        loss, least = law.loss(head, net(x), None, y, None).mean(), surprise(x, y).mean()
    assert -0.01 < float(loss - least) < 0.03, (float(loss), float(least))
