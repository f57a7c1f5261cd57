import re

import pytest

from tessera.data.benchmarks import ClassPicture, read_image_folder


@pytest.fixture
def root(folder):
    for name, to in (("a.png", "red/a.png"), ("b.png", "blue/deep/b.png"), ("狗.png", "狗/狗.PNG")):
        (folder / "root" / to).parent.mkdir(parents=True)
        (folder / name).rename(folder / "root" / to)
    (folder / "root" / "red" / ".DS_Store").touch()
    return folder / "root"


def test_pictures_have_the_name_of_their_folder(root, monkeypatch):
    expected = [
        ClassPicture("blue/deep/b.png", root / "blue/deep/b.png", "blue"),
        ClassPicture("red/a.png", root / "red/a.png", "red"),
        ClassPicture("狗/狗.PNG", root / "狗/狗.PNG", "狗"),
    ]
    monkeypatch.chdir(root.parent)
    assert list(read_image_folder(root)) == list(read_image_folder("root")) == expected


def test_pictures_right_in_the_folder_have_no_class(root):
    (root.parent / "torn.png").write_bytes((root / "red" / "a.png").read_bytes())
    (root.parent / "torn.png").rename(root / "loose.png")
    found = read_image_folder(root)
    assert [(item.id, item.label) for item in found][1] == ("loose.png", "") and len(found) == 4


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("red/notes.txt", "the suffix '.txt' is no picture's; .png, .*, .tiff are accepted"),
        ("red/torn.png", "picture cannot be read"),
    ],
)
def test_what_is_no_picture_is_said_or_left_out(root, name, reason):
    (root.parent / "torn.png").rename(root / name)
    with pytest.raises(ValueError, match=f"^data: {re.escape(str(root))}, {name}: {reason}.*; mend or remove the row"):
        read_image_folder(root)
    found = read_image_folder(root, skip_bad=True)
    assert len(found) == 3 and [bad.where for bad in found.bad] == [name]


def test_no_folder_and_no_pictures_are_refused(root):
    (root / "red" / "a.png").unlink()
    with pytest.raises(ValueError, match="red holds no rows; at least one is needed"):
        read_image_folder(root / "red")
    with pytest.raises(ValueError, match="lost is no folder; a folder of pictures, or of one folder for each class, is accepted"):
        read_image_folder(root / "lost")
