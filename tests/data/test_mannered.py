import torch

from tessera.data import Mannered, Source
from tessera.document import Document, Image, Task, Text


class Pairs:
    tasks = frozenset((Task.DRAW, Task.CAPTION))

    def document(self, task, index):
        picture = torch.full((3, 4, 6), index, dtype=torch.uint8)
        if task is Task.DRAW:
            return Document((Text("words"), Image(picture, learn=True)), task=task, id=f"row {index}")
        return Document((Image(picture), Text("words", learn=True), Image()), task=task)


class Loud:
    """Manners that cut, and say everything aloud."""

    def picture(self, picture):
        return picture[:, :2, :2]

    def drawing(self, picture):
        return picture[:, :4, :4]

    def document(self, document):
        segments = tuple(Text(s.content.upper(), s.learn) if isinstance(s, Text) else s for s in document)
        return Document(segments, task=document.task, id=document.id)


def test_documents_are_put_as_the_system_is_used_to():
    source = Mannered(Pairs(), Loud())
    assert isinstance(source, Source) and source.tasks == Pairs.tasks
    drawn, described = source.document(Task.DRAW, 7), source.document(Task.CAPTION, 7)
    assert drawn.texts == described.texts == ["WORDS"] and (drawn.id, drawn.task) == ("row 7", Task.DRAW)
    assert drawn.pictures[0].shape == (3, 4, 4) and described.pictures[0].shape == (3, 2, 2) and described.pictures[0].eq(7).all()
    assert described[2].content is None, "what is blank stays so"
