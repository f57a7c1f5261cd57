import numpy as np
import pytest
import torch
from PIL import Image as Picture

from tessera.world.sheet import BORDER, COLOURS, GAP, Tile, contact_sheet, save_sheet


def picture(value=0, height=4, width=6):
    return torch.full((3, height, width), value, dtype=torch.uint8)


def test_pictures_are_enlarged_pixel_by_pixel():
    noise = torch.arange(3 * 4 * 6, dtype=torch.uint8).view(3, 4, 6)
    sheet = np.asarray(contact_sheet([Tile(noise)], scale=3))
    top = GAP + BORDER
    shown = sheet[top : top + 12, top : top + 18]
    assert np.array_equal(shown, noise.numpy().transpose(1, 2, 0).repeat(3, 0).repeat(3, 1))


@pytest.mark.parametrize("right", [True, False, None])
def test_borders_tell_right_from_wrong(right):
    sheet = contact_sheet([Tile(picture(), (), right)], scale=3)
    assert sheet.getpixel((GAP, GAP)) == COLOURS[right]
    assert sheet.getpixel((GAP + BORDER, GAP + BORDER)) == (0, 0, 0)


def test_tiles_fill_rows_and_long_texts_make_them_higher():
    tiles = [Tile(picture(), ("one",)) for _ in range(5)]
    few, many = contact_sheet(tiles, columns=5), contact_sheet(tiles, columns=2)
    assert few.width > many.width and few.height < many.height
    wordy = contact_sheet([Tile(picture(), ("one two three four five six seven eight",))], columns=2)
    assert wordy.height > contact_sheet([Tile(picture(), ("one",))], columns=2).height


def test_text_is_drawn():
    blank, told = (np.asarray(contact_sheet([Tile(picture(255), (line,))])) for line in ("", "circle"))
    assert blank.min() == 255 and told.min() < 100


def test_boxes_are_never_drawn():
    with pytest.raises(ValueError, match="sheet: the font has no 圆; pass font="):
        contact_sheet([Tile(picture(), ("a 圆",))])


def test_texts_the_font_lacks_go_to_a_file(tmp_path):
    tiles = [Tile(picture(), ("一个圆形", "是"), True), Tile(picture(), ("a ring",), False)]
    files = save_sheet(tmp_path / "sheet.png", tiles)
    assert files == (tmp_path / "sheet.png", tmp_path / "sheet.txt")
    assert files[1].read_text(encoding="utf-8") == "1\t一个圆形 | 是\n2\ta ring\n"
    with Picture.open(files[0]) as sheet:
        assert sheet.getpixel((GAP, GAP)) == COLOURS[True]


def test_english_needs_no_second_file(tmp_path):
    assert save_sheet(tmp_path / "sheet.png", [Tile(picture(), ("a ring",))]) == (tmp_path / "sheet.png",)
