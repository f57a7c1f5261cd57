"""What the tests of benchmark readers share: a folder of pictures, and files of JSON beside them."""

import json

import pytest
from PIL import Image as Pillow


@pytest.fixture
def folder(tmp_path):
    """Three pictures, one of them with a name beyond ASCII, and the torn half of one."""
    for name, colour in (("a.png", "red"), ("b.png", "blue"), ("狗.png", "lime")):
        Pillow.new("RGB", (8, 8), colour).save(tmp_path / name)
    (tmp_path / "torn.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    return tmp_path


@pytest.fixture
def lines(folder):
    """Writes a file of JSON Lines: each value as JSON, bytes as they are."""

    def write(*entries, name="rows.json"):
        said = [entry if isinstance(entry, bytes) else json.dumps(entry, ensure_ascii=False).encode() for entry in entries]
        (folder / name).write_bytes(b"\n".join(said))
        return folder / name

    return write


@pytest.fixture
def whole(folder):
    """Writes a file of one JSON value."""

    def write(value, name):
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
        return folder / name

    return write
