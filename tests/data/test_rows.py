import dataclasses
from pathlib import Path

import pytest
import torch

from tessera.data import BadRow
from tessera.data.rows import Conversation, Pair, Span
from tessera.document import Image, Task, Text

HERE, WHERE = Path("rows.jsonl"), "line 3"
PICTURE = torch.zeros(3, 8, 8, dtype=torch.uint8)


class Eyes:
    """Sees the same picture in every span, and remembers the spans."""

    def __init__(self):
        self.seen = []

    def __call__(self, span: Span) -> torch.Tensor:
        self.seen.append(span)
        return PICTURE


@pytest.mark.parametrize(
    ("start", "length", "found"), [(0, -1, b"0123456789"), (4, -1, b"456789"), (4, 3, b"456"), (4, 0, b""), (8, 9, b"89")]
)
def test_a_span_is_a_file_or_a_part_of_it(tmp_path, start, length, found):
    (tmp_path / "x").write_bytes(b"0123456789")
    assert Span(tmp_path / "x", start, length).read() == found


def test_a_span_is_read_when_asked_for(tmp_path):
    span = Span(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        span.read()
    for data in (b"first", b"second"):
        (tmp_path / "x").write_bytes(data)
        assert span.read() == data


def test_spans_of_the_same_bytes_are_one():
    assert len({Span(HERE), Span(Path("rows.jsonl")), Span(HERE, 0, -1), Span(HERE, 1), Span(Path("other"))}) == 3


def test_a_bad_row_says_file_place_and_reason():
    assert str(BadRow(Path("a/b.jsonl"), "line 3", "no text")) == "a/b.jsonl, line 3: no text"


def test_a_pair_is_drawn_from_its_text_or_captioned():
    pair, see = Pair(HERE, WHERE, Span(Path("a.png")), "red"), Eyes()
    assert pair.tasks == {Task.DRAW, Task.CAPTION} and pair.pictures == (Span(Path("a.png")),) and see.seen == []
    text, picture = pair.segments(Task.DRAW, see)
    assert (text.content, text.learn) == ("red", False) and picture.content is PICTURE and picture.learn
    picture, text = pair.segments(Task.CAPTION, see)
    assert (text.content, text.learn) == ("red", True) and picture.content is PICTURE and not picture.learn
    assert see.seen == [Span(Path("a.png"))] * 2


def test_a_conversation_keeps_its_order_and_what_is_learned():
    parts = (Text("First"), Span(Path("a.png")), Text("Red.", learn=True), Span(Path("b.png")), Text("Blue.", learn=True))
    talk, see = Conversation(HERE, WHERE, parts), Eyes()
    assert talk.pictures == (Span(Path("a.png")), Span(Path("b.png"))) and see.seen == []
    segments = talk.segments(Task.QUESTION, see)
    assert [type(one) for one in segments] == [Text, Image, Text, Image, Text] and segments[0::2] == parts[0::2]
    assert all(one.content is PICTURE and not one.learn for one in segments[1::2]) and see.seen == list(talk.pictures)


@pytest.mark.parametrize(
    ("parts", "task"), [((Text("Q"), Text("A", learn=True)), Task.TEXT), ((Span(HERE), Text("A", learn=True)), Task.QUESTION)]
)
def test_a_conversation_is_a_question_where_it_has_a_picture(parts, task):
    assert Conversation(HERE, WHERE, parts).tasks == {task}


@pytest.mark.parametrize(
    "row", [Span(HERE), BadRow(HERE, WHERE, "bad"), Pair(HERE, WHERE, Span(HERE), "red"), Conversation(HERE, WHERE, ())]
)
def test_rows_do_not_change(row):
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.file = Path("other")
