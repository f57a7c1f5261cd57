import json
import os
import re

import pytest

from tessera.data.benchmarks import ObjectList, YesNoQuestion, match, read_pope, read_pope_objects, read_predictions


def row(id, image="a.png", text="Is there a dog in the image?", label="yes"):
    return {"question_id": id, "image": image, "text": text, "label": label}


ROWS = [row(1), row(2, label="no"), row("三", "狗.png", "图中有狗吗？")]


def test_three_questions_come_back_as_they_were_written(folder, lines):
    found = read_pope(lines(*ROWS))
    assert list(found) == [
        YesNoQuestion("1", "a.png", folder / "a.png", "Is there a dog in the image?", True),
        YesNoQuestion("2", "a.png", folder / "a.png", "Is there a dog in the image?", False),
        YesNoQuestion("三", "狗.png", folder / "狗.png", "图中有狗吗？", True),
    ]
    assert found.bad == () and len(found) == 3 and found[1].id == "2" and found[1:] == found.items[1:]


def test_pictures_lie_beside_the_file_or_in_a_root_absolute_or_relative(folder, lines, monkeypatch, tmp_path_factory):
    path, away = lines(row(1)), tmp_path_factory.mktemp("away")
    elsewhere = away / "rows.json"
    elsewhere.write_bytes(path.read_bytes())
    monkeypatch.chdir(away)
    for root in (folder, str(folder), os.path.relpath(folder)):
        assert read_pope("rows.json", root)[0].picture == folder / "a.png"
    assert read_pope(lines(row(1, str(folder / "a.png"))))[0].picture == folder / "a.png"
    with pytest.raises(ValueError, match=r"line 1: no picture 'a.png' in .*away"):
        read_pope(elsewhere)


def test_empty_lines_are_none_and_a_byte_order_mark_is_not_read(lines):
    found = read_pope(lines(b"\xef\xbb\xbf" + json.dumps(row(5)).encode(), b"", b"  ", row(6)))
    assert [one.id for one in found] == ["5", "6"]


BAD = [
    (b"{", r"bad JSON \(.*\)"),
    (b'{"a": "\xff"}', r"not UTF-8 \(.*\)"),
    (b"[]", "a list where an object with the field 'label' is expected"),
    ({"label": "yes"}, "no field 'image'; its fields are 'label'"),
    (row(1.5), r"'question_id' is a number \(1.5\); a whole number is expected"),
    (row(True), "'question_id' is true or false; a whole number is expected"),
    (row(None), "'question_id' is null; a whole number is expected"),
    (row(1), "its id '1' is that of line 1"),
    (row("1"), "its id '1' is that of line 1"),
    (row(2, label="maybe"), "'label' is 'maybe'; 'yes' and 'no' are accepted"),
    (row(2, label=["yes"]), r"'label' is \['yes'\]; 'yes' and 'no' are accepted"),
    (row(2, text=" "), "'text' is empty"),
    (row(2, "lost.png"), "no picture 'lost.png' in .*"),
    (row(2, "torn.png"), r"picture cannot be read \(.*\)"),
    (row(2, "../a.png"), "picture '../a.png' lies outside .*"),
    (row(2, "https://a.org/a.png"), "picture 'https://a.org/a.png' is an address; pictures are read from disk and never fetched"),
]


@pytest.mark.parametrize(("entry", "reason"), BAD)
def test_a_bad_row_stops_with_its_place_and_reason_or_is_left_out_and_listed(lines, entry, reason):
    path = lines(row(1), entry, row(3))
    place = re.escape(f"{path}, line 2: ")
    with pytest.raises(ValueError, match=f"^data: {place}{reason}; mend or remove the row, or leave bad rows out with skip_bad=True"):
        read_pope(path)
    found = read_pope(path, skip_bad=True)
    assert [one.id for one in found] == ["1", "3"] and len(found.bad) == 1
    assert re.fullmatch(f"{place}{reason}", str(found.bad[0]))


def test_files_that_give_nothing_are_refused(folder, lines):
    for path, reason in (
        (folder / "lost.json", "does not exist; a file of POPE's questions, one JSON object a line, is accepted; check the path"),
        (folder, "is a folder; a file of POPE's questions"),
        (lines(b""), "holds no rows; at least one is needed; name another data set"),
    ):
        with pytest.raises(ValueError, match=f"^data: {re.escape(str(path))} {reason}"):
            read_pope(path)
    with pytest.raises(ValueError, match=r"all 2 rows of .* are bad, the first: .*line 1: bad JSON .*; mend them or name another"):
        read_pope(lines(b"{", b"{"), skip_bad=True)
    with pytest.raises(ValueError, match=r"pictures of rows.json: .*nowhere is no folder"):
        read_pope(lines(row(1)), folder / "nowhere")


# ---------------------------------------------------------------- the lists that questions are made from


def test_object_lists_keep_their_order(folder, lines):
    rows = [{"image": "a.png", "objects": ["dog", "chair"]}, {"image": "b.png", "objects": []}, {"image": "狗.png", "objects": ["狗"]}]
    assert list(read_pope_objects(lines(*rows))) == [
        ObjectList("a.png", folder / "a.png", ("dog", "chair")),
        ObjectList("b.png", folder / "b.png", ()),
        ObjectList("狗.png", folder / "狗.png", ("狗",)),
    ]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"image": "a.png"}, "no field 'objects'"),
        ({"image": "a.png", "objects": "dog"}, "'objects' is text; a list is expected"),
        ({"image": "a.png", "objects": ["dog", 3]}, r"'objects\[1\]' is a number, not text"),
    ],
)
def test_a_bad_list_is_said(lines, entry, reason):
    with pytest.raises(ValueError, match=f"rows.json, line 1: {reason}"):
        read_pope_objects(lines(entry))


# ---------------------------------------------------------------- predictions


def test_predictions_are_found_by_id_whatever_their_order(lines):
    questions = read_pope(lines(*ROWS))
    said = lines(
        {"question_id": "三", "text": "有"},
        {"question_id": "2", "text": "q?", "answer": "No."},
        {"question_id": 1, "text": ""},
        name="said",
    )
    assert match(questions, read_predictions(said)) == ["", "No.", "有"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"1": "a", "2": "b"}, "1 questions without a prediction, the first with id '三'; one for each of 3 questions is accepted"),
        ({"1": "a", "2": "b", "三": "c", "9": "d"}, "1 predictions for no question, the first with id '9'"),
    ],
)
def test_predictions_of_other_questions_are_refused(lines, said, reason):
    with pytest.raises(ValueError, match=f"^predictions: {reason}"):
        match(read_pope(lines(*ROWS)), said)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"question": "Is there?", "answer": "yes"}, "no field 'question_id'; its fields are 'question', 'answer'"),
        ({"question_id": 1}, "no field 'text'"),
        ({"question_id": 1, "text": None}, "'text' is null, not text"),
        ({"question_id": 0, "text": "yes"}, "question_id '0' stands in the file twice"),
    ],
)
def test_a_bad_prediction_is_never_left_out(lines, entry, reason):
    with pytest.raises(ValueError, match=f"rows.json, line 2: {reason}.*; one line for each question is accepted; mend the line$"):
        read_predictions(lines({"question_id": 0, "text": "no"}, entry))
