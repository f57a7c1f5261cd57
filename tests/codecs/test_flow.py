"""Soft tokens: pictures come back, and the nats of a picture are those of a density of pixels."""

import math

import pytest
import torch
from torch import nn

from tessera.codecs import Couplings, NormalizingFlow, Settled
from tessera.codecs.patches import cosines, patchify
from tessera.draws import Draw
from tessera.laws import Mixture
from tessera.world import LEVELS, World
from tessera.writers import LinearWriter

KINDS = ("channels",) * 6


def soft(*, pixels: int = 8, patch: int = 4, kept: int = 6, noise=(64.0, 3.0), width: int = 32, basis=None) -> NormalizingFlow:
    """A flow whose couplings do something."""
    features = 3 * patch**2
    couplings = Couplings(columns=pixels // patch, features=features, kinds=KINDS, width=width)
    for coupling in couplings.couplings:
        nn.init.normal_(coupling.adviser.out.weight, std=0.3 * coupling.adviser.out.in_features**-0.5)
        nn.init.normal_(coupling.adviser.out.bias, mean=0.5, std=0.3)
    return NormalizingFlow(couplings, pixels=pixels, patch=patch, kept=kept, noise=noise, basis=basis).eval()


def draws(count: int, progress: float = 0.0, seed: int = 1) -> list[Draw]:
    return [Draw(seed, i, progress=progress) for i in range(count)]


def world_pictures(count: int) -> list[torch.Tensor]:
    world = World(LEVELS["standard"])
    return [world.picture(world.scene(i)) for i in range(count)]


def test_a_flow_that_keeps_all_loses_nothing():
    pictures = world_pictures(6)
    codec = soft(pixels=32, patch=8, kept=192, width=64, basis=cosines(8))
    clean = codec.encode(pictures, draws(6)).clean
    back = codec.decode(clean.detach())
    assert clean.shape == (6, 16, 192) and back.dtype == torch.uint8
    off = (back.int() - torch.stack(pictures).int()).abs()
    assert off.max() <= 1 and off.bool().float().mean() < 1e-3  # the noise that fills a unit may touch its edge
    exact = codec.double()
    assert torch.equal(exact.decode(exact.encode(pictures, draws(6)).clean.detach()), torch.stack(pictures))


def test_what_is_no_token_is_drawn_anew_by_the_segments_own_draw(pictures):
    codec = soft()
    clean = codec.encode(list(pictures), draws(4)).clean.detach()
    assert clean.shape == (4, 4, 6) and codec.blank().shape == clean[0].shape
    assert torch.equal(codec.decode(clean), codec.decode(list(clean))), "without draws, always the same"
    drawn = codec.decode(clean, draws(4, seed=5))
    assert not torch.equal(drawn, codec.decode(clean)) and not torch.equal(drawn, codec.decode(clean, draws(4, seed=6)))
    assert torch.equal(drawn[2], codec.decode(clean[2:3], [Draw(5, 2)])[0])


def test_pixels_are_filled_and_noised_by_the_documents_own_draw(pictures):
    codec = soft(noise=(40.0, 4.0))
    filled = codec.filled(list(pictures), draws(4), noisy=False)
    assert torch.equal(filled.floor(), pictures.float())
    fraction = (filled - filled.floor()).flatten()
    assert 0 <= fraction.min() and fraction.max() < 1 and fraction.mean() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(filled[1], codec.filled([pictures[1]], [Draw(1, 1)], noisy=False)[0])
    codec.train()
    for progress, strength in ((0.0, 40.0), (0.5, 22.0), (1.0, 4.0)):
        noised = codec.filled(list(pictures), draws(4, progress), noisy=True).floor() - pictures
        assert codec.strength(progress) == pytest.approx(strength)
        assert noised.std().item() == pytest.approx(strength, rel=0.1) and torch.equal(noised, noised.round())
    noisy, plain = codec.encode(list(pictures), draws(4)).clean, codec.eval().encode(list(pictures), draws(4)).clean
    assert not torch.allclose(noisy, plain)


def test_nats_are_those_of_the_jacobian_from_values_to_features(pictures):
    codec, picture = soft(basis=cosines(4)).double(), pictures[0]

    def features(values):
        return codec.couplings(patchify(values.view(1, 3, 8, 8) / 127.5 - 1, 4) @ codec.basis.T)[0].flatten()

    values = codec.filled([picture], [Draw(1, 0)], noisy=False)[0]
    log_det = torch.linalg.slogdet(torch.autograd.functional.jacobian(features, values.flatten())).logabsdet
    other = features(values).view(4, 48)[:, 6:]
    expected = -torch.distributions.Normal(0.0, 1.0).log_prob(other).sum() - log_det
    encoded = codec.encode([picture], [Draw(1, 0)])
    torch.testing.assert_close(encoded.nats[0], expected)
    torch.testing.assert_close(encoded.clean[0], features(values).view(4, 48)[:, :6])


class OnePixel:
    """A picture of one pixel: three values, one of them the token, whose law is a mixture; small enough to integrate."""

    def __init__(self):
        self.codec = soft(pixels=1, patch=1, kept=1, noise=(0.0, 0.0), width=16).double()
        self.law = Mixture(components=3, features=1)
        self.writer = LinearWriter(2, self.law.parameters, bias=True).double()
        nn.init.normal_(self.writer.out.bias)

    def nats(self, picture: torch.Tensor, some: list[Draw]) -> torch.Tensor:
        """What each draw says of the picture."""
        clean, nats = self.codec.encode([picture] * len(some), some)
        return nats + self.law.loss(self.writer, torch.ones(len(some), 2).double(), None, clean[:, 0], None)

    @torch.no_grad()
    def log_density(self, values: torch.Tensor) -> torch.Tensor:
        """Of pixels [n, 3], from 0 to 256, put together from its parts."""
        z, log_det = self.codec.couplings(values[:, None] / 127.5 - 1)
        gaussians = self.law.gaussians(self.writer(torch.ones(len(values), 2).double()))
        rest = torch.distributions.Normal(0.0, 1.0).log_prob(z[:, 0, 1:]).sum(-1)
        return gaussians.log_density(z[:, 0, :1]) + rest + log_det - 3 * math.log(127.5)


def cube(start: torch.Tensor, side: float, steps: int) -> torch.Tensor:
    """The middles of `steps` cells along each side of a cube."""
    axis = (torch.arange(steps, dtype=torch.float64) + 0.5) * side / steps
    return start + torch.cartesian_prod(axis, axis, axis)


def test_the_density_of_pixels_is_one():
    tiny = OnePixel()
    start, side, steps = torch.full((3,), -400.0).double(), 1060.0, 60
    mass = tiny.log_density(cube(start, side, steps)).exp().sum() * (side / steps) ** 3
    assert mass == pytest.approx(1.0, abs=0.01)


def test_nats_bound_a_picture_whose_chance_is_integrated_on_a_grid():
    tiny = OnePixel()
    for value in ((3, 120, 250), (160, 160, 160)):
        picture = torch.tensor(value, dtype=torch.uint8).view(3, 1, 1)
        inside = tiny.log_density(cube(torch.tensor(value).double(), 1.0, 24))
        exact, bound = -inside.exp().mean().log(), -inside.mean()
        with torch.no_grad():
            drawn = tiny.nats(picture, draws(4000))
        assert drawn.mean().item() == pytest.approx(bound.item(), abs=5 * drawn.std().item() / 4000**0.5 + 1e-3)
        assert exact <= bound + 1e-9


def test_gradient_reaches_every_weight_of_the_flow(pictures):
    codec = soft().train()
    clean, nats = codec.encode(list(pictures), draws(4))
    (clean.square().sum() + nats.sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in codec.parameters())


def test_a_settled_flow_reads_without_noise_and_without_gradient(pictures):
    codec = soft().train()
    settled = Settled(codec)
    encoded = settled.encode(list(pictures), draws(4))
    assert encoded.nats is None and not encoded.clean.requires_grad
    assert torch.equal(encoded.clean, codec.eval().encode(list(pictures), draws(4)).clean)
    assert torch.equal(settled.decode(encoded.clean, draws(4)), codec.decode(encoded.clean, draws(4)))
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:4] = True
    assert settled.keep(mask).tolist() == codec.keep(mask).tolist() == [True, True, False, False]
    assert torch.equal(settled.blank(), codec.blank())


@pytest.mark.parametrize("change", [{"patch": 3}, {"kept": 0}, {"kept": 49}], ids=str)
def test_what_does_not_fit_is_refused(change):
    couplings = Couplings(columns=2, features=48, kinds=("channels",), width=16)
    with pytest.raises(ValueError, match=r"NormalizingFlow: patch .* are accepted; change the one outside"):
        NormalizingFlow(couplings, **{"pixels": 8, "patch": 4, "kept": 6, **change})
