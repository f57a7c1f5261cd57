import pytest
import torch

from tessera.codecs.base import bytes_of, floats


def test_all_bytes_survive_and_span_minus_one_to_one():
    every = torch.arange(256, dtype=torch.uint8).view(16, 16).expand(3, 16, 16)
    pixels = floats([every, every], torch.empty(0), 16)
    assert pixels.shape == (2, 3, 16, 16) and pixels.min() == -1 and pixels.max() == 1
    assert torch.equal(bytes_of(pixels)[1], every)


def test_numbers_outside_are_clipped():
    assert bytes_of(torch.tensor([-3.0, -1.0, 0.0, 1.0, 9.0]).expand(1, 3, 1, 5))[0, 0, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    "picture", [torch.zeros(3, 16, 8, dtype=torch.uint8), torch.rand(3, 8, 8), torch.zeros(8, 8, 3, dtype=torch.uint8)]
)
def test_what_is_no_picture_of_this_size_is_refused(picture):
    with pytest.raises(ValueError, match=r"picture: .*; torch.uint8 of shape \(3, 8, 8\) is accepted; open it with tessera.open_picture"):
        floats([picture], torch.empty(0), 8)
