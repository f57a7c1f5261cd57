"""Writing: caches, batches and guidance change nothing that they should not, and what is written is what is trained."""

import pytest
import torch
from properties.harness import (
    LONGEST,
    STEPS,
    TIGHT,
    Watched,
    blank,
    blanks,
    draw,
    drawn,
    kinds,
    laid_out,
    picture,
    positions,
    same,
    story,
    whole,
    write,
    written,
)

from tessera.document import Document, Text
from tessera.draws import Draw
from tessera.laws import Sampling
from tessera.pieces import Piece
from tessera.places import View
from tessera.system import System
from tessera.verbs import generate
from tessera.verbs.writing import Request

guidances = pytest.mark.parametrize("guidance", [1.0, 3.0])


@guidances
def test_cached_equals_uncached(system, guidance):
    uncached = write(system, blanks(system), guidance=guidance, cached=False)
    for one, other in zip(written(system, guidance), uncached, strict=True):
        same(one, other)


@guidances
def test_batched_equals_one_by_one(system, guidance):
    some = blanks(system)
    for i, one in enumerate(written(system, guidance)):
        same(one, write(system, [some[i]], guidance=guidance, seeds=[i])[0])


def test_documents_that_begin_alike_go_on_as_they_would_alone(system):
    document = blanks(system)[-1]
    for seed, one in enumerate(write(system, [document] * 3, guidance=3.0, seeds=[0, 1, 2])):
        same(one, write(system, [document], guidance=3.0, seeds=[seed])[0])


def test_rows_in_different_states_share_passes(system):
    some = blanks(system)[::2]
    alone = [passes(system, [document]) for document in some]
    assert passes(system, [some[-1]] * 3, seeds=[0] * 3) == alone[-1], "rows in one state take no pass of their own"
    assert max(alone) <= passes(system, some) < sum(alone)


def passes(system: System, some: list[Document], **how) -> int:
    """How often the trunk runs to write documents side by side."""
    runs = []
    handle = system.trunk.register_forward_hook(lambda *_: runs.append(1))
    try:
        write(system, some, **how)
    finally:
        handle.remove()
    return len(runs)


@guidances
def test_training_sees_what_writing_saw(system, guidance):
    """In a joint system what is kept changes with what comes behind it, so there it is compared in the passes that write alone."""
    for one in written(system, guidance):
        if not system.joint:
            (pieces,) = laid_out(system, [one.document], clean=[one.clean])
            check_committed(system, one, pieces)
        for glimpse in (glimpse for glimpse in one.glimpses if not glimpse.step.commit):
            check_peek(system, glimpse, one)


def check_committed(system: System, one: Watched, pieces: list[Piece]) -> None:
    """All that writing kept; only the last element of the document was never shown to the trunk."""
    with torch.no_grad():
        hidden = system.hidden([pieces])[0][0]
    trained, seen = dict(zip(positions(pieces), hidden, strict=True)), set()
    for where, states, step in one.glimpses:
        if step.commit:
            assert trained.keys() >= set(where)
            torch.testing.assert_close(states, torch.stack([trained[place] for place in where]), **TIGHT)
            seen.update(where)
    last = pieces[-1]
    never = set(positions([last])[last.predicts[-1] :]) if last.goal is not None else set()
    public = {place for place in trained if place[1] == View.PUBLIC}
    assert public - seen <= never


def check_peek(system: System, glimpse, one: Watched) -> None:
    """A pass that left nothing behind: the same as training on what it showed."""
    (shown,) = glimpse.step.pieces
    passes = laid_out(system, [one.document], clean=[one.clean])
    written_now = lambda piece: piece.segment == shown.segment and piece.goal is not None and piece.port.order.lead == 0
    ((pieces, piece),) = [(pieces, piece) for pieces in passes for piece in pieces if written_now(piece)]
    piece.visible = shown.visible
    with torch.no_grad():
        hidden = system.hidden([pieces])[0][0]
    assert positions([piece]) == glimpse.where
    torch.testing.assert_close(glimpse.hidden, hidden[piece.offset : piece.offset + piece.count], **TIGHT)


def test_guidance_zero_writes_the_dropped_document(system):
    for kind in drawn(system):
        asked = blank(draw(system, kind))
        dropped = Document((*system.drop.left(asked.segments[:1]), asked[1]))
        guided, alone = write(system, [asked], guidance=0.0, seeds=[3]), write(system, [dropped], seeds=[3])
        torch.testing.assert_close(guided[0].clean[-1], alone[0].clean[-1], **TIGHT)


def test_guidance_of_one_is_no_guidance(system):
    for kind in drawn(system):
        plain, nearly = (write(system, [blank(story(system, kind))], guidance=g)[0] for g in (1.0, 1 + 1e-13))
        for a, b in zip(plain.clean, nearly.clean, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_guidance_matters(system):
    for kind in drawn(system):
        plain, guided = (write(system, [blank(draw(system, kind))], guidance=g)[0].clean[-1] for g in (1.0, 8.0))
        assert not torch.equal(plain, guided)


def test_interleaved_documents_are_written_and_learned(system):
    outside = system.markers.outside
    for kind in drawn(system):
        (one,) = write(system, [blank(story(system, kind))])
        shape = picture(system, 0, kind).shape
        for segment, clean in zip(one.document, one.clean, strict=True):
            if isinstance(segment, Text):
                assert isinstance(segment.content, str) and not outside & set(clean.tolist())
            else:
                assert segment.content.dtype == torch.uint8 and segment.content.shape == shape
        losses = system.losses_of(laid_out(system, [one.document], clean=[one.clean]))
        ids = sum(len(system.laid(one.clean[i], one.document, i)) for i in (2, 4))
        # text written one after another also decides that the second picture begins
        assert {"Next": losses["text"][1] == ids + 1, "Masked": 0 < losses["text"][1] <= ids}[type(system.text.order).__name__]
        assert losses[system.port(kind(learn=True)).name][1] > 0


def test_who_decides_goes_on_by_itself_and_who_does_not_says_so(system):
    for kind in drawn(system):
        asked = Request(Document((Text("draw"), kind(learn=True))), 0, {kind: Sampling(steps=STEPS)}, LONGEST, more=3)
        if system.decides:
            (one,) = generate.write(system, [asked])
            turns = [type(segment) for segment in one.document]
            assert 3 <= len(turns) <= 5 and turns == [Text, kind, Text, kind, Text][: len(turns)] and all(s.learn for s in one.document[1:])
        else:
            with pytest.raises(ValueError, match="3 segments more; its text is not written one id after another and so decides nothing"):
                generate.write(system, [asked])


def test_text_ends_where_it_says_so(system):
    """Text stops behind its first `end`, at its greatest length by force; on a canvas that may be as long as the canvas without one."""
    for seed, one in enumerate(written(system, 1.0)):
        for i, (segment, clean) in enumerate(zip(one.document, one.clean, strict=True)):
            if isinstance(segment, Text) and segment.learn:
                ends, size = (clean == system.markers.end).nonzero()[:, 0].tolist(), len(system.laid(clean, one.document, i))
                whole = {"Next": False, "Masked": not ends and len(clean) == size < LONGEST + seed % 2}[type(system.text.order).__name__]
                assert len(clean) <= LONGEST + 1 and (whole or ends == [len(clean) - 1])


def test_a_given_picture_is_not_learned(system):
    for kind in kinds(system):
        given = Document((kind(picture(system, 2, kind)), Text("a dot", True)))
        losses = system.losses([given], [Draw(0)])
        assert {name for name, (_, count) in losses.items() if count} == {"text"}


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_what_is_kept_of_a_picture_is_neither_learned_nor_rewritten(system, share):
    for kind in drawn(system):
        content = picture(system, 6, kind)
        keep = torch.zeros(content.shape[1:], dtype=torch.bool)
        keep[: round(share * len(keep))] = True
        document = Document((Text("x"), kind(content, True, keep), Text("y", True)))
        clean = system.encode([document], [Draw(0)])[0][1].clean
        if share < 1 and whole(system, kind):
            with pytest.raises(ValueError, match="given or learned as a whole"):
                system.kept(document[1], clean)
            continue
        kept = system.kept(document[1], clean)
        assert kept.float().mean() == share
        (one,) = write(system, [Document((document[0], document[1], Text(learn=True)))], guidance=2.0)
        assert torch.equal(one.clean[1][kept], clean[kept]) and (share == 1 or not torch.equal(one.clean[1], clean))
        port = system.port(document[1])
        total, count = system.losses([document], [Draw(0)])[port.name]
        left = int((~kept).sum())
        assert {"Next": count == left, "InPlace": count == left, "Masked": count <= left}[type(port.order).__name__]
        assert total.isfinite() and (count > 0) == (share < 1)
