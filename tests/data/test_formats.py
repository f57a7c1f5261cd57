import io
import json
import re
import tarfile

import pytest
from PIL import Image as Pillow

from tessera.data import open_data
from tessera.document import Task

TALK = [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "llava"}]


def jsonl(folder, name="pairs.jsonl"):
    (folder / name).write_text(json.dumps({"image": "a.png", "text": "folder"}))
    return folder / name


def llava(folder, name="chat.json"):
    (folder / name).write_text(json.dumps([{"image": "a.png", "conversations": TALK}]))
    return folder / name


def tar(folder, name="0.tar"):
    with tarfile.open(folder / name, "w") as file:
        file.add(folder / "a.png", "0.png")
        info = tarfile.TarInfo("0.txt")
        info.size = 10
        file.addfile(info, io.BytesIO(b"webdataset"))
    return folder / name


@pytest.fixture
def folder(tmp_path):
    Pillow.new("RGB", (8, 8)).save(tmp_path / "a.png")
    return tmp_path


def found(path, format=None):
    source = open_data(path, format=format)
    return source.document(Task.QUESTION if Task.QUESTION in source.tasks else Task.CAPTION, 0)[1].content


@pytest.mark.parametrize("write, format", [(jsonl, "folder"), (llava, "llava"), (tar, "webdataset")])
def test_each_format_is_found_as_a_file_and_as_a_folder(folder, write, format):
    path = write(folder)
    assert found(path) == found(folder) == found(str(folder), format) == format


def test_json_files_count_only_where_nothing_else_is(folder):
    llava(folder)
    assert found(folder) == "llava"
    tar(folder)
    assert found(folder) == "webdataset"
    assert found(folder, "llava") == "llava"


def test_hidden_files_are_not_data(folder):
    jsonl(folder)
    (folder / "._pairs.jsonl").write_bytes(b"\x00\x05")
    assert found(folder) == "folder"


def test_a_named_format_overrides_the_suffix(folder):
    odd = llava(folder, "chat.txt")
    assert found(odd, "llava") == "llava"
    with pytest.raises(ValueError, match=r"chat.txt has the suffix '.txt'; accepted are .*; convert it, or name its format"):
        open_data(odd)


@pytest.mark.parametrize("write, suffix", [(jsonl, ".jsonl"), (llava, ".json")])
def test_several_files_in_a_folder_are_listed(folder, write, suffix):
    write(folder, f"b{suffix}")
    write(folder, f"a{suffix}")
    message = f"data: {folder} has 2 {suffix} files (a{suffix}, b{suffix}); one is expected; name the file itself"
    with pytest.raises(ValueError, match=re.escape(message)):
        open_data(folder)


def test_jsonl_and_tar_side_by_side_need_a_word(folder):
    jsonl(folder), tar(folder)
    with pytest.raises(ValueError, match=f"data: {folder} has both .jsonl and .tar files; .*; name the format or the file"):
        open_data(folder)
    assert (found(folder, "folder"), found(folder, "webdataset")) == ("folder", "webdataset")


def test_what_cannot_be_opened_is_told_with_what_can(folder):
    accepted = "accepted are a folder with pictures and one .jsonl file .*, a LLaVA .json file .*, and a WebDataset .tar"
    with pytest.raises(ValueError, match=f"data: {folder}/lost does not exist; {accepted}.*; check the path"):
        open_data(folder / "lost")
    with pytest.raises(ValueError, match=f"data: {folder} has no .jsonl or .tar or .json file; {accepted}"):
        open_data(folder)
    with pytest.raises(ValueError, match=f"data: {folder} has no .tar file; {accepted}"):
        open_data(folder, format="webdataset")
    with pytest.raises(ValueError, match="data: format 'parquet'; accepted are folder, llava, webdataset; name one of these"):
        open_data(folder, format="parquet")


def test_a_relative_path_is_as_good(folder, monkeypatch):
    jsonl(folder)
    monkeypatch.chdir(folder)
    assert found(".") == found("pairs.jsonl") == "folder"
