"""No prediction sees what it shall predict, nor anything it may not see; what is public is seen."""

import torch
from properties.harness import documents, drawn, laid_out, pictured, rich, story
from torch import Tensor

from tessera.document import Document
from tessera.draws import Draw
from tessera.orders import Context
from tessera.pieces import Piece, assemble, leaves, place, read
from tessera.places import View
from tessera.system import System


class Reach:
    """One document in the trunk, ready to say which embeddings a hidden state depends on."""

    def __init__(self, system: System, pieces: list[Piece]):
        everything = read(pieces, system.device)
        place(pieces)
        batch = assemble([pieces], everything)
        self.places = batch.places[0]
        self.embeddings = batch.embeddings.detach().requires_grad_()
        self.hidden = system.trunk(self.embeddings, batch.condition, batch.places, system.attention)[0]
        self.weigh = torch.randn(self.hidden.shape[-1], generator=torch.Generator().manual_seed(0))

    def of(self, place: int) -> Tensor:
        """True for each place whose embedding moves the hidden state of this one."""
        (gradient,) = torch.autograd.grad((self.hidden[place] * self.weigh).sum(), self.embeddings, retain_graph=True)
        return gradient[0].abs().sum(-1) > 0


def unseen_of_its_own_view(piece: Piece, element: int) -> Tensor:
    """Of a piece's own places, those that its answer for one element may not see."""
    number = torch.arange(piece.count)
    by_order = {
        "Next": number >= piece.predicts[element],  # itself, and what comes later
        "Masked": number < 0,  # all may be seen: a hidden place shows nothing
        "InPlace": number < 0,  # all may be seen: a noised place shows a noised element
    }
    return by_order[type(piece.port.order).__name__]


def test_no_prediction_depends_on_what_it_may_not_see(system):
    for pieces in laid_out(system, rich(system)):
        reach = Reach(system, pieces)
        places = reach.places
        for piece in (piece for piece in pieces if piece.goal is not None):
            mine = places.segment == piece.segment
            foreign = ~mine & ((places.view == View.PRIVATE) | (places.segment > piece.segment))
            for element, answer in enumerate(piece.answers()):
                if not piece.goal.where[element]:
                    continue
                forbidden = foreign | (mine & (places.view != piece.view))
                forbidden[piece.offset : piece.offset + piece.count] |= unseen_of_its_own_view(piece, element)
                assert not (reach.of(answer) & forbidden).any(), (piece.port.name, element)


def test_nothing_stands_behind_what_is_learned_where_all_see_each_other(system):
    """A joint system learns a document in as many passes as segments of it are learned; any other in one."""
    for document in documents(system):
        passes = laid_out(system, [document])
        learned = [number for number, segment in enumerate(document) if segment.learn]
        assert len(passes) == (len(learned) if system.joint else 1)
        for pieces in passes if system.joint else ():
            assert [piece.goal is not None for piece in pieces] == [False] * (len(pieces) - 1) + [True]
            assert all(piece.view is View.PUBLIC for piece in pieces) or system.drop.hides
            seen = Reach(system, pieces).of(0)
            assert seen.all(), "what stands first sees what is written last"


def test_learned_text_sees_all_that_is_public_before_it(system):
    for document in pictured(system):
        *_, pieces = laid_out(system, [document])
        reach = Reach(system, pieces)
        last = pieces[-1]
        seen = reach.of(last.answers()[0])
        assert seen[(reach.places.segment < last.segment) & (reach.places.view == View.PUBLIC)].all()


def test_later_segments_read_a_written_picture_through_the_port_that_reads_it(system):
    for kind in drawn(system):
        *_, pieces = laid_out(system, [story(system, kind)])  # in a joint system, the pass that learns the last text
        port, eye = system.port(kind(learn=True)), system.eye(kind())
        views = [piece for piece in pieces if piece.port.kind is kind]
        public = [piece for piece in views if piece.view is View.PUBLIC]
        assert len(public) == 2 and all(piece.port is (eye or port) for piece in public)
        one = system.joint or (port.order.shared and eye is None)
        learned = sum(piece.port is port and piece.goal is not None for piece in views)
        assert len(views) == (2 if one else 4) and learned == (0 if system.joint else 2)


def test_changing_a_learned_element_moves_no_prediction_that_may_not_see_it(system):
    for document in rich(system):
        clean = cleans(system, document)
        before = seen(system, document, clean)
        bodies = [(number, p) for number, (pieces, _) in enumerate(before) for p in pieces if p.goal is not None and len(p.goal.where) > 1]
        for i, (number, piece) in zip((i for i, segment in enumerate(document) if segment.learn), bodies, strict=True):
            for element in changeable(clean[i], piece.goal.where):
                after = seen(system, document, changed(clean, i, element))
                check_change(system, piece, element, before[number], after[number], reread=system.eye(document[i]) is not None)
                for (_, was), (_, now) in zip(before[:number], after[:number], strict=True):
                    assert torch.equal(was, now), "passes in front of it do not know of it"


def cleans(system: System, document: Document) -> list[Tensor]:
    """The clean elements of each segment."""
    return [encoded.clean for encoded in system.encode([document], [Draw(0)])[0]]


def seen(system: System, document: Document, clean: list[Tensor]) -> list[tuple[list[Piece], Tensor]]:
    """The pieces of each pass of a document and their hidden states, with the same draws each time."""
    with torch.no_grad():
        return [(pieces, system.hidden([pieces])[0][0]) for pieces in laid_out(system, [document], clean=[clean])]


def changeable(clean: Tensor, where: Tensor) -> list[int]:
    """The first and the last element that is learned and differs from another; what fills a canvas is none."""
    found = [j for j in where[: len(clean)].nonzero()[:, 0].tolist() if (clean != clean[j]).any()]
    assert found, "all elements are the same: nothing to change"
    return sorted({found[0], found[-1]})


def changed(clean: list[Tensor], i: int, element: int) -> list[Tensor]:
    """The same but for one element, which becomes like another of its segment."""
    edited = clean[i].clone()
    edited[element] = next(one for one in clean[i] if not torch.equal(one, edited[element]))
    return [edited if k == i else one for k, one in enumerate(clean)]


def check_change(system: System, piece: Piece, element: int, before, after, *, reread: bool) -> None:
    """What may move, stated per order; of a picture that an eye reads again, the codes move nothing but their own view.

    In a joint system what is noisy shows everywhere, and what is hidden nowhere.
    """
    (old, was), (new, now) = before, after
    name, number = type(piece.port.order).__name__, torch.arange(len(was))
    own = (number >= piece.offset) & (number < piece.offset + piece.count)
    free = {
        "Next": number >= piece.offset + int(piece.predicts[element]),
        "Masked": (number >= piece.offset) & ~own,
        "InPlace": (number >= piece.offset) | system.joint,
    }[name]
    held = ~(free & own) if reread else ~free
    torch.testing.assert_close(now[held], was[held], rtol=0, atol=0)
    again = any(p is not piece and p.segment == piece.segment and p.port is piece.port and p.view is View.PUBLIC for p in old)
    assert torch.equal(was, now) == (name == "Masked" and not again), "who may see the change sees it"
    assert piece.port.order.lead == 0 or piece.aside is None, "what goes round the trunk would tell of the element itself"
    if name == "Masked":
        for a, b in zip(leaves(piece.visible), leaves(new[old.index(piece)].visible), strict=True):
            assert torch.equal(a, b), "what is hidden shows"


def test_revealing_is_corrupting_with_everything_kept(system):
    for document in rich(system):
        for i, clean in ((i, one) for i, one in enumerate(cleans(system, document)) if system.port(document[i]).writes):
            order, kept = system.port(document[i]).order, torch.ones(len(clean), dtype=torch.bool)
            visible, _, where, *_ = order.corrupt(clean, kept, Context(document, i), Draw(7))
            assert not where.any()
            for a, b in zip(leaves(visible), leaves(order.reveal(clean)), strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_shifting_all_positions_changes_nothing(system):
    for pieces in laid_out(system, pictured(system)):
        everything, hidden = read(pieces, system.device), []
        for order in (0, 50):
            place(pieces, order)
            batch = assemble([pieces], everything)
            with torch.no_grad():
                hidden.append(system.trunk(batch.embeddings, batch.condition, batch.places, system.attention))
        torch.testing.assert_close(*hidden)
