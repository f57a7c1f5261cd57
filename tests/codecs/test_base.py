import torch

from tessera.codecs.base import bytes_of, floats


def test_all_bytes_survive_and_span_minus_one_to_one():
    every = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    pixels = floats([every, every], torch.empty(0))
    assert pixels.shape == (2, 3, 1, 256) and pixels.min() == -1 and pixels.max() == 1
    assert torch.equal(bytes_of(pixels)[1], every)


def test_numbers_outside_are_clipped():
    assert bytes_of(torch.tensor([-3.0, -1.0, 0.0, 1.0, 9.0]).expand(1, 3, 1, 5))[0, 0, 0].tolist() == [0, 0, 128, 255, 255]
