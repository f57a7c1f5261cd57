import torch

from tessera.data.transforms import learn_pictures
from tessera.document import Document, Image, Task, Text
from tessera.draws import Draw


def test_given_pictures_are_learned_and_all_else_stays(pictures):
    keep = torch.zeros(8, 8, dtype=torch.bool)
    parts = (Image(pictures[0]), Text("what?"), Text("red", learn=True), Image(pictures[1], learn=True, keep=keep))
    document = Document(parts, task=Task.QUESTION, id="7", weight=2.0)
    changed = learn_pictures(document, Draw(0))
    assert [part.learn for part in changed] == [True, False, True, True]
    assert [part.content for part in changed] == [part.content for part in parts] and changed[3].keep is keep
    assert (changed.task, changed.id, changed.weight) == (Task.QUESTION, "7", 2.0)
    assert [part.learn for part in document] == [False, False, True, True]


def test_a_document_without_pictures_is_as_it_was():
    document = Document((Text("what?"), Text("that", learn=True)))
    assert learn_pictures(document, Draw(0)).segments == document.segments


def test_it_draws_nothing(pictures):
    class Forbidden(Draw):
        @property
        def rng(self):
            raise AssertionError("drawn from")

    assert learn_pictures(Document((Image(pictures[0]),)), Forbidden(0))[0].learn
