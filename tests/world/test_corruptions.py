import pytest
import torch

from tessera.world.corruptions import JUDGED, REPORTED, blur, elastic, jpeg, resample, shift, slide

EVERY = JUDGED | REPORTED


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def pictures() -> torch.Tensor:
    pictures = torch.full((2, 3, 32, 32), 160, dtype=torch.uint8)
    pictures[:, 0, 8:16, 8:16] = 250
    return pictures


@pytest.mark.parametrize("name", EVERY)
def test_corruptions_keep_shape_and_type_and_follow_the_generator(name, pictures):
    one, other = (EVERY[name](pictures, rng()) for _ in range(2))
    assert one.shape == pictures.shape and one.dtype == torch.uint8
    assert torch.equal(one, other)
    assert torch.equal(one, pictures) == (name == "clean")


def test_blur_keeps_flat_areas_and_the_mean(pictures):
    blurred = blur(pictures, rng(), width=0.8)
    assert torch.equal(blurred[:, :, 20:], pictures[:, :, 20:])
    assert blurred.float().mean().item() == pytest.approx(pictures.float().mean().item(), abs=0.1)


def test_a_shift_moves_by_one_pixel(pictures):
    for moved in shift(pictures, rng()):
        rows, columns = (moved[0] == 250).nonzero().min(0).values.tolist()
        assert {rows, columns} <= {7, 9}


def test_a_slide_moves_by_up_to_a_pixel_and_keeps_the_mass(pictures):
    apart = pictures[:, 0].float() - 160
    moved = slide(pictures, rng())[:, 0].float() - 160
    torch.testing.assert_close(moved.sum((1, 2)), apart.sum((1, 2)), rtol=0.01, atol=0)
    centre = lambda mass: (mass.sum(1) @ torch.arange(32.0) / mass.sum((1, 2)), mass.sum(2) @ torch.arange(32.0) / mass.sum((1, 2)))
    for before, after in zip(centre(apart), centre(moved), strict=True):
        assert (after - before).abs().max() <= 1.01
        assert (after - before).abs().min() > 0.01


def test_flat_areas_survive_resampling_melting_and_jpeg():
    plain = torch.tensor([40, 90, 210], dtype=torch.uint8)[None, :, None, None].expand(4, 3, 32, 32)
    assert torch.equal(resample(plain, rng()), plain)
    assert torch.equal(elastic(plain, rng(), pixels=3.0), plain)
    assert (jpeg(plain, rng(), quality=70).int() - plain.int()).abs().max() <= 8
