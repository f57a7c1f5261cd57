import json
import shutil
from collections import Counter

import pytest
import torch
from PIL import Image as Pillow

from tessera.data import dataset, open_data
from tessera.data.dataset import permutation
from tessera.document import Image, Task, Text


def grey_pairs(folder, n):
    """n pictures, number i all of grey level i, with the text "level i"."""
    folder.mkdir(parents=True, exist_ok=True)
    for level in range(n):
        Pillow.new("RGB", (32, 32), (level, level, level)).save(folder / f"{level}.png")
    lines = [json.dumps({"image": f"{level}.png", "text": f"level {level}"}) for level in range(n)]
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def levels(source, task, indices):
    return [int(part.content[0, 0, 0]) for index in indices for part in source.document(task, index) if isinstance(part, Image)]


def test_every_pass_shows_every_row_once_and_in_an_order_of_its_own(tmp_path):
    source = open_data(grey_pairs(tmp_path, 20))
    passes = [levels(source, Task.CAPTION, range(20 * epoch, 20 * epoch + 20)) for epoch in (0, 1, 1000)]
    assert all(sorted(levels) == list(range(20)) for levels in passes)
    assert len(set(map(tuple, passes))) == 3


def test_text_and_picture_stay_together(tmp_path):
    source = open_data(grey_pairs(tmp_path, 5))
    for index in range(10):
        picture, text = source.document(Task.CAPTION, index)
        assert text.content == f"level {int(picture.content[0, 0, 0])}"


def test_documents_are_the_same_wherever_the_folder_lies_and_in_any_order(tmp_path):
    grey_pairs(tmp_path / "here", 7)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    here, there, other = (open_data(tmp_path / name, seed=seed) for name, seed in [("here", 3), ("there", 3), ("here", 4)])
    for index in (30, 2, 2, 13):
        a, b = here.document(Task.DRAW, index), there.document(Task.DRAW, index)
        assert a.id == b.id and torch.equal(a[1].content, b[1].content)
    assert levels(here, Task.DRAW, range(21)) == levels(there, Task.DRAW, range(21)) != levels(other, Task.DRAW, range(21))


def test_the_order_of_rows_never_changes():
    assert permutation(8, 0, 0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert sorted(permutation(1000, -1, 5).tolist()) == list(range(1000))


def test_orders_favour_no_row():
    first = Counter(int(permutation(4, 0, epoch)[0]) for epoch in range(4000))
    assert all(900 < first[row] < 1100 for row in range(4))


def test_one_row_is_enough(tmp_path):
    source = open_data(grey_pairs(tmp_path, 1))
    assert len(source) == 1
    assert [source.document(Task.DRAW, index)[0].content for index in (0, 1, 99)] == ["level 0"] * 3


def test_pairs_are_to_draw_and_to_caption(tmp_path):
    source = open_data(grey_pairs(tmp_path, 3), size=(16, 24))
    assert source.tasks == {Task.DRAW, Task.CAPTION}
    text, picture = drawn = source.document(Task.DRAW, 0)
    assert isinstance(text, Text) and not text.learn and isinstance(picture, Image) and picture.learn
    assert drawn.task is Task.DRAW and picture.content.shape == (3, 16, 24)
    picture, text = captioned = source.document(Task.CAPTION, 0)
    assert not picture.learn and text.learn and captioned.task is Task.CAPTION
    assert captioned.id == drawn.id == f"pairs.jsonl, line {int(picture.content[0, 0, 0]) + 1}"


def test_a_task_that_no_row_serves_is_refused(tmp_path):
    source = open_data(grey_pairs(tmp_path, 2))
    with pytest.raises(ValueError, match="data: no document of task edit; these rows offer draw, caption; ask for one of these"):
        source.document(Task.EDIT, 0)


def test_a_picture_that_is_lost_after_opening_is_told_in_the_same_words(tmp_path):
    source = open_data(grey_pairs(tmp_path, 1))
    (tmp_path / "0.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"pairs.jsonl, line 1: picture is empty \(0 bytes\); mend or remove .*--skip-bad"):
        source.document(Task.DRAW, 0)
    (tmp_path / "0.png").unlink()
    with pytest.raises(ValueError, match=r"pairs.jsonl, line 1: .*No such file.*; mend or remove .*--skip-bad"):
        source.document(Task.DRAW, 0)


def test_opening_tells_how_far_it_is(tmp_path):
    told = []
    open_data(grey_pairs(tmp_path, 3), tick=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_picture_that_rows_share_is_checked_once(tmp_path, monkeypatch):
    folder = grey_pairs(tmp_path, 1)
    line = (folder / "pairs.jsonl").read_text()
    (folder / "pairs.jsonl").write_text(line * 3)
    decoded, decode = [], dataset.decode
    monkeypatch.setattr(dataset, "decode", lambda data, size: decoded.append(1) or decode(data, size))
    assert len(open_data(folder)) == 3 and len(decoded) == 1


def test_rows_are_counted_by_task_and_those_of_no_task_asked_for(tmp_path):
    grey_pairs(tmp_path, 3)
    asked = {"conversations": [{"from": "human", "value": "<image>\nHow grey?"}, {"from": "gpt", "value": "Very."}], "image": "0.png"}
    alone = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}
    (tmp_path / "chat.json").write_text(json.dumps([asked, alone, alone]))
    pairs, chat = open_data(tmp_path / "pairs.jsonl"), open_data(tmp_path / "chat.json")
    assert pairs.counts[Task.DRAW] == pairs.counts[Task.CAPTION] == len(pairs) == 3 and pairs.idle([Task.DRAW]) == 0
    assert (chat.counts[Task.QUESTION], chat.counts[Task.TEXT]) == (1, 2)
    assert chat.idle([Task.QUESTION]) == 2 and chat.idle([Task.QUESTION, Task.TEXT]) == 0 and chat.idle([]) == 3
