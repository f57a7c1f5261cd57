from collections import Counter

import pytest
import torch
from PIL import Image as Pillow

from tessera.data.benchmarks import read_image_folder
from tessera.exams.pictures import Drawings, Folder, Scenes, resized
from tessera.world import World

EASY = World.easy()


@pytest.fixture
def root(tmp_path):
    """Twelve pictures of 6 x 4 pixels, each of one grey, in two folders."""
    for i in range(12):
        path = tmp_path / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Pillow.new("RGB", (6, 4), (20 * i,) * 3).save(path)
    return tmp_path


def grey(picture: torch.Tensor) -> int:
    return int(picture.float().mean()) // 20


def test_a_folders_pictures_are_shuffled_by_the_seed_and_opened_one_by_one(root):
    items = read_image_folder(root).items
    first, again, other = (Folder("some", items, seed=seed) for seed in (0, 0, 1))
    order = [grey(first.picture(i)) for i in range(12)]
    assert Counter(order) == Counter(range(12)) and order == [grey(again.picture(i)) for i in range(12)]
    assert order != list(range(12)) and order != [grey(other.picture(i)) for i in range(12)]
    assert (first.name, first.count, first.size) == ("some", 12, (4, 6)) and first.picture(0).shape == (3, 4, 6)
    assert [int(first.told(i)[2:4]) for i in range(12)] == order and first.told(0) == f"{'ab'[order[0] % 2]}/{order[0]:02d}.png"


def test_they_are_scaled_and_cropped_on_request(root):
    found = Folder("some", read_image_folder(root).items, 2)
    assert found.size == (2, 2) and found.picture(0).shape == (3, 2, 2)


def test_several_sizes_are_refused_with_the_picture_that_differs_unless_all_are_scaled(root):
    Pillow.new("RGB", (5, 4)).save(root / "b" / "05.png")
    items = read_image_folder(root).items
    with pytest.raises(ValueError) as said:
        Folder("some", items)
    assert str(said.value) == (
        f"distance: {root / 'b' / '05.png'} has 5 x 4 pixels, and 11 of 12 pictures beside it have 6 x 4; "
        "pictures of one size are accepted; scale and crop all of them with --pixels"
    )
    assert Folder("some", items, 4).picture(11).shape == (3, 4, 4)


def test_a_picture_that_lies_has_the_size_it_is_shown_in(root):
    tag = Pillow.Exif()
    tag[0x0112] = 6
    Pillow.new("RGB", (4, 6)).save(root / "b" / "05.png", exif=tag)
    found = Folder("some", read_image_folder(root).items)
    assert found.size == (4, 6) and {tuple(found.picture(i).shape) for i in range(12)} == {(3, 4, 6)}


def test_the_worlds_pictures_have_no_end_and_may_begin_later():
    found, later = Scenes(EASY), Scenes(EASY, "val", 16, first=3)
    assert (found.name, found.count, found.size, later.size) == ("world-easy", None, (32, 32), (16, 16))
    assert torch.equal(found.picture(5), EASY.picture(EASY.scene(5, "test"))) and found.told(5) == "scene 5"
    assert torch.equal(later.picture(2), resized(EASY.picture(EASY.scene(5, "val")), (16, 16))) and later.told(2) == "scene 5"


def test_drawings_have_their_prompts_before_they_are_drawn():
    found = Drawings("mine", ["a star", "a ring"], 32, 8)
    assert (found.name, found.count, found.size, found.told(1)) == ("mine", 2, (8, 8), "a ring")
    found.pictures = [EASY.picture(EASY.scene(i, "test")) for i in range(2)]
    assert found.picture(1).shape == (3, 8, 8) and torch.equal(found.picture(1), resized(found.pictures[1], (8, 8)))


def test_a_picture_of_the_right_size_stays_as_it_is():
    picture = EASY.picture(EASY.scene(0, "test"))
    assert resized(picture, (32, 32)) is picture and resized(picture, (64, 64)).shape == (3, 64, 64)
