import io

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from tessera.data.images import MOST_PIXELS, decode, fit


def encoded(image: Pillow.Image, format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.Generator(np.random.Philox(7)).integers(0, 256, (height, width, channels), dtype=np.uint8)


def pixels(image: Pillow.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def test_a_picture_of_the_right_size_comes_back_as_it_is():
    image = Pillow.fromarray(noise(32, 48))
    picture = decode(encoded(image), (32, 48))
    assert picture.dtype == torch.uint8 and picture.is_contiguous()
    assert torch.equal(picture, pixels(image))


@pytest.mark.parametrize("height, width", [(32, 33), (32, 100), (47, 32)])
def test_what_needs_no_scaling_is_cropped_at_whole_pixels(height, width):
    values = noise(height, width)
    top, left = (height - 32) // 2, (width - 32) // 2
    expected = pixels(Pillow.fromarray(values[top : top + 32, left : left + 32]))
    assert torch.equal(decode(encoded(Pillow.fromarray(values)), (32, 32)), expected)


@pytest.mark.parametrize("height, width", [(1, 100), (100, 1), (3, 2), (10, 5000), (5000, 10), (1, 1), (257, 191)])
def test_any_size_fits_and_a_plain_picture_stays_plain(height, width):
    picture = decode(encoded(Pillow.new("RGB", (width, height), (10, 200, 30))), (32, 32))
    assert picture.shape == (3, 32, 32)
    assert (picture.flatten(1) == torch.tensor([[10], [200], [30]])).all()


def test_sides_that_scale_to_a_rounding_error_too_short_fit():
    for width in range(1, 300):
        for height in (98, 195, 249, 264):
            assert fit(Pillow.new("RGB", (width, height)), (32, 32)).size == (32, 32)
            assert fit(Pillow.new("RGB", (height, width)), (24, 40)).size == (40, 24)


def test_the_centre_is_kept_and_the_ends_are_cut_off():
    values = np.zeros((10, 5000, 3), dtype=np.uint8)
    values[:, 2490:2510] = 255
    assert (decode(encoded(Pillow.fromarray(values)), (32, 32)) == 255).all()


def test_it_equals_scaling_the_whole_and_cropping():
    image = Pillow.fromarray(noise(64, 160))
    whole = image.resize((100, 40), Pillow.Resampling.BICUBIC).crop((30, 0, 70, 40))
    assert torch.equal(decode(encoded(image), (40, 40)), pixels(whole))


def test_scaling_down_averages_instead_of_picking_pixels():
    stripes = np.zeros((320, 320, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    inner = decode(encoded(Pillow.fromarray(stripes)), (32, 32)).float()[:, 2:-2, 2:-2]
    assert (inner - 127.5).abs().max() < 3


def test_size_is_height_then_width():
    assert decode(encoded(Pillow.new("RGB", (50, 40))), (16, 24)).shape == (3, 16, 24)


def test_a_photograph_taken_on_its_side_is_turned_upright():
    values = np.zeros((32, 64, 3), dtype=np.uint8)
    values[:, 32:] = 255
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright: the right half becomes the lower half
    picture = decode(encoded(Pillow.fromarray(values), exif=exif), (64, 32))
    assert (picture[:, :32] == 0).all() and (picture[:, 32:] == 255).all()


def test_transparent_parts_are_white():
    values = np.zeros((32, 32, 4), dtype=np.uint8)
    values[:, 16:] = (255, 0, 0, 255)
    picture = decode(encoded(Pillow.fromarray(values)), (32, 32))
    assert (picture[:, :, :16] == 255).all()
    assert picture[:, 5, 20].tolist() == [255, 0, 0]


def test_half_transparent_black_over_white_is_grey():
    picture = decode(encoded(Pillow.new("LA", (32, 32), (0, 128))), (32, 32))
    assert (picture == 127).all()


def test_palettes_are_looked_up_and_their_transparent_colour_is_white():
    image = Pillow.new("P", (32, 32), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.paste(0, (0, 0, 16, 32))
    assert decode(encoded(image), (32, 32))[:, 0, 31].tolist() == [10, 20, 30]
    assert decode(encoded(image), (32, 32))[:, 0, 0].tolist() == [0, 0, 0]
    assert decode(encoded(image, transparency=0), (32, 32))[:, 0, 0].tolist() == [255, 255, 255]


def test_grey_16_bit_grey_and_one_bit_pictures_become_rgb():
    high = np.repeat(np.arange(32, dtype=np.uint16)[:, None] * 8, 32, 1)
    expected = torch.from_numpy(high.astype(np.uint8)).expand(3, 32, 32)
    assert torch.equal(decode(encoded(Pillow.fromarray(high.astype(np.uint8))), (32, 32)), expected)
    assert torch.equal(decode(encoded(Pillow.fromarray(high * 256 + 255)), (32, 32)), expected)
    assert (decode(encoded(Pillow.new("1", (32, 32), 1)), (32, 32)) == 255).all()


def test_cmyk_photographs_become_rgb():
    picture = decode(encoded(Pillow.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG"), (32, 32)).int()
    assert (picture[0] > 230).all() and (picture[1:] < 25).all()


def test_large_photographs_decoded_small_first_are_nearly_the_same():
    image = Pillow.fromarray(noise(12, 16)).resize((1600, 1200), Pillow.Resampling.BICUBIC)
    data = encoded(image, "JPEG", quality=95)
    exact = decode(encoded(Pillow.open(io.BytesIO(data))), (32, 32)).int()
    difference = (decode(data, (32, 32)).int() - exact).abs()
    assert difference.max() <= 8 and difference.float().mean() < 1


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_accepted_format_is_read(format):
    picture = decode(encoded(Pillow.new("RGB", (40, 40), (255, 255, 255)), format), (32, 32))
    assert (picture >= 253).all()


def bomb() -> bytes:
    """A small PNG whose header claims 20,000 x 20,000 pixels."""
    data = bytearray(encoded(Pillow.new("1", (20000, 20000))))
    assert len(data) < 100_000
    return bytes(data)


PNG = encoded(Pillow.fromarray(noise(64, 64)))


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "picture is empty"),
        (b"<html>not found</html>", "picture is none of PNG, JPEG"),
        (PNG[: len(PNG) // 2], "picture cannot be read"),
        (PNG[:20], "picture cannot be read|picture is none of"),
        (PNG[:60] + bytes(40) + PNG[100:], "picture cannot be read"),
        (encoded(Pillow.fromarray(noise(64, 64)), "JPEG")[:-200], "picture cannot be read"),
        (bomb(), "picture cannot be read .*pixels"),
        (encoded(Pillow.new("F", (8, 8)), "TIFF"), "mode F. has no stated range"),
        (encoded(Pillow.new("RGB", (8, 8)), "PPM"), "picture is none of"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(data, reason):
    with pytest.raises(ValueError, match=reason):
        decode(data, (32, 32))


def test_a_bomb_below_the_limit_of_the_decoder_is_refused_too():
    side = int(MOST_PIXELS**0.5) + 1
    with pytest.raises(ValueError, match="are more than"):
        decode(encoded(Pillow.new("1", (side, side))), (32, 32))


def test_a_picture_enlarged_pixel_by_pixel_comes_back_as_it_was():
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    large = Pillow.fromarray(small).resize((64, 64), Pillow.Resampling.NEAREST)
    file = io.BytesIO()
    large.save(file, "PNG")
    assert np.array_equal(decode(file.getvalue(), (8, 8)).permute(1, 2, 0).numpy(), small)
