import torch

from tessera.world.figures import FULL
from tessera.world.matching import Model, best_fit
from tessera.world.oracle import LEAST_SHARE
from tessera.world.scene import EASY
from tessera.world.templates import make_bank

BANK = make_bank(EASY, 0.3, (1.0,), (-0.25, 0.0, 0.25))
CONTRASTS = torch.tensor([[[54.0, -121.0, -120.0], [-140.0, -140.0, -140.0]]])


def test_every_template_is_its_own_best_fit():
    count = BANK.masks.shape[1]
    windows = torch.round(BANK.masks.T[:, None] * CONTRASTS[0, 1][None, :, None] / FULL)
    valid = torch.ones(count, windows.shape[2])
    for alone in (False, True):
        fit = best_fit(BANK, windows, valid, CONTRASTS.expand(count, -1, -1), alone=alone)
        assert torch.equal(fit.template, torch.arange(count))
        assert (fit.colour == 1).all()
        torch.testing.assert_close(fit.share, torch.ones(count), atol=0.02, rtol=0)


def test_an_empty_window_has_a_negative_share():
    fit = best_fit(BANK, torch.zeros(1, 3, len(BANK.masks)), torch.ones(1, len(BANK.masks)), CONTRASTS, alone=False)
    assert fit.share.item() < -0.9


def test_a_thing_of_half_the_contrast_does_not_count():
    windows = torch.round(BANK.masks[:, 0] * CONTRASTS[0, 1][:, None] / FULL / 2)[None]
    fit = best_fit(BANK, windows, torch.ones(1, windows.shape[2]), CONTRASTS[:, 1:], alone=False)
    assert fit.share.item() < LEAST_SHARE


def test_what_a_model_keeps_leaves_the_residual_and_comes_back_when_removed():
    picture = torch.zeros(2, 3, 32, 32)
    picture[:, :, 10:20, 8:18] = CONTRASTS[0, 0][:, None, None]
    model = Model(picture, CONTRASTS.expand(2, -1, -1), BANK, slots=2, margin=BANK.reach)
    at, centre = torch.tensor([1]), torch.tensor([15])
    coarse = make_bank(EASY, 0.3, (1.0,), (-2.0, -1.0, 0.0, 1.0, 2.0))
    model.margin = BANK.reach
    assert model.add(0, at, centre, centre - 2, coarse).item() > 0.3
    model.keep(0, at)
    assert model.left()[1].square().sum() < picture[1].square().sum() / 2
    assert torch.equal(model.left()[0], picture[0])
    model.remove(0, at)
    torch.testing.assert_close(model.left(), picture)
