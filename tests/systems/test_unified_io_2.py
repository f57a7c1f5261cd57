import pytest
import torch

from tessera.document import Document, Image, Task, Text
from tessera.draws import Draw
from tessera.places import PADDING
from tessera.verbs.generate import generate
from tessera.verbs.recipes import build
from tessera.world import World


@pytest.fixture(scope="module")
def system():
    return build("unified_io_2", preset="tiny").eval()


@pytest.fixture(scope="module")
def content():
    return torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def sides(system, document: Document) -> str:
    """g for each place that is encoded, w for each that is decoded."""
    _, batch = system.hidden(system.arrange([document], [Draw(0)]))
    return "".join("gw"[int(learned)] for learned in batch.places.learned[0])


def test_what_is_given_is_encoded_and_what_is_written_decoded(system, content):
    ask, answer = (len(ids) for ids in system.text.codec.encode(["what is it", "a dot"]).clean)
    drawn = Document((Text("what is it"), Image(content, True)))
    assert sides(system, drawn) == "g" * (ask + 2) + "w" * 17  # <document>, <end>; <image> opens the picture
    twice = Document((Image(content), Text("what is it"), Text("a dot", True), Text("what is it"), Text("a dot", True)))
    said = "w" * (answer + 2)  # <end> opens it, and closes it
    assert sides(system, twice) == "g" * (ask + 19) + said + "g" * ask + said
    assert sides(system, Document((Text("a dot", True),))) == "g" + said


def test_a_second_answer_depends_on_the_first_and_the_encoder_does_not(system):
    """Told by hidden states: what was answered first moves later answers, and moves no place that is given."""
    documents = [Document((Text("q"), Text(first, True), Text("what is it"), Text("a dot", True))) for first in ("red", "top")]
    with torch.no_grad():
        hidden, batch = system.hidden(system.arrange(documents, [Draw(0)] * 2))
    given = batch.places.learned == 0
    assert torch.equal(hidden[0][given[0]], hidden[1][given[1]])
    later = (batch.places.learned == 1) & (batch.places.turn == 1)
    assert not torch.isclose(hidden[0][later[0]], hidden[1][later[1]]).all(-1).any()


def test_a_given_picture_passes_the_eye_and_a_drawn_one_is_codes(system, content):
    story = Document((Image(content), Text("x"), Image(content, True), Text("y", True), Image(content, True)))
    (pieces,) = system.arrange([story], [Draw(0)])
    assert [piece.port.name for piece in pieces if piece.port.kind is Image] == ["eye", "image", "image"]


def test_documents_share_rows_and_neither_half_crosses(system):
    world = World.easy()
    documents = [world.document(task, i) for i in range(3) for task in (Task.QUESTION, Task.DRAW, Task.TEXT)]
    laid = system.arrange(documents, [Draw(i) for i in range(len(documents))])
    with torch.no_grad():
        together, batch = system.hidden(laid, 200)
        assert len(together) < len(documents) / 2 and (batch.places.document == PADDING).any()
        for i, pieces in enumerate(system.arrange(documents, [Draw(i) for i in range(len(documents))])):
            alone = system.hidden([pieces])[0][0]
            torch.testing.assert_close(together[batch.places.document == i], alone, rtol=1e-4, atol=1e-5)


def test_it_interleaves_and_goes_on_by_its_own_decision(system):
    written = generate(system, [Text("draw")], want=(Image, Text, Image), longest=4)
    assert len(written.pictures) == 2 and len(written.texts) == 1
    assert len(generate(system, [Text("draw")], want=Image, more=2, longest=4).document) > 2


def test_denoised_documents_are_learned(system):
    """Of a covered picture only what is covered counts; spans are read behind the picture, and written."""
    world, stage = World.easy(), next(stage for stage in system.stages if stage.name == "denoised")
    counts = set()
    for i in range(20):
        document = stage.transform(world.document(Task.DRAW, i), Draw(i))
        losses = system.losses([document], [Draw(i)])
        counts.add(losses["image"][1])
        assert losses["image"][0].isfinite() and losses["text"][1] == 0
    assert counts == {16.0, 12.0}
    told = stage.transform(world.document(Task.CAPTION, 4), Draw(1, 4))
    assert system.losses([told], [Draw(0)])["text"][1] > 0
    assert next(stage for stage in system.stages if stage.name == "tuned").transform is None


def test_the_default_is_matched_to_chameleon():
    with torch.device("meta"):
        ours, theirs = (build(name).trunk.active_parameters for name in ("unified_io_2", "chameleon"))
    assert abs(ours / theirs - 1) < 0.1
    stages = [stage for stage in build("unified_io_2").stages if stage.learner is None]
    assert sum(stage.documents for stage in stages) == 90_000
