"""D-DiT: a joint system, whose documents are learned segment by segment, and whose texts are written on canvases."""

import pytest
import torch

from tessera.attention import causal, within
from tessera.codecs import BPE, Canvas
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.laws import Sampling
from tessera.orders import Next
from tessera.pieces import Ahead, Piece
from tessera.places import View
from tessera.stages import Stage
from tessera.system import System
from tessera.verbs.events import TextPiece
from tessera.verbs.generate import generate, stream
from tessera.verbs.optimizing import optimizer_for, thaw
from tessera.verbs.passes import CachedPasses, WholePasses, passes_of
from tessera.verbs.recipes import build
from tessera.verbs.writing import Request, Written

ALONE, ANSWER = 24, 16  # ids of the tiny preset's canvases
ANY = {Text: Sampling(temperature=1.0), Image: Sampling(guidance=2.0, steps=2)}


@pytest.fixture
def system() -> System:
    made = build("d_dit", preset="tiny").eval()
    for parameter in made.trunk.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


def asked(picture) -> Document:
    """Two questions about a picture."""
    return Document((Image(picture), Text("what is it"), Text("a dot", True), Text("of what colour"), Text("red", True)))


def shown(piece: Piece) -> list[int]:
    return piece.visible.value.tolist()


def test_a_document_is_learned_segment_by_segment(system, picture):
    first, second = system.arrange([asked(picture)], [Draw(0)])
    assert first[-1].goal is not None and second[-1].goal is not None and len(first[-1].goal.where) == ANSWER
    assert all(piece.goal is None and piece.view is View.PUBLIC for piece in (*first[:-1], *second[:-1]))
    answer = [*system.text.codec.encode(["a dot"]).clean[0].tolist(), system.markers.end]
    assert shown(second[len(first) - 1]) == answer, "given, it is as long as it is"
    assert [shown(a) for a in first[4:-1]] == [shown(b) for b in second[4 : len(first) - 1]] and len(second) == len(first) + 2


def test_losses_of_a_document_are_those_of_its_turns(system, picture):
    whole, (first, second) = asked(picture), system.arrange([asked(picture)], [Draw(0)])
    total, count = system.losses([whole], [Draw(0)])["text"]
    each = [system.losses_of([turn])["text"] for turn in (first, second)]
    assert count == pytest.approx(2 * ANSWER) and count == pytest.approx(sum(one[1] for one in each))
    torch.testing.assert_close(total, sum(one[0] for one in each))


def test_a_prompt_sees_the_picture_that_is_drawn_for_it(system, picture):
    (pieces,) = system.arrange([Document((Text("a red dot"), Image(picture, True)))], [Draw(0)])
    with torch.no_grad():
        before = system.hidden([pieces])[0][0]
        pieces[-1].visible = pieces[-1].visible._replace(value=pieces[-1].visible.value + 1)
        after = system.hidden([pieces])[0][0]
    assert not torch.isclose(before, after).all(-1).any()


def test_two_towers_and_a_time_for_each_place(system, picture):
    (pieces,) = system.arrange([Document((Text("a red dot"), Image(picture, True)))], [Draw(0)])
    _, batch = system.hidden([pieces])
    clean, told = system.text.reader.clock(torch.tensor([1000.0])), batch.condition[0]
    words = batch.places.port[0] == system.text.number
    torch.testing.assert_close(told[words], clean.expand(int(words.sum()), -1))
    torch.testing.assert_close(told[~words], told[~words][:1].expand(16, -1))
    assert not torch.allclose(told[~words][0], clean[0]) and system.by_name["image"].reader.clock is system.text.reader.clock


def test_text_is_told_as_a_whole_and_never_longer_than_asked(system):
    document = Document((Text("say a word"), Text(learn=True)))
    for longest, most in ((1, 0), (4, 3), (ANSWER + 9, ANSWER)):
        *events, written = [what for _, what in stream(system, [Request(document, 3, ANY, longest)])]
        assert isinstance(written, Written) and [event.text for event in events if isinstance(event, TextPiece)] == [
            *filter(None, written.texts)
        ]
        ids = written.clean[1].tolist()
        assert len(ids) - (ids[-1] == system.markers.end) <= most and ids.count(system.markers.end) <= 1
        assert longest > ANSWER or ids[-1] == system.markers.end


def test_a_picture_with_words_behind_it_is_drawn_and_read(system):
    """Nothing of a row is kept but what was shown, so it may go on from what it has written."""
    written = generate(system, "a red dot", want=(Image, Text), sampling=ANY, seed=2)
    assert written.pictures[0].shape == (3, 32, 32) and len(written.clean[2]) <= ALONE
    again = generate(system, [Text("a red dot"), Image(written.pictures[0])], want=Text, sampling={Text: Sampling(temperature=0.0)})
    assert len(again.texts) == 1


def test_rows_of_whole_passes_are_given_back_empty(system, tiny):
    passes = passes_of(system, 2)
    assert isinstance(passes, WholePasses) and isinstance(passes_of(tiny(), 2), CachedPasses)
    row, other = passes.take(), passes.take()
    passes.kept[row] = system.marker(system.markers.document, Ahead(-1, 0))
    passes.give(row)
    assert passes.take() == row != other and passes.kept == [[], []]


def rebuilt(system: System, *, rule=None, order=None, canvas=None) -> System:
    """A system of the same ports but for one thing."""
    for port in system.ports:
        port.number = -1
    system.text.order, system.text.codec = order or system.text.order, BPE(canvas=canvas)
    return System("other", trunk=system.trunk, ports=system.ports, attention=rule or system.attention)


def test_what_cannot_be_written_is_refused(system):
    canvas = Canvas(8, 8)
    with pytest.raises(ValueError, match=r"other: text in the order Masked, no canvas; text is written on a canvas \(BPE\(canvas"):
        rebuilt(system)
    with pytest.raises(ValueError, match=r"other: text in the order Next, Canvas\(alone=8, answer=8\); .* give one or leave it out"):
        rebuilt(system, order=Next(), canvas=canvas)
    with pytest.raises(ValueError, match="other: text is written one after another under everywhere, where all see what comes"):
        rebuilt(system, order=Next())
    looks_back = causal | within(system.text) | within(system.ports[1])
    assert not rebuilt(build("d_dit", preset="tiny"), rule=looks_back, canvas=canvas).joint


def test_one_batch_is_learned_by_heart(picture):
    system = build("d_dit", preset="tiny")
    stage: Stage = system.stages[1]
    thaw(system, stage)
    optimizer, history = optimizer_for(system, stage), []
    documents = [asked(picture), Document((Text("a red dot"), Image(picture, True)))]
    for _ in range(120):
        losses = system.losses(documents, [Draw(1), Draw(2)])
        means = {name: total / count for name, (total, count) in losses.items()}
        optimizer.zero_grad()
        sum(means.values()).backward()
        optimizer.step()
        history.append({name: float(mean.detach()) for name, mean in means.items()})
    assert history[-1]["text"] < 0.05 * history[0]["text"] and history[-1]["image"] < 0.3 * history[0]["image"], history[::40]
