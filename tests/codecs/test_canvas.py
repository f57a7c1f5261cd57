import pytest
import torch

from tessera.codecs import BPE, Canvas
from tessera.codecs.canvas import up_to
from tessera.document import Document, Image, Text

CANVAS, END = Canvas(alone=6, answer=3), 9
TALK = Document((Image(), Text("what?"), Text("a dot", True), Text("a dot", True)))


def test_what_goes_on_from_a_text_has_a_canvas_of_its_own():
    assert [CANVAS.size(TALK, i) for i in (1, 2, 3)] == [6, 3, 3] and CANVAS.size(Document((Text("x", True),)), 0) == 6


def test_a_text_lies_on_its_canvas_and_ends_with_its_first_end():
    ids = torch.tensor([4, 5, END])
    assert CANVAS.laid(ids, TALK, 1, END).tolist() == [4, 5, END, END, END, END]
    assert CANVAS.laid(ids, TALK, 2, END).tolist() == [4, 5, END]
    assert CANVAS.laid(torch.tensor([1, 2, 3, 4, END]), TALK, 2, END).tolist() == [1, 2, 3], "as far as the canvas goes"
    assert up_to(CANVAS.laid(ids, TALK, 1, END), END).tolist() == ids.tolist()
    assert up_to(torch.tensor([1, 2, 3]), END).tolist() == [1, 2, 3]


def test_what_stands_behind_the_first_end_is_not_said():
    bpe = BPE(canvas=CANVAS)
    ids, end = bpe.encode(["a red dot"]).clean[0], torch.tensor([bpe.markers.end])
    assert bpe.decode([torch.cat([ids, end, ids, end, end])]) == ["a red dot"] and bpe.canvas is CANVAS and BPE().canvas is None


def test_a_canvas_has_room():
    with pytest.raises(ValueError, match=r"Canvas: 0 and 3 ids; at least 1 is accepted"):
        Canvas(0, 3)
