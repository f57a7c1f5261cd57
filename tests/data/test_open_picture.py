import re

import pytest
import torch
from PIL import Image as Pillow

import tessera
from tessera.data import open_picture
from tessera.data.images import decode, size_of


@pytest.fixture
def halves(tmp_path):
    """A picture file of 16 x 8 pixels: red on the left, blue on the right."""
    image = Pillow.new("RGB", (16, 8), "red")
    image.paste("blue", (8, 0, 16, 8))
    image.save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


def test_a_picture_is_a_square_of_so_many_pixels_from_the_centre(halves):
    picture = open_picture(halves, 8)
    assert picture.shape == (3, 8, 8) and picture.dtype == torch.uint8
    assert (picture[:, :, :4] == torch.tensor([255, 0, 0])[:, None, None]).all()
    assert (picture[:, :, 4:] == torch.tensor([0, 0, 255])[:, None, None]).all()


@pytest.mark.parametrize("pixels", [4, 8, 32])
def test_it_is_what_its_bytes_decode_to(halves, pixels):
    assert torch.equal(open_picture(halves, pixels), decode(halves.read_bytes(), (pixels, pixels)))


def test_without_pixels_it_keeps_its_size(halves):
    assert torch.equal(open_picture(halves), decode(halves.read_bytes(), None)) and open_picture(halves).shape == (3, 8, 16)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_its_size_is_that_of_the_upright_picture(halves, orientation):
    tag = Pillow.Exif()
    tag[0x0112] = orientation
    Pillow.open(halves).save(halves.with_name("turned.jpg"), exif=tag)
    turned = halves.with_name("turned.jpg")
    assert size_of(turned) == tuple(open_picture(turned).shape[1:]) == ((16, 8) if orientation > 4 else (8, 16))
    assert size_of(halves) == (8, 16)


def test_a_path_may_be_words_relative_or_a_link(halves, monkeypatch):
    monkeypatch.chdir(halves.parent)
    (halves.parent / "link.png").symlink_to(halves)
    expected = open_picture(halves, 8)
    assert all(torch.equal(open_picture(path, 8), expected) for path in (str(halves), "halves.png", "link.png"))


def test_its_name_says_nothing_of_its_format(halves):
    Pillow.new("RGB", (8, 8), "red").save(halves.parent / "photograph.txt", "JPEG")
    assert open_picture(halves.parent / "photograph.txt", 8).shape == (3, 8, 8)


@pytest.mark.parametrize("name", ["lost.png", "", "halves.png/x"])
def test_a_path_without_a_file_is_refused(halves, name):
    path = halves.parent / name
    with pytest.raises(ValueError, match=f"^picture: {re.escape(str(path))} is no file; a picture file is accepted; check the path$"):
        open_picture(path, 8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", r"picture is empty \(0 bytes\)"), (b"words", "picture is none of PNG, JPEG, .*"), (None, r"picture cannot be read \(.*\)")],
)
def test_a_file_without_a_picture_is_refused_with_the_reason(halves, data, reason):
    halves.write_bytes(halves.read_bytes()[:50] if data is None else data)
    with pytest.raises(ValueError, match=f"^picture: {re.escape(str(halves))}: {reason}; a picture file is accepted; check the file$"):
        open_picture(halves, 8)


def test_it_is_part_of_the_library():
    assert tessera.open_picture is open_picture
