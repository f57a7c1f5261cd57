"""The kinds of drop, on one small system: what is dropped is not read, and guidance compares with just that."""

import pytest
import torch

from tessera.attention import causal
from tessera.codecs import BPE, Padding
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.drops import Absent, Hidden, Instead, Replaced
from tessera.laws import Sampling
from tessera.ports import Port, Takes
from tessera.system import System
from tessera.verbs.generate import write
from tessera.verbs.writing import Request

KINDS = [Absent(), Hidden(), Replaced(), Instead("no red, no dot")]
PICTURE = slice(-4, None)  # the last four places


@pytest.fixture(params=KINDS, ids=lambda drop: type(drop).__name__)
def system(request, tiny):
    """A system that learned guidance by one kind of drop; what Replaced drops is read as padding."""
    parts, bpe = tiny(), BPE()
    for port in parts.ports:
        port.number = -1
    padding = Port("padding", Text, codec=Padding(bpe, bpe.markers.end), reader=parts.text.reader, takes=Takes.DROPPED)
    ports = (*parts.ports, padding) if isinstance(request.param, Replaced) else parts.ports
    return System("dropping", trunk=parts.trunk, ports=ports, attention=causal, drop=request.param).eval()


def seen(system, *segments):
    """Hidden states of the places of the document's picture, which ends it; and how many places there are."""
    (pieces,) = system.arrange([Document(segments)], [Draw(0)])
    with torch.no_grad():
        return system.hidden([pieces])[0][0, PICTURE], sum(piece.count for piece in pieces)


def test_nothing_of_a_dropped_prompt_is_read(system, pictures):
    drawn = Image(pictures[0], learn=True)
    (one, places), (other, as_many) = (seen(system, *system.drop.left((Text(words),)), drawn) for words in ("a red dot", "a blue dot"))
    torch.testing.assert_close(one, other)
    with_prompt, asked = seen(system, Text("a red dot"), drawn)
    assert not torch.allclose(with_prompt, one, atol=1e-3)
    assert places == as_many and (places == asked) == isinstance(system.drop, Hidden | Replaced)


def test_guidance_of_nothing_writes_what_stands_behind_a_dropped_prompt(system):
    def written(*segments, guidance):
        (one,) = write(system, [Request(Document((*segments, Image(learn=True))), 3, {Image: Sampling(guidance=guidance)})])
        return one.clean[-1]

    nothing, plain, much = (written(Text("a red dot"), guidance=g) for g in (0.0, 1.0, 9.0))
    assert torch.equal(nothing, written(*system.drop.left((Text("a blue dot"),)), guidance=1.0))
    assert not torch.equal(plain, much)


def test_pictures_written_before_are_dropped_too(system, pictures):
    story = Document((Text("a red dot"), Image(learn=True), Text("now a blue one"), Image(learn=True)))
    (one,) = write(system, [Request(story, 3, {Image: Sampling(guidance=0.0)})])
    (other,) = write(system, [Request(Document((Text("a green dot"), *story.segments[1:])), 3, {Image: Sampling(guidance=0.0)})])
    assert torch.equal(one.clean[1], other.clean[1]) and torch.equal(one.clean[3], other.clean[3])
