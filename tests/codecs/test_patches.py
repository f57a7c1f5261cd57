import pytest
import torch

from tessera.codecs import Patches
from tessera.codecs.patches import cosines, kept_patches, patchify, unpatchify


def test_squares_stand_in_reading_order_and_hold_channel_row_column():
    picture = torch.arange(2 * 4 * 6, dtype=torch.float32).view(1, 2, 4, 6)
    squares = patchify(picture, 2)
    assert squares.shape == (1, 6, 8)
    assert squares[0, 0].tolist() == [0, 1, 6, 7, 24, 25, 30, 31]
    assert squares[0, 1].tolist() == [2, 3, 8, 9, 26, 27, 32, 33]
    assert squares[0, 3, 0] == 12  # below the first


@pytest.mark.parametrize(("height", "wide", "patch"), [(8, 8, 4), (4, 12, 2), (6, 3, 3), (5, 7, 1)])
def test_unpatchify_undoes_patchify(height, wide, patch):
    picture = torch.randn(3, 2, height, wide)
    assert torch.equal(unpatchify(patchify(picture, patch), patch, wide // patch), picture)
    assert patchify(picture[:0], patch).shape == (0, *patchify(picture, patch).shape[1:])


def test_a_square_is_kept_if_all_its_pixels_are():
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[:2, :3] = True
    assert kept_patches(mask, 2).tolist() == [True, False, False, False]


def test_pictures_survive(pictures):
    codec = Patches(pixels=8, patch=4)
    clean = codec.encode(list(pictures)).clean
    assert clean.shape == (4, codec.elements, codec.features) == (4, 4, 48)
    assert torch.equal(codec.decode(list(clean)), pictures)
    assert codec.keep(torch.ones(8, 8, dtype=torch.bool)).all() and codec.blank().shape == clean[0].shape


def test_a_patch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="Patches: patch 5 in pictures of 32 pixels; the patch must divide them"):
        Patches(pixels=32, patch=5)


@pytest.mark.parametrize("patch", [1, 2, 8])
def test_cosines_are_a_basis_whose_first_features_are_the_coarsest(patch):
    basis = cosines(patch)
    torch.testing.assert_close(basis @ basis.T, torch.eye(3 * patch**2), atol=1e-5, rtol=0)
    grey, plain = torch.ones(3 * patch**2) * 0.5, torch.tensor([0.9, 0.1, -0.4]).repeat_interleave(patch**2)
    assert torch.allclose((basis @ grey)[1:], torch.zeros(3 * patch**2 - 1), atol=1e-5)
    assert torch.allclose((basis @ plain)[3:], torch.zeros(3 * patch**2 - 3), atol=1e-5)
    ramp = torch.linspace(-1, 1, patch).expand(3, patch, patch).flatten()
    energy = (basis @ ramp).square()
    assert patch == 1 or energy[:9].sum() > 0.95 * energy.sum(), "three colours of the mean and of two slopes"


def test_published_eyes_want_another_mean_and_spread(pictures):
    mean, spread = (0.48, 0.46, 0.4), (0.27, 0.26, 0.28)
    codec, column = Patches(pixels=8, patch=4, mean=mean, spread=spread), lambda colours: torch.tensor(colours).view(3, 1, 1)
    clean = codec.encode(list(pictures)).clean
    torch.testing.assert_close(clean, patchify((pictures / 255 - column(mean)) / column(spread), 4))
    assert torch.equal(codec.decode(list(clean)), pictures)
