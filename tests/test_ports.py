import pytest
import torch
from torch import nn

from tessera.codecs import BPE, Patches
from tessera.document import Image, Text
from tessera.laws import Categorical
from tessera.orders import Next
from tessera.ports import Port, Takes, eye_of, port_of
from tessera.readers import TokenReader
from tessera.writers import LinearWriter


def port(name="image", kind=Image, takes=Takes.EITHER, **parts) -> Port:
    return Port(name, kind, codec=Patches(), reader=TokenReader(nn.Embedding(4, 4)), takes=takes, **parts)


GIVEN, LEARNED = Image(torch.zeros(3, 8, 8, dtype=torch.uint8)), Image(learn=True)


@pytest.mark.parametrize(
    ("takes", "given", "learned"), [("GIVEN", True, False), ("LEARNED", False, True), ("EITHER", True, True), ("AFTERWARDS", True, False)]
)
def test_a_port_takes_what_it_says(takes, given, learned):
    mine = port(takes=Takes[takes])
    assert (mine.accepts(GIVEN), mine.accepts(LEARNED)) == (given, learned)
    assert not mine.accepts(Text("x")) and not mine.accepts(Text(learn=True))


def test_exactly_one_port_takes_a_segment():
    see, draw = port("see", takes=Takes.AFTERWARDS), port("draw", takes=Takes.LEARNED)
    assert port_of("janus", [see, draw], GIVEN) is see and port_of("janus", [see, draw], LEARNED) is draw
    message = "janus: Image\\(learn=True\\) is taken by 0 ports; exactly one must take it, and there are see=Image/afterwards; ask for"
    with pytest.raises(ValueError, match=message):
        port_of("janus", [see], LEARNED)
    with pytest.raises(ValueError, match="is taken by 2 ports"):
        port_of("janus", [port("a"), port("b")], GIVEN)


def test_what_was_written_is_read_again_through_the_eye_of_its_kind():
    see, draw = port("see", takes=Takes.AFTERWARDS), port("draw", takes=Takes.LEARNED)
    assert eye_of([draw, see], LEARNED) is see and eye_of([draw, see], Text(learn=True)) is None and eye_of([draw], LEARNED) is None


def test_writer_order_and_law_come_together():
    assert not port().writes and port(writer=LinearWriter(4, 4), order=Next(), law=Categorical(allowed=[0])).writes
    with pytest.raises(ValueError, match=r"port image: writer, order, law given: \[True, False, False\]; all three or none"):
        port(writer=LinearWriter(4, 4))


def test_a_port_that_only_reads_reveals_what_is():
    assert port().reveal(torch.ones(2)).tolist() == [1, 1]
    text = Port("text", Text, codec=BPE(), reader=TokenReader(nn.Embedding(4, 4)))
    assert text.number == -1 and text.accepts(Text("x"))
