import json

import pytest
import torch
from PIL import Image as Pillow

from tessera.data.benchmarks import Objects, read_geneval, write_geneval
from tessera.data.images import open_picture

DOG = {"class": "dog", "count": 1}
ROWS = [
    {"tag": "counting", "include": [DOG | {"count": 2}], "exclude": [DOG | {"count": 3}], "prompt": "two dogs"},
    {"tag": "color_attr", "include": [DOG | {"color": "red"}], "prompt": "a red dog"},
    {"tag": "position", "include": [DOG, {"class": "椅子", "count": 1, "position": ["left of", 0]}], "prompt": "狗的左边有椅子"},
]


def test_prompts_come_back_with_what_they_ask_for(lines):
    counting, colour, position = read_geneval(lines(*ROWS))
    assert (counting.id, counting.tag, counting.prompt, counting.picture) == ("00000", "counting", "two dogs", None)
    assert counting.include == (Objects("dog", 2),) and counting.exclude == (Objects("dog", 3),)
    assert colour.include == (Objects("dog", 1, "red"),) and colour.exclude == ()
    assert position.include == (Objects("dog", 1), Objects("椅子", 1, None, ("left of", 0))) and position.id == position.cluster == "00002"


def test_pictures_lie_as_the_detector_of_geneval_reads_them(lines, folder, pictures):
    prompts = read_geneval(lines(*ROWS))
    out = folder / "drawn"
    write_geneval(out, prompts, ([picture, pictures[3]] for picture in pictures[:3]))
    assert sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()) == sorted(
        f"{i:05d}/{name}" for i in range(3) for name in ("metadata.jsonl", "samples/00000.png", "samples/00001.png")
    )
    for i, row in enumerate(ROWS):
        assert json.loads((out / f"{i:05d}" / "metadata.jsonl").read_text(encoding="utf-8")) == row
        with Pillow.open(out / f"{i:05d}" / "samples" / "00000.png") as picture:
            assert picture.mode == "RGB" and picture.size == (8, 8)
        assert torch.equal(open_picture(out / f"{i:05d}" / "samples" / "00000.png", 8), pictures[i])


def test_nothing_is_written_where_something_lies(lines, folder, pictures):
    prompts = read_geneval(lines(*ROWS))
    for taken in (folder, folder / "a.png"):
        with pytest.raises(ValueError, match="exists and is no empty folder; a new or empty folder is accepted; name another"):
            write_geneval(taken, prompts, [])
    with pytest.raises(ValueError, match="shorter"):
        write_geneval(folder / "new", prompts, [[pictures[0]]])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"include": []}, "'include' is empty"),
        ({"include": {}}, "'include' is an object; a list is expected"),
        ({"include": [{"count": 1}]}, "no field 'class'"),
        ({"include": [{"class": "dog"}]}, "no field 'count'"),
        ({"include": [DOG | {"count": "two"}]}, r"'count of include\[0\]' is text; a whole number is expected"),
        ({"include": [DOG | {"color": 3}]}, r"'color of include\[0\]' is a number, not text"),
        ({"include": [DOG | {"position": ["left of", 0]}]}, r"position of include\[0\] is \['left of', 0\]; a relation and the index of"),
        ({"exclude": [DOG, DOG | {"position": ["left of"]}]}, r"position of exclude\[1\] is \['left of'\]; a relation and the index of"),
        ({"prompt": ""}, "'prompt' is empty"),
        ({"tag": None}, "'tag' is null, not text"),
    ],
)
def test_bad_rows_are_said_or_left_out_and_ids_stay_with_their_lines(lines, change, reason):
    path = lines(ROWS[0] | change, ROWS[1])
    with pytest.raises(ValueError, match=f"rows.json, line 1: {reason}"):
        read_geneval(path)
    found = read_geneval(path, skip_bad=True)
    assert [one.id for one in found] == ["00001"] and len(found.bad) == 1


def test_no_prompts_and_no_file_are_refused(lines, folder):
    with pytest.raises(ValueError, match="holds no rows"):
        read_geneval(lines(b""))
    with pytest.raises(ValueError, match="lost does not exist; a file of GenEval's prompts, one JSON object a line, is accepted"):
        read_geneval(folder / "lost")
