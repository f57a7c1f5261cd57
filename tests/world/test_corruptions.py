import pytest
import torch

from tessera.world.corruptions import GARBAGE, JUDGED, REPORTED, blur, elastic, flat, jpeg, resample, shift, shuffle

EVERY = JUDGED | REPORTED | GARBAGE


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


def test_shuffling_keeps_the_parts(pictures):
    mixed = shuffle(pictures, rng())
    assert torch.equal(mixed.flatten(2).sort(2).values, pictures.flatten(2).sort(2).values)


def test_flat_areas_survive_resampling_melting_and_jpeg():
    plain = flat(torch.zeros(4, 3, 32, 32, dtype=torch.uint8), rng())
    assert torch.equal(resample(plain, rng()), plain)
    assert torch.equal(elastic(plain, rng(), pixels=3.0), plain)
    assert (jpeg(plain, rng(), quality=70).int() - plain.int()).abs().max() <= 8
