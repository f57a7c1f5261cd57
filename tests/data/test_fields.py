import re
from pathlib import Path

import pytest

from tessera.data.fields import attempt, field, kind, parsed, picture_at, text_of
from tessera.data.rows import BadRow, Pair, Span


@pytest.fixture
def roots(tmp_path):
    """Two folders: `both.png` lies in each, `first.png` and `second.png` in one; and a folder beside them whose name begins alike."""
    for name in ("one", "two", "one more"):
        (tmp_path / name).mkdir()
    for name in ("one/both.png", "two/both.png", "one/first.png", "two/second.png", "one more/out.png"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path / "one", tmp_path / "two"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        (b'\xef\xbb\xbf"mark"', "mark"),
        ('"裏"'.encode(), "裏"),
        (b'"\\u88cf"', "裏"),
        (b" 7\r\n", 7),
    ],
)
def test_json_is_read_from_bytes(data, value):
    assert parsed(data) == value


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "bad JSON"), (b"{'a': 1}", "bad JSON"), (b"1 2", "bad JSON"), (b'"\xe8\xa3"', "not UTF-8")]
)
def test_what_is_no_json_is_told_apart_from_what_is_no_utf_8(data, reason):
    with pytest.raises(ValueError, match=rf"^{reason} \(.+\)$"):
        parsed(data)


def test_a_field_is_its_value_and_none_where_it_may_be_missing():
    assert field({"a": 0}, "a") == 0
    assert field({"a": None}, "a") is None is field({"b": 1}, "a", needed=False)
    assert field({"a": 0}, "a", needed=False) == 0


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"b": 1, "c d": 2}, "no field 'a'; its fields are 'b', 'c d'"),
        ({}, "no field 'a'; its fields are none"),
        (["a"], "a list where an object with the field 'a' is expected"),
        ("a", "text where an object with the field 'a' is expected"),
        (None, "null where an object with the field 'a' is expected"),
    ],
)
def test_a_needed_field_that_is_missing_is_told_with_those_that_are_there(entry, reason):
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        field(entry, "a")


def test_what_has_no_fields_has_no_field_that_may_be_missing():
    with pytest.raises(ValueError, match="a number where an object with the field 'a' is expected"):
        field(3, "a", needed=False)


def test_text_loses_white_space_at_its_ends_only():
    assert text_of(" \n a  red\ncircle \t", "text") == "a  red\ncircle"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "'words' is empty"),
        (" \n\t", "'words' is empty"),
        (True, "'words' is true or false, not text"),
        ({}, "'words' is an object, not text"),
        ("\udc00", "'words' cannot be written as UTF-8"),
    ],
)
def test_what_is_no_text_is_refused_by_the_name_of_its_field(value, reason):
    with pytest.raises(ValueError, match=f"^{reason}"):
        text_of(value, "words")


@pytest.mark.parametrize(
    ("value", "names"),
    [(None, "null"), (False, "true or false"), (3, "a number"), (0.5, "a number"), ("", "text"), ([], "a list"), ({}, "an object")],
)
def test_json_values_have_names(value, names):
    assert kind(value) == names


@pytest.mark.parametrize(("name", "where"), [("both.png", 0), ("first.png", 0), ("second.png", 1), (" ./x/../first.png ", 0)])
def test_a_picture_is_the_first_of_its_name(roots, name, where):
    assert picture_at(name, *roots) == Span(roots[where] / name.strip().split("/")[-1])


def test_a_whole_path_is_as_good_where_it_lies_inside(roots):
    assert picture_at(str(roots[0] / "first.png"), *roots) == Span(roots[0] / "first.png")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lost.png", "no picture 'lost.png' in {0} or {1}"),
        ("first.png\0", r"no picture 'first.png\x00' in {0} or {1}"),
        ("../one more/out.png", "picture '../one more/out.png' lies outside {0}, which paths are relative to"),
        ("../two/second.png", "picture '../two/second.png' lies outside {0}, which paths are relative to"),
        (".", "picture '.' is a folder"),
        ("file:///first.png", "picture 'file:///first.png' is an address; pictures are read from disk and never fetched"),
        ("", "'image' is empty"),
        (7, "'image' is a number, not text"),
    ],
)
def test_a_picture_that_is_not_inside_is_refused(roots, name, reason):
    with pytest.raises(ValueError, match=f"^{re.escape(reason.format(*roots))}$"):
        picture_at(name, *roots)


def test_a_row_is_what_its_reader_returns_or_the_reason_why_it_does_not():
    file, row = Path("rows.jsonl"), Pair(Path("rows.jsonl"), "line 1", Span(Path("a.png")), "red")
    assert attempt(file, "line 1", lambda: row) is row
    assert attempt(file, "line 2", lambda: text_of("", "text")) == BadRow(file, "line 2", "'text' is empty")


def test_faults_that_are_no_fault_of_the_row_are_not_taken_for_one():
    with pytest.raises(ZeroDivisionError):
        attempt(Path("rows.jsonl"), "line 1", lambda: 1 / 0)
