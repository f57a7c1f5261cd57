import json

import pytest
import torch
from PIL import Image as Pillow

from tessera.data import Mixture, Source, open_data
from tessera.data.source import listed
from tessera.document import Image, Task
from tessera.world import World


def own(folder):
    """A data set of a user's, with two pairs."""
    for name in ("red", "blue"):
        Pillow.new("RGB", (32, 32), name).save(folder / f"{name}.png")
    (folder / "rows.jsonl").write_text("".join(json.dumps({"image": f"{name}.png", "text": name}) + "\n" for name in ("red", "blue")))
    return open_data(folder)


MAKERS = [lambda folder: World.easy(), own, lambda folder: Mixture([World.easy(), own(folder)])]


@pytest.fixture(params=MAKERS, ids=["world", "data set", "mixture"])
def source(request, tmp_path):
    return request.param(tmp_path)


def contents(document) -> list:
    return [part.content.tolist() if isinstance(part, Image) else part.content for part in document]


def test_every_source_says_its_tasks_and_gives_documents_of_them(source):
    assert isinstance(source, Source) and Task.DRAW in source.tasks
    for task in source.tasks:
        document = source.document(task, 3)
        assert document.task is task and document.id and any(part.learn for part in document)


def test_a_document_is_the_same_whenever_it_is_asked_for(source):
    before = [contents(source.document(Task.CAPTION, index)) for index in range(4)]
    source.document(Task.DRAW, 1)
    assert [contents(source.document(Task.CAPTION, index)) for index in reversed(range(4))] == before[::-1]


def test_documents_do_not_end(source):
    assert all(source.document(Task.DRAW, index)[1].content.dtype == torch.uint8 for index in (0, 10**6, 10**9))


def test_what_gives_no_documents_is_no_source():
    class Tasks:
        tasks = frozenset(Task)

    assert not isinstance(Tasks(), Source) and not isinstance([], Source)


def test_tasks_are_listed_in_their_own_order():
    assert listed({Task.STORY, Task.CAPTION, Task.DRAW}) == listed([Task.CAPTION, Task.DRAW, Task.STORY]) == "draw, caption, story"
    assert listed(()) == "no task"
