import json
import os

import pytest
from PIL import Image as Pillow

from tessera.data import open_data
from tessera.document import Task


@pytest.fixture
def folder(tmp_path):
    """One good row, to be followed by others, and things that are no picture beside it."""
    root = tmp_path / "pairs"
    (root / "images" / "deep").mkdir(parents=True)
    Pillow.new("RGB", (8, 8), "red").save(root / "images" / "deep" / "good.png")
    Pillow.new("RGB", (8, 8), "blue").save(tmp_path / "outside.png")
    (root / "empty.png").write_bytes(b"")
    (root / "text.png").write_text("no picture")
    return root


GOOD = {"image": "images/deep/good.png", "text": "red"}


def write(folder, *rows):
    """Rows as they are where they are bytes, else as JSON."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    (folder / "pairs.jsonl").write_bytes(b"\n".join(lines))
    return folder


def test_a_folder_of_pairs_is_read(folder):
    write(folder, GOOD, b"", {"text": "  裏 grün\n", "image": "images/../images/deep/good.png", "more": None}, b"  ")
    source = open_data(folder)
    texts = {source.document(Task.DRAW, index)[0].content for index in range(len(source))}
    assert texts == {"red", "裏 grün"} and source.bad == []


def test_absolute_paths_inside_the_folder_and_links_are_followed(folder):
    os.symlink(folder.parent / "outside.png", folder / "link.png")
    write(folder, GOOD | {"image": str(folder / "images/deep/good.png")}, GOOD | {"image": "link.png"})
    assert len(open_data(folder)) == 2


def test_a_mark_of_byte_order_is_not_part_of_the_first_row(folder):
    write(folder, b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    assert len(open_data(folder)) == 1


BAD = [
    (b'{"image": "images/deep/good.png", ', "bad JSON"),
    (b'{"image": "images/deep/good.png", "text": "\xff"}', "not UTF-8"),
    (b"[" * 100_000, "bad JSON"),
    (b"[1, 2]", "a list where an object with the field 'image' is expected"),
    ({"text": "red"}, "no field 'image'; its fields are 'text'"),
    ({"image": "images/deep/good.png"}, "no field 'text'; its fields are 'image'"),
    (GOOD | {"text": 7}, "'text' is a number, not text"),
    (GOOD | {"text": " \n"}, "'text' is empty"),
    (GOOD | {"text": "\ud800"}, "'text' cannot be written as UTF-8"),
    (GOOD | {"image": None}, "'image' is null, not text"),
    (GOOD | {"image": ["images/deep/good.png"]}, "'image' is a list, not text"),
    (GOOD | {"image": "lost.png"}, "no picture 'lost.png' in "),
    (GOOD | {"image": "x" * 5000}, "no picture 'xxx"),
    (GOOD | {"image": "images/deep"}, "picture 'images/deep' is a folder"),
    (GOOD | {"image": "../outside.png"}, "picture '../outside.png' lies outside "),
    (GOOD | {"image": "/etc/passwd"}, "picture '/etc/passwd' lies outside "),
    (GOOD | {"image": "https://a.org/b.png"}, "picture 'https://a.org/b.png' is an address; pictures are read from disk and never fetched"),
    (GOOD | {"image": "empty.png"}, "picture is empty"),
    (GOOD | {"image": "text.png"}, "picture is none of PNG"),
]


@pytest.mark.parametrize("row, reason", BAD)
def test_a_bad_row_stops_with_its_place_and_reason(folder, row, reason):
    write(folder, GOOD, b"", row)
    with pytest.raises(ValueError) as stop:
        open_data(folder)
    assert str(stop.value).startswith(f"data: {folder / 'pairs.jsonl'}, line 3: {reason}")
    assert str(stop.value).endswith("; mend or remove the row, or leave bad rows out with skip_bad=True (--skip-bad)")


def test_bad_rows_can_be_left_out_and_are_listed_in_order(folder):
    write(folder, *(row for row, _ in BAD), GOOD)
    source = open_data(folder, skip_bad=True)
    assert len(source) == 1 and source.document(Task.DRAW, 0)[0].content == "red"
    assert [bad.where for bad in source.bad] == [f"line {number}" for number in range(1, len(BAD) + 1)]
    assert all(bad.file == folder / "pairs.jsonl" and reason in bad.reason for bad, (_, reason) in zip(source.bad, BAD, strict=True))


def test_at_least_one_good_row_is_needed(folder):
    with pytest.raises(ValueError, match=f"data: {write(folder)} holds no rows; at least one is needed"):
        open_data(folder)
    write(folder, b"{", b"{")
    with pytest.raises(ValueError, match=f"data: all 2 rows of {folder} are bad, the first: .*line 1: bad JSON"):
        open_data(folder, skip_bad=True)
