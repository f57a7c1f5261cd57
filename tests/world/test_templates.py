import pytest
import torch

from tessera.world.figures import FULL, coverage
from tessera.world.scene import EASY, STANDARD, Size
from tessera.world.templates import looks, make_bank, shrink


def test_looks_are_all_kinds_and_digits_in_all_sizes():
    assert len(looks(EASY)) == 6
    assert len(looks(STANDARD)) == (8 + 5) * 2
    assert len(set(looks(STANDARD))) == 26


def test_an_unblurred_template_is_the_renderers_mask():
    bank = make_bank(STANDARD, 0.05, (1.0,), (0.0, 0.25))
    side = 2 * bank.reach + 1
    for template in range(bank.masks.shape[1]):
        look = bank.looks[bank.look[template]]
        x, y = bank.x[template].item(), bank.y[template].item()
        cover = torch.from_numpy(coverage(look.kind, look.digit, STANDARD.radius[look.size], x, y))
        edge = bank.reach - cover.shape[0] // 2
        inner = bank.masks[:, template].view(side, side)[edge : side - edge, edge : side - edge]
        assert (inner == cover).all()


def test_blur_keeps_the_sum_and_whole_numbers():
    sharp, soft = (make_bank(EASY, blur, (1.0,), (0.0,)) for blur in (0.05, 0.9))
    assert (soft.masks == soft.masks.round()).all()
    assert soft.masks.max() <= FULL
    torch.testing.assert_close(soft.masks.sum(0), sharp.masks.sum(0), rtol=0.02, atol=0)


def test_banks_that_differ_in_blur_have_the_same_order():
    sharp, soft = (make_bank(STANDARD, blur, (0.93, 1.0), (-0.5, 0.0)) for blur in (0.3, 1.5))
    assert all(torch.equal(getattr(sharp, name), getattr(soft, name)) for name in ("look", "x", "y"))


def test_the_shrunk_bank_has_a_quarter_of_the_sum_and_the_same_middle():
    bank = make_bank(EASY, 0.3, (1.0,), (0.0,))
    small = shrink(bank)
    circle = small.masks[:, 0].view(2 * small.reach, 2 * small.reach)
    assert circle.sum().item() == pytest.approx(bank.masks[:, 0].sum().item() / 4, rel=0.01)
    assert torch.equal(circle, circle.flip(0)) and torch.equal(circle, circle.flip(1))
    assert bank.looks[0].size is Size.MEDIUM
