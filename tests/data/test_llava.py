import json

import pytest
from PIL import Image as Pillow

from tessera.data import open_data
from tessera.document import Image, Task


def turns(*values):
    return [{"from": ("human", "gpt")[number % 2], "value": value} for number, value in enumerate(values)]


GOOD = {"id": "7", "image": "a.png", "conversations": turns("<image>\nWhat colour?", "Red.")}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    Pillow.new("RGB", (8, 8), (250, 0, 0)).save(tmp_path / "a.png")
    Pillow.new("RGB", (8, 8), (0, 0, 250)).save(tmp_path / "images" / "b.png")
    (tmp_path / "images" / "torn.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    return tmp_path


def write(folder, entries):
    (folder / "chat.json").write_text(json.dumps(entries))
    return folder / "chat.json"


def shown(document):
    """What a document holds: ("red" or "blue") for pictures, (text, learn) for text."""
    pictures = {250: "red", 0: "blue"}
    return [pictures[int(part.content[0, 0, 0])] if isinstance(part, Image) else (part.content, part.learn) for part in document]


def test_one_question_and_its_answer(folder):
    source = open_data(write(folder, [GOOD]))
    document = source.document(Task.QUESTION, 0)
    assert source.tasks == {Task.QUESTION} and document.task is Task.QUESTION
    assert shown(document) == ["red", ("What colour?", False), ("Red.", True)]
    assert not document[0].learn and document.id == "chat.json, entry 1 (id '7')"


def test_pictures_stand_where_their_tags_do_and_every_answer_is_learned(folder):
    talk = turns("First <image>, then\n<image>\n.", "I see.", "And <image>?", " Red. \n", "Sure?", "Yes.")
    source = open_data(write(folder, [{"image": ["a.png", "b.png", "a.png"], "conversations": talk}]))
    assert shown(source.document(Task.QUESTION, 0)) == [
        *[("First", False), "red", (", then", False), "blue", (".", False), ("I see.", True)],
        *[("And", False), "red", ("?", False), ("Red.", True), ("Sure?", False), ("Yes.", True)],
    ]


def test_a_picture_alone_may_be_the_question(folder):
    source = open_data(write(folder, [{"image": "a.png", "conversations": turns("<image>", "A red square.")}]))
    assert shown(source.document(Task.QUESTION, 0)) == ["red", ("A red square.", True)]


def test_entries_without_a_picture_are_text(folder):
    talk = {"conversations": turns("Two and two?", "Four.")}
    source = open_data(write(folder, [GOOD, talk, talk | {"image": None}]))
    assert source.tasks == {Task.QUESTION, Task.TEXT} and len(source) == 3
    for index in range(4):
        assert shown(source.document(Task.TEXT, index)) == [("Two and two?", False), ("Four.", True)]
        assert shown(source.document(Task.QUESTION, index))[0] == "red"


BAD = [
    ("text", "text where an object with the field 'conversations' is expected"),
    ({"image": "a.png"}, "no field 'conversations'; its fields are 'image'"),
    (GOOD | {"conversations": "Q"}, "'conversations' is text; a list of turns is expected"),
    (GOOD | {"conversations": []}, "'conversations' is empty"),
    (GOOD | {"conversations": ["Q", "A"]}, "text where an object with the field 'from' is expected"),
    (GOOD | {"conversations": [{"from": "human"}]}, "no field 'value'"),
    (GOOD | {"conversations": turns("<image>")}, "turn 1 is a question without an answer"),
    (GOOD | {"conversations": turns("<image>", "A", "Q")}, "turn 3 is a question without an answer"),
    (GOOD | {"conversations": turns("<image>", "A")[::-1]}, "turn 1 is from 'gpt'; the roles are 'human' and 'gpt' by turns"),
    (GOOD | {"conversations": [{"from": "system", "value": "S"}, *turns("<image>", "A")]}, "turn 1 is from 'system'"),
    (GOOD | {"conversations": turns("<image>", " ")}, "'value of turn 2' is empty"),
    (GOOD | {"conversations": turns("<image>", 4)}, "'value of turn 2' is a number, not text"),
    (GOOD | {"conversations": turns("Draw.", "<image>")}, "turn 2 answers with a picture"),
    (GOOD | {"conversations": turns("no tag", "A")}, "0 <image> tags for 1 pictures in 'image'"),
    (GOOD | {"conversations": turns("<image><image>", "A")}, "2 <image> tags for 1 pictures in 'image'"),
    (GOOD | {"image": None}, "1 <image> tags for 0 pictures in 'image'"),
    (GOOD | {"image": 3}, "'image' is a number, not text"),
    (GOOD | {"image": "lost.png"}, "no picture 'lost.png' in .* or .*images"),
    (GOOD | {"image": "../a.png"}, "picture '../a.png' lies outside"),
    (GOOD | {"image": "http://a.org/a.png"}, "picture 'http://a.org/a.png' is an address"),
    (GOOD | {"image": "torn.png"}, "picture cannot be read"),
]


@pytest.mark.parametrize("entry, reason", BAD)
def test_a_bad_entry_stops_with_its_place_and_reason(folder, entry, reason):
    named = r" \(id '7'\)" if "id" in entry and isinstance(entry, dict) else ""
    with pytest.raises(ValueError, match=f"data: .*chat.json, entry 2{named}: {reason}.*; mend or remove the row, .*--skip-bad"):
        open_data(write(folder, [GOOD, entry]))


def test_bad_entries_can_be_left_out_and_are_listed(folder):
    source = open_data(write(folder, [*(entry for entry, _ in BAD), GOOD]), skip_bad=True)
    assert len(source) == 1 and len(source.bad) == len(BAD)
    assert str(source.bad[0]) == f"{folder / 'chat.json'}, entry 1: {BAD[0][1]}"


@pytest.mark.parametrize(
    "data, message",
    [
        (b"[{", "chat.json: bad JSON .*; a LLaVA file is one JSON list of entries; mend the file"),
        (b'["\xff"]', "chat.json: not UTF-8"),
        (b'{"images": []}', "chat.json is an object; a LLaVA file is one JSON list of entries; name another file"),
        (b"[]", "holds no rows; at least one is needed"),
    ],
)
def test_a_file_that_is_no_list_of_entries_is_refused(folder, data, message):
    (folder / "chat.json").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        open_data(folder, skip_bad=True)


def test_pictures_may_lie_in_a_folder_that_is_named(folder, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    path = write(away, [GOOD, GOOD | {"image": "images/b.png"}])
    assert len(open_data(path, images=folder)) == 2
    with pytest.raises(ValueError, match=r"chat.json, entry 1 \(id '7'\).*no picture 'a.png' in"):
        open_data(path)
