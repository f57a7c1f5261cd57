import json
import re
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from tessera.data import open_data
from tessera.document import Image, Task
from tessera.world.export import CATEGORIES, export, extent
from tessera.world.scene import STANDARD, Colour, Kind, Size, Thing
from tessera.world.world import World

WORLDS = [World.easy(), World.standard("zh"), World.standard("both")]
NAMES = ["easy-en", "standard-zh", "standard-both"]


def same(a, b):
    """Whether two documents hold the same parts, pixel by pixel and letter by letter."""
    return [(type(part), part.learn) for part in a] == [(type(part), part.learn) for part in b] and all(
        torch.equal(x.content, y.content) if isinstance(x, Image) else x.content == y.content for x, y in zip(a, b, strict=True)
    )


def read_back(path, task, n):
    """The documents of one pass, by their places in the file."""
    source = open_data(path)
    assert len(source) == n and source.bad == []
    return {document.id: document for document in (source.document(task, index) for index in range(n))}


@pytest.mark.parametrize("world", WORLDS, ids=NAMES)
def test_llava_is_read_back_as_it_was_written(tmp_path, world):
    export(world, tmp_path, "llava", 12, "val")
    found = read_back(tmp_path, Task.QUESTION, 12)
    for index in range(12):
        written = world.document((Task.CAPTION, Task.QUESTION)[index % 2], index, "val")
        assert same(found[f"llava.json, entry {index + 1} (id '{written.id}')"], written)


@pytest.mark.parametrize("world", WORLDS, ids=NAMES)
def test_webdataset_is_read_back_as_it_was_written(tmp_path, world, monkeypatch):
    monkeypatch.setattr("tessera.world.export.SHARD", 5)
    export(world, tmp_path, "webdataset", 12)
    assert sorted(file.name for file in tmp_path.glob("*.tar")) == ["000000.tar", "000001.tar", "000002.tar"]
    found = read_back(tmp_path, Task.CAPTION, 12)
    for index in range(12):
        assert same(found[f"00000{index // 5}.tar, key {index:09}"], world.document(Task.CAPTION, index))


def test_webdataset_samples_have_a_picture_a_text_and_facts(tmp_path):
    export(World.easy(), tmp_path, "webdataset", 1)
    with tarfile.open(tmp_path / "000000.tar") as tar:
        assert tar.getnames() == ["000000000.png", "000000000.txt", "000000000.json"]
        text, facts = (tar.extractfile(name).read().decode() for name in tar.getnames()[1:])
        assert {(info.mtime, info.uid, info.gid, info.mode) for info in tar} == {(0, 0, 0, 0o644)}
    document = World.easy().document(Task.CAPTION, 0)
    assert text == document[1].content
    assert json.loads(facts) == {"key": "000000000", "id": document.id, "caption": text, "width": 32, "height": 32}


def test_coco_describes_the_pictures_beside_it(tmp_path):
    world = World.standard()
    export(world, tmp_path, "coco", 20, "test")
    captions, instances = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("captions", "instances"))
    assert captions["images"] == instances["images"]
    names = {category["id"]: category["name"] for category in instances["categories"]}
    for index, image in enumerate(captions["images"]):
        picture, text = world.document(Task.CAPTION, index, "test")
        pixels = np.array(Pillow.open(tmp_path / "images" / image["file_name"]))
        assert image["id"] == index and (image["height"], image["width"]) == pixels.shape[:2]
        assert np.array_equal(pixels, picture.content.permute(1, 2, 0).numpy())
        assert [one["caption"] for one in captions["annotations"] if one["image_id"] == index] == [text.content]
        found = [names[one["category_id"]] for one in instances["annotations"] if one["image_id"] == index]
        assert found == [thing.kind.value for thing in world.scene(index, "test").things]
    for annotations in (captions["annotations"], instances["annotations"]):
        assert len({one["id"] for one in annotations}) == len(annotations)


def test_boxes_hold_their_things_and_nothing_else(tmp_path):
    world = World.standard()
    for index in range(20):
        scene = world.scene(index)
        left = world.picture(scene).numpy().astype(int)
        for thing in scene.things:
            found = extent(thing, world.level)
            x, y, width, height = found["bbox"]
            assert abs(x + width / 2 - thing.x) <= 1.5 and abs(y + height / 2 - thing.y) <= 1.5
            assert max(width, height) <= 2 * world.level.radius[thing.size] + 2
            assert 0 < found["area"] <= width * height and found["iscrowd"] == 0
            assert 0 <= x and 0 <= y and max(x + width, y + height) <= world.level.pixels
            box = left[:, y : y + height, x : x + width]
            assert all((side != 160).any() for side in (box[:, 0], box[:, -1], box[:, :, 0], box[:, :, -1]))
            box[:] = 160
        assert (left == 160).all()


def test_the_box_of_a_square_is_the_square():
    found = extent(Thing(Kind.SQUARE, Colour.RED, Size.LARGE, 0, 0, 10.0, 12.0), STANDARD)
    x, y, width, height = found["bbox"]
    assert width == height and found["area"] in (width**2, (width - 2) ** 2)
    assert (x + width / 2, y + height / 2) == (10.0, 12.0)
    assert found["category_id"] == CATEGORIES[Kind.SQUARE] == 2


@pytest.mark.parametrize("format", ["llava", "webdataset", "coco"])
def test_an_export_has_the_same_bytes_every_time(tmp_path, format):
    def contents(directory):
        return {file.relative_to(directory): file.read_bytes() for file in directory.rglob("*") if file.is_file()}

    for name in "ab":
        export(World.easy(), tmp_path / name, format, 6)
    before = contents(tmp_path / "a")
    assert before == contents(tmp_path / "b")
    export(World.easy(), tmp_path / "a", format, 6)
    assert contents(tmp_path / "a") == before


def test_a_directory_with_anything_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=f"export: {tmp_path} holds files that are no export; name an empty or a new directory, or"):
        export(World.easy(), tmp_path, "llava", 2)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(ValueError, match=r"export: .*notes.txt is a file; a directory is needed"):
        export(World.easy(), tmp_path / "notes.txt", "llava", 2)


def test_a_directory_with_another_export_is_refused(tmp_path):
    export(World.easy(), tmp_path, "llava", 2)
    with pytest.raises(ValueError, match=r'holds another export \({"format": "llava", "n": 2, "split": "train", "level": "easy"'):
        export(World.easy(), tmp_path, "llava", 3)


def test_what_cannot_be_exported_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=re.escape("export: format 'parquet' was asked for; there are llava, webdataset, coco")):
        export(World.easy(), tmp_path / "x", "parquet", 2)
    with pytest.raises(ValueError, match="export: 0 documents were asked for; at least one is needed"):
        export(World.easy(), tmp_path / "x", "llava", 0)
    assert not (tmp_path / "x").exists()


def test_the_summary_and_the_progress(tmp_path):
    told, world = [], World.easy("zh")
    made = export(world, tmp_path / "deep" / "er", "coco", 3, "val", tick=lambda done, total: told.append((done, total)))
    assert (made.format, made.n, made.split, made.level, made.language, made.world) == ("coco", 3, "val", "easy", "zh", world.hash())
    assert told == [(1, 3), (2, 3), (3, 3)]
