from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tessera.attention import causal, within
from tessera.codecs import BPE, FSQ, Autoencoder
from tessera.codecs.text import MarkerIds
from tessera.document import Document, Image, Task, Text
from tessera.draws import Draw
from tessera.drops import Absent, now_and_then
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.orders.base import Corrupted
from tessera.places import View
from tessera.ports import Port, Takes
from tessera.readers import TokenReader
from tessera.system import System, evaluating
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.verbs.generate import generate
from tessera.writers import LinearWriter

TEXT, PICTURE = 0, 1  # numbers of the ports


class Hidden:
    """An order that hides everything in a view of its own, where elements answer for themselves."""

    lead, shared = 0, False

    def corrupt(self, clean, keep, context, draw):
        return Corrupted(clean * 0, clean, ~keep)

    def reveal(self, clean):
        return clean

    def write(self, w):
        raise NotImplementedError


def hiding(*, eye: bool) -> System:
    """A system whose pictures are written in a private view, and, with `eye`, read through another port."""
    width, bpe = 16, BPE()
    codec = Autoencoder(quantizer=FSQ((3, 3)), pixels=8, stride=4, channels=8)
    reader = TokenReader(nn.Embedding(9, width), columns=2)
    writes = {"order": Hidden(), "law": Categorical(allowed=range(9)), "takes": Takes.LEARNED if eye else Takes.EITHER}
    text_reader = TokenReader(nn.Embedding(bpe.size, width))
    law = Categorical(allowed=bpe.writable)
    text = Port("text", Text, codec=bpe, reader=text_reader, writer=LinearWriter(width, bpe.size), order=Next(), law=law)
    draw = Port("draw", Image, codec=codec, reader=reader, writer=LinearWriter(width, 9), **writes)
    seer = Autoencoder(quantizer=FSQ((3, 3)), pixels=8, stride=8, channels=8)
    see = Port("see", Image, codec=seer, reader=reader, takes=Takes.AFTERWARDS)
    blocks = [Block(PreNorm(nn.RMSNorm(width), SelfAttention(width, 2)), PreNorm(nn.RMSNorm(width), SwiGLU(width)))]
    trunk = Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(8))
    ports = (text, draw, see) if eye else (text, draw)
    return System("hiding", trunk=trunk, ports=ports, attention=causal | within(draw))


def draws(documents) -> list[Draw]:
    return [Draw(0, i) for i in range(len(documents))]


def laid_out(system, document):
    """The layout as (port, ids, segment, learned, writes, ids to learn)."""
    (pieces,) = system.arrange([document], [Draw(0)])
    goal = lambda piece: None if piece.goal is None else piece.goal.target[piece.goal.where].tolist()
    return [(p.port.number, p.visible.tolist(), p.segment, p.learned, p.writes, goal(p)) for p in pieces]


def test_text_is_closed_unless_learned_text_continues_it(tiny):
    system = tiny()
    a, b = (ids.tolist() for ids in system.text.codec.encode(["what?", "red"]).clean)
    end = system.markers.end
    documents = [Document((Text("what?"), Text("red", learn=True))), Document((Text("what?"), Text("red")))]
    continued, given = system.encode(documents, draws(documents))
    assert [one.clean.tolist() for one in continued] == [a, [*b, end]]
    assert [one.clean.tolist() for one in given] == [[*a, end], [*b, end]]


def test_like_segments_are_encoded_together_and_find_their_way_back(tiny, pictures, monkeypatch):
    system = tiny().eval()
    codec, sizes = system.by_name["image"].codec, []
    encode = codec.encode
    monkeypatch.setattr(codec, "encode", lambda raws, draws: sizes.append(len(raws)) or encode(raws, draws))
    documents = [Document((Image(pictures[0]), Text("x"), Image(pictures[1], learn=True))), Document((Text("y"), Image(pictures[2])))]
    found = system.encode(documents, draws(documents))
    assert sizes == [3]
    alone = [encode([picture]).clean[0].tolist() for picture in pictures[:3]]
    assert [found[0][0].clean.tolist(), found[0][2].clean.tolist(), found[1][1].clean.tolist()] == alone


def test_a_drawing_is_learned_behind_its_prompt(tiny, pictures):
    system = tiny().eval()
    m, codes = system.markers, system.by_name["image"].codec.encode([pictures[0]]).clean[0].tolist()
    prompt = system.text.codec.encode(["red"]).clean[0].tolist()
    assert laid_out(system, Document((Text("red"), Image(pictures[0], learn=True)))) == [
        (TEXT, [*m.document], 0, False, PICTURE, None),
        (TEXT, [*prompt, m.end], 1, False, PICTURE, None),
        (TEXT, [*m.begin_image], 2, True, PICTURE, None),  # it belongs to what is learned, but is not
        (PICTURE, codes, 3, True, PICTURE, codes),
    ]


def test_an_answer_is_learned_behind_a_picture(tiny, pictures):
    system = tiny().eval()
    m, codes = system.markers, system.by_name["image"].codec.encode([pictures[0]]).clean[0].tolist()
    ask, answer = (ids.tolist() for ids in system.text.codec.encode(["what?", "red"]).clean)
    assert laid_out(system, Document((Image(pictures[0]), Text("what?"), Text("red", learn=True)))) == [
        (TEXT, [*m.document], 0, False, TEXT, None),
        (TEXT, [*m.begin_image], 1, False, TEXT, None),
        (PICTURE, codes, 2, False, TEXT, None),
        (TEXT, [*m.end_image], 3, False, TEXT, None),
        (TEXT, ask, 4, False, TEXT, None),
        (TEXT, [*answer, m.end], 5, True, TEXT, [*answer, m.end]),
    ]


def test_learned_text_begins_from_a_marker_where_the_trunk_wants_it(tiny, pictures):
    system = tiny().eval()
    m, parts = system.markers, (Image(pictures[0]), Text("what?"), Text("red", learn=True), Image(pictures[1], learn=True))
    document = Document((*parts, Text("x", learn=True), Text("y"), Text("z", learn=True)))
    found, usual = [], laid_out(system, document)
    system.trunk.halved = True
    for one in laid_out(system, document):
        if one[1] == [m.end] and one[3]:
            found.append(one[2])
        else:
            number = one[2] - len(found)
            assert (*one[:2], number, *one[3:]) == usual.pop(0)
    assert found == [5, 12] and not usual  # in front of "red" and of "z", but not of what follows something learned
    assert laid_out(system, Document((Text("red", learn=True),)))[:2] == [
        (TEXT, [*m.document], 0, False, TEXT, None),
        (TEXT, [m.end], 1, True, TEXT, None),
    ]


def test_pieces_know_how_many_segments_were_learned_before_them(tiny, pictures):
    system = tiny().eval()
    parts = (Text("a"), Image(pictures[0], learn=True), Text("b"), Text("c", learn=True), Text("d"))
    (pieces,) = system.arrange([Document(parts)], [Draw(0)])
    assert [piece.turn for piece in pieces] == [0, 0, 0, 0, 1, 1, 1, 2]
    assert [piece.learned for piece in pieces] == [False, False, True, True, True, False, True, False]


def test_that_a_picture_begins_is_learned_where_the_model_decided_it(tiny, pictures):
    system = tiny().eval()
    m = system.markers
    layout = laid_out(system, Document((Text("a story", learn=True), Image(pictures[0], learn=True), Text("x"))))
    assert layout[2][1:] == ([*m.begin_image], 2, True, PICTURE, [*m.begin_image])
    assert [(ids, writes) for _, ids, _, _, writes, _ in layout[4:]] == [([*m.end_image], -1), (layout[5][1], -1)]


def test_what_is_kept_of_a_picture_is_not_learned(tiny, pictures):
    system, keep = tiny().eval(), torch.zeros(8, 8, dtype=torch.bool)
    keep[:4] = True
    codes = system.by_name["image"].codec.encode([pictures[0]]).clean[0].tolist()
    *_, (port, ids, _, _, _, learned) = laid_out(system, Document((Image(pictures[0], learn=True, keep=keep),)))
    assert (port, ids, learned) == (PICTURE, codes, codes[2:])


def test_losses_are_cross_entropies_of_the_next_element(tiny, pictures, places):
    system = tiny().double().eval()
    document = Document((Text("red"), Image(pictures[0], learn=True), Text("yes", learn=True)))
    layout = laid_out(system, document)
    ids = torch.tensor([id for _, row, *_ in layout for id in row])
    reader = system.by_name["image"].reader
    rows = [(port, i, id) for port, row, *_ in layout for i, id in enumerate(row)]
    looks = [reader.digits(torch.tensor([[id]]))[0, 0] + reader.positions.weight[i] if port == PICTURE else 0 for port, i, id in rows]
    shown = torch.stack([reader.table.weight[id] * reader.scale + look for (_, _, id), look in zip(rows, looks, strict=True)])[None]
    hidden = system.trunk(shown, None, places(order=list(range(len(ids)))), causal)[0]
    logits = system.text.writer(hidden)
    expected, at = {"text": [], "image": []}, 0
    for port, row, _, _, _, learned in layout:
        for i, id in enumerate(row):
            if learned is not None:
                z = 1e-5 * logits[at + i - 1].logsumexp(-1).square()
                expected[system.ports[port].name].append(F.cross_entropy(logits[at + i - 1], torch.tensor(id)) + z)
        at += len(row)
    losses = system.losses([document], [Draw(0)])
    assert {name: count for name, (_, count) in losses.items()} == {name: len(each) for name, each in expected.items()}
    for name, each in expected.items():
        torch.testing.assert_close(losses[name][0], sum(each))


def test_a_port_with_nothing_to_learn_counts_nothing(tiny, pictures):
    losses = tiny().losses([Document((Text("red", learn=True),)), Document((Image(pictures[0]),))], draws([0, 1]))
    assert losses["image"][1] == 0 and losses["image"][0] == 0 and losses["text"][1] == 2  # a word and the end
    losses["image"][0].backward()  # still on the graph, so that every worker's gradients line up


def test_a_hidden_segment_has_a_private_view_and_a_public_one_where_something_follows(pictures):
    system = hiding(eye=False).eval()
    codes = system.by_name["draw"].codec.encode([pictures[0]]).clean[0].tolist()
    picture = Image(pictures[0], learn=True)
    (last,) = system.arrange([Document((Text("x"), picture))], [Draw(0)])
    assert [(p.view, p.visible.tolist()) for p in last[3:]] == [(View.PRIVATE, [0] * 4)]
    (inside,) = system.arrange([Document((picture, Text("x")))], [Draw(0)])
    views = [(p.view, p.visible.tolist(), p.segment, p.again, p.goal is None) for p in inside[2:4]]
    assert views == [(View.PRIVATE, [0] * 4, 2, False, False), (View.PUBLIC, codes, 2, True, True)]
    assert system.losses([Document((picture, Text("x")))], [Draw(0)])["draw"][1] == 4


def test_a_written_picture_is_read_again_through_the_eye(pictures):
    system = hiding(eye=True).eval()
    (pieces,) = system.arrange([Document((Image(pictures[0], learn=True), Text("x")))], [Draw(0)])
    seen = system.by_name["see"].codec.encode([pictures[0]]).clean[0].tolist()
    again = pieces[3]
    assert (again.port.name, again.view, again.visible.tolist(), again.again) == ("see", View.PUBLIC, seen, True)
    assert not system.stands_alone(Image(learn=True)) and system.stands_alone(Text(learn=True))


def test_absent_drops_prompts_of_drawings_at_its_rate(pictures):
    drop = Absent(0.25)
    train = partial(now_and_then, drop)
    drawing = Document((Text("red"), Image(pictures[0], learn=True)), task=Task.DRAW, id="7")
    seen = [train(drawing, Draw(0, i)) for i in range(1000)]
    short = [document for document in seen if len(document) == 1]
    assert 210 < len(short) < 290 and all(document[0] is drawing[1] and document.id == "7" for document in short)
    caption = Document((Image(pictures[0]), Text("red", learn=True)))
    assert all(train(caption, Draw(0, i)) is caption for i in range(50))
    assert drop.left(drawing.segments[:1]) == ()


def test_a_port_belongs_to_one_system(tiny):
    system = tiny()
    with pytest.raises(AssertionError, match="image already belongs to a system"):
        System("other", trunk=system.trunk, ports=(system.ports[1], system.ports[0]), attention=causal)


def test_a_shared_table_is_one_parameter(tiny):
    system = tiny()
    assert system.text.reader.table is system.by_name["image"].reader.table
    assert sum(p is system.text.reader.table.weight for p in system.parameters()) == 1


def test_evaluating_gives_every_part_its_mode_back(tiny):
    system = tiny()
    system.trunk.eval()
    modes = [part.training for part in system.modules()]
    with pytest.raises(KeyError), evaluating(system):
        assert not any(part.training for part in system.modules())
        raise KeyError
    assert [part.training for part in system.modules()] == modes and len(set(modes)) == 2


def test_a_document_counts_as_much_as_its_weight():
    system = hiding(eye=False).double()
    plain = [Document((Text("a"), Text("red", learn=True))), Document((Text("a"), Text("blue ring", learn=True)))]
    (a, n), (b, m) = (system.losses([document], [Draw(0)])["text"] for document in plain)
    heavy = [plain[0], Document(plain[1].segments, weight=3.0)]
    total, count = system.losses(heavy, draws(heavy))["text"]
    torch.testing.assert_close(total, a + 3 * b)
    assert count == n + 3 * m


def test_published_markers_may_be_none_or_several_and_close_what_was_learned_alone(tiny, pictures):
    system = tiny().eval()
    system.markers = MarkerIds(document=(), begin_image=(7, 8), end_image=(), end=9, closes_given=False)
    codes = system.by_name["image"].codec.encode([pictures[0]]).clean[0].tolist()
    a, b = (ids.tolist() for ids in system.text.codec.encode(["a", "b"]).clean)
    document = Document((Text("a"), Image(pictures[0]), Text("b", learn=True), Image(pictures[0], learn=True)))
    assert [(ids, goal) for _, ids, *_, goal in laid_out(system, document)] == [
        (a, None),
        ([7, 8], None),
        (codes, None),
        ([*b, 9], [*b, 9]),
        ([7, 8], [7]),
        (codes, codes),
    ]


@pytest.mark.parametrize("segments", [(Text("a red dot", learn=True),), (Text(""), Text("a red dot", learn=True))])
def test_where_no_marker_stands_in_front_of_what_is_learned_end_does(tiny, segments):
    """Else the first id would be predicted by the place that shows it."""
    system = tiny().eval()
    system.markers = MarkerIds(document=(), begin_image=(), end_image=(), end=9, closes_given=False)
    laid = system.arrange([Document(segments)], [Draw(0)])
    system.hidden(laid)
    learned = laid[0][-1]
    shown = (learned.offset + learned.predicts).tolist()
    assert laid[0][-2].visible.tolist() == [9] and learned.answers().tolist() == [place - 1 for place in shown]
    blank = Document((*segments[:-1], Text(learn=True)))
    assert len(generate(system, blank, longest=3, sampling={Text: Sampling(temperature=1.0)}).texts) == 1


def test_what_is_kept_of_a_picture_has_its_size(tiny, pictures):
    with pytest.raises(ValueError, match=r"keep: a mask of \(7, 8\); one of the picture's size is accepted, in squares of 4"):
        tiny().losses([Document((Text("a"), Image(pictures[0], learn=True, keep=torch.ones(7, 8, dtype=torch.bool))))], [Draw(0)])
