from math import log10

import pytest
import torch
from torch.nn.functional import cosine_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from tessera.scoring.pictures import perceptual_distance, psnr, ssim


def pair(seed: int, noise: float = 0.1, shape=(4, 3, 32, 24)) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    first = torch.rand(shape, generator=rng)
    return first, (first + noise * torch.randn(shape, generator=rng)).clamp(0, 1)


def test_psnr_by_hand():
    black = torch.zeros(2, 3, 4, 4)
    grey = torch.stack([torch.full((3, 4, 4), 0.1), torch.zeros(3, 4, 4)])
    assert psnr(black, grey, data_range=1.0).tolist() == [pytest.approx(20), float("inf")]
    assert psnr(black, grey, data_range=2.0)[0].item() == pytest.approx(20 + 20 * log10(2))


def test_psnr_as_torchmetrics():
    first, second = pair(0)
    theirs = peak_signal_noise_ratio(second, first, data_range=1.0, reduction="none", dim=(1, 2, 3))
    assert torch.allclose(psnr(first, second, data_range=1.0), theirs.double(), rtol=1e-5)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("data_range", [1.0, 2.0])
def test_ssim_as_torchmetrics(noise, data_range):
    first, second = (data_range * x.double() for x in pair(1, noise))
    _, whole = structural_similarity_index_measure(second, first, data_range=data_range, reduction="none", return_full_image=True)
    theirs = whole[..., 5:-5, 5:-5].flatten(1).mean(1)  # the windows that lie wholly inside
    assert torch.allclose(ssim(first, second, data_range=data_range), theirs, atol=1e-9)


def test_ssim_of_flat_pictures_is_their_luminance():
    a, b = torch.full((1, 1, 16, 16), 0.2), torch.full((1, 1, 16, 16), 0.6)
    assert ssim(a, b, data_range=1.0).item() == pytest.approx((2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4), rel=1e-6)


def test_ssim_needs_room_for_its_window():
    small = torch.zeros(1, 3, 8, 16)
    with pytest.raises(ValueError, match="8 x 16 pixels; at least 11 x 11"):
        ssim(small, small, data_range=1.0)


def test_perceptual_distance_is_of_directions():
    layers = [pair(seed, 0.3, (2, 8, size, size)) for seed, size in ((2, 8), (3, 4))]
    first, second = zip(*layers, strict=True)
    expected = sum((2 - 2 * cosine_similarity(a.double(), b.double())).flatten(1).mean(1) for a, b in layers)
    assert torch.allclose(perceptual_distance(first, second), expected)
    assert torch.allclose(perceptual_distance(first, [5 * b for b in second]), expected)
    assert perceptual_distance(first, first).abs().max() == 0
    assert perceptual_distance(first[:1], [-first[0]]).tolist() == pytest.approx([4.0, 4.0])
