import torch

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.verbs.optimizing import optimizer_for, thaw
from tessera.verbs.recipes import build
from tessera.verbs.weights import weights_hash

TALK = Document((Text("a red circle is at the top left. where is the circle? top left", learn=True),))


def drawing(system):
    codec = system.by_name["image"].codec
    picture = torch.randint(0, 256, (3, codec.pixels, codec.pixels), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Document((Text("a red circle"), Image(picture, learn=True), Text("what is it"), Text("a circle", learn=True)))


def said_of(system, document):
    """Hidden states of the document's places."""
    hidden, _ = system.hidden(system.arrange([document], [Draw(0)]))
    return hidden


def test_pictures_are_learned_and_language_stays_as_it_was():
    system = build("lmfusion", preset="tiny")
    language = system.trunk.towers[0]
    before, said, seen = weights_hash(language), said_of(system, TALK), said_of(system, drawing(system))
    stage = next(stage for stage in system.stages if stage.name == "joint")
    thaw(system, stage)
    optimizer = optimizer_for(system, stage)
    for _ in range(3):
        losses = system.losses_of(system.arrange([drawing(system)], [Draw(1)]))
        sum(total / count for total, count in losses.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    system.eval()
    assert weights_hash(language) == before and torch.equal(said_of(system, TALK), said)
    assert not torch.isclose(said_of(system, drawing(system)), seen).all()


def test_text_alone_is_what_the_language_model_says_by_itself():
    system = build("lmfusion", preset="tiny").eval()
    together, batch = system.hidden(system.arrange([TALK], [Draw(0)]))
    alone = system.trunk.towers[0](batch.embeddings, None, batch.places, system.attention)
    torch.testing.assert_close(together, alone)


def test_language_is_learned_without_pictures():
    stage = next(stage for stage in build("lmfusion", preset="tiny").stages if stage.name == "language")
    document = Document((Image(torch.zeros(3, 32, 32, dtype=torch.uint8)), Text("what is it"), Text("a circle", learn=True)))
    left = stage.transform(document, Draw(0))
    assert [type(segment) for segment in left] == [Text, Text] and left[1].learn
