"""Couplings: they are undone exactly, their determinant is the true one, and nothing else moves."""

import pytest
import torch
from torch import nn

from tessera.codecs import Couplings
from tessera.codecs.patches import patchify
from tessera.world import LEVELS, World

F64 = torch.float64
KINDS = {
    "channels": ("channels",) * 6,
    "spatial": ("spatial",) * 6,
    "mixed": ("channels", "channels", "spatial") * 2,
}


def flow(*, strength: float = 0.3, **changes) -> Couplings:
    """Couplings that do something, as built they change nothing: they mostly spread, as those that have learned pictures do."""
    made = Couplings(**{"columns": 2, "features": 6, "kinds": KINDS["channels"], "width": 16, **changes})
    for coupling in made.couplings:
        nn.init.normal_(coupling.adviser.out.weight, std=strength * coupling.adviser.out.in_features**-0.5)
        nn.init.normal_(coupling.adviser.out.bias, mean=0.5, std=strength)
    return made


def squares(count: int, patch: int) -> torch.Tensor:
    """Pictures of the world as squares from -1 to 1."""
    world = World(LEVELS["standard"])
    return patchify(torch.stack([world.picture(world.scene(i)) for i in range(count)]) / 127.5 - 1, patch)


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("patch", [4, 8])
@torch.no_grad()
def test_pictures_come_back(kinds, patch):
    made, x = flow(columns=32 // patch, features=3 * patch**2, width=64, kinds=2 * kinds), squares(4, patch)
    z, log_det = made(x)
    assert (z - x).abs().mean() > 0.3 and log_det.abs().min() > 10, "something happened"
    torch.testing.assert_close(made.inverse(z), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("features", [4, 5])
def test_the_determinant_is_that_of_the_jacobian(kinds, features):
    made, x = flow(features=features, kinds=kinds, strength=1.0).double(), torch.randn(3, 4, features, dtype=F64)
    _, log_dets = made(x)
    for one, log_det in zip(x, log_dets, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda flat: made(flat.view(1, 4, features))[0].flatten(), one.flatten())
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, log_det)
    assert log_dets.abs().min() > 0.1


@pytest.mark.parametrize("reach", [2.0, 4.0])
def test_nothing_changes_at_first_and_scales_stay_within_reach(reach):
    made, x = Couplings(columns=2, features=6, kinds=("channels",), width=16, reach=reach), torch.randn(5, 4, 6)
    z, log_det = made(x)
    torch.testing.assert_close(z, x)
    torch.testing.assert_close(log_det, torch.zeros(5), atol=1e-6, rtol=0)
    made.couplings[0].adviser.out.bias.data.fill_(50.0)
    most = made(x)[1]
    torch.testing.assert_close(most, torch.full((5,), 4 * 3 * torch.tensor(reach).log().item()))


def test_published_scales_are_twice_a_sigmoid():
    made, x = flow(kinds=("channels",), reach=2.0), torch.randn(2, 4, 6)
    (coupling,) = made.couplings
    still, moved = x[..., coupling.order].chunk(2, -1)
    shift, raw = coupling.adviser(still).chunk(2, -1)
    expected = torch.cat([still, (moved + shift) * 2 * raw.sigmoid()], -1)[..., coupling.back]
    torch.testing.assert_close(made(x)[0], expected)


def test_half_of_the_elements_pass_as_on_a_chessboard_and_then_the_others():
    made, x = flow(columns=4, kinds=("spatial", "spatial")), torch.randn(1, 16, 6)
    white = torch.tensor([(i // 4 + i % 4) % 2 == 0 for i in range(16)])
    for coupling, still in zip(made.couplings, (white, ~white), strict=True):
        y, _ = coupling(x)
        assert ((y == x).all(-1)[0] == still).all()


def test_orders_of_features_come_from_the_seed():
    def orders(seed: int) -> list[list[int]]:
        return [coupling.order.tolist() for coupling in flow(features=12, kinds=("channels",) * 3, seed=seed).couplings]

    assert orders(1) == orders(1) != orders(2)
    assert len({tuple(order) for order in orders(1)}) == 3 and all(sorted(order) == list(range(12)) for order in orders(1))


def test_a_flow_over_two_numbers_is_a_density():
    made = flow(columns=1, features=2, kinds=("channels",) * 4, strength=0.5).double()
    axis = torch.linspace(-20, 20, 321, dtype=F64)
    grid = torch.cartesian_prod(axis, axis)[:, None]
    with torch.no_grad():
        z, log_det = made(grid)
        log_density = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum((1, 2)) + log_det
    assert log_density.exp().sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1.0, abs=2e-3)
    away = (log_density.exp() - torch.distributions.Normal(0.0, 1.0).log_prob(grid).sum((1, 2)).exp()).abs().max()
    assert away > 0.02, "it is another density than the one it began with"


@pytest.mark.parametrize("change", [{"features": 1}, {"kinds": ("rows",)}, {"columns": 3, "kinds": ("spatial",)}, {"reach": 1.0}], ids=str)
def test_what_cannot_be_halved_is_refused(change):
    with pytest.raises(ValueError, match=r"Couplings: \d+ features .* are accepted; change the one outside"):
        flow(**change)
