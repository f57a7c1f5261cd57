from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image as Picture

from tessera.document import Document, Image, Task, Text
from tessera.system import System
from tessera.verbs import evaluate
from tessera.verbs import glance as module
from tessera.verbs.glance import SHOWN, glance, glance_data
from tessera.verbs.writing import Written
from tessera.world import World, question_kinds, skills

EASY = World.easy()
QUICK = replace(module.LOOK, cases={"drawing": 1, "questions": 1})


class Rows:
    """A user's data: eight random pictures with a name each, under the tasks it is given."""

    def __init__(self, *tasks: Task):
        self.tasks = frozenset(tasks)

    def document(self, task, index):
        picture = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))
        given, name = Image(picture), f"number {index}"
        match task:
            case Task.DRAW:
                return Document((Text(name), Image(picture, learn=True)))
            case Task.CAPTION:
                return Document((given, Text(name, learn=True)))
            case Task.QUESTION:
                return Document((given, Text("which?"), Text(name, learn=True)))
            case _:
                return Document((Text(name, learn=True),))


@pytest.fixture
def sheets(monkeypatch):
    """The tiles of every sheet that was written, by the name of its file."""
    kept = {}
    monkeypatch.setattr(module, "save_sheet", lambda path, tiles: kept.update({path.name: tiles}))
    return kept


def width(sheet: Path) -> int:
    with Picture.open(sheet) as picture:
        return picture.width


# ---------------------------------------------------------------- at the world


def test_a_glance_writes_a_sheet_and_tells_two_scores(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK", QUICK)
    system = tiny(pixels=32, stride=8).train()
    found = glance(system, EASY, tmp_path, "joint-00000010")
    assert found.keys() == {"drawing.overall", "questions.overall"} and all(0 <= value <= 1 for value in found.values())
    assert system.training
    assert glance(system, EASY, tmp_path, "joint-00000020") == found
    first, second = (tmp_path / "samples" / f"joint-000000{n}.png" for n in (10, 20))
    assert first.read_bytes() == second.read_bytes(), "the same system looks the same"
    assert width(first) > 6 * 5 * 32


def test_a_glance_asks_every_skill_and_kind_of_what_is_not_for_training_nor_for_scores(tiny, tmp_path, monkeypatch, sheets):
    asked = []

    def write(system, requests, *, rows, tick):
        asked.extend(request.document for request in requests)
        blank = torch.full((3, 32, 32), 160, dtype=torch.uint8)
        return [Written(Document((Image(blank, True) if isinstance(r.document[-1], Image) else Text("no", True),)), ()) for r in requests]

    monkeypatch.setattr(evaluate, "write", write)
    found = glance(tiny(pixels=32, stride=8), EASY, tmp_path, "joint")
    prompts = [document.texts[0] for document in asked if isinstance(document[-1], Image)]
    assert prompts == [EASY.prompt(skill, i, "val").text for skill in skills(EASY.level) for i in range(8)]
    questions = [document.texts[0] for document in asked if isinstance(document[0], Image)]
    assert questions == [EASY.question(kind, i, "val")[1].text for kind in question_kinds(EASY.level) for i in range(12)]
    assert [tile.lines for tile in sheets["joint.png"]] == [(prompt, "[nothing]") for prompt in prompts]
    noes = sum(EASY.question(kind, i, "val")[1].answer == "no" for kind in question_kinds(EASY.level) for i in range(12))
    assert found == {"drawing.overall": 0.0, "questions.overall": noes / (12 * len(question_kinds(EASY.level)))}


# ---------------------------------------------------------------- at a user's data


def test_what_it_draws_for_the_first_documents_is_shown(tiny, tmp_path, sheets):
    rows = Rows(Task.TEXT, Task.CAPTION, Task.DRAW)
    assert glance_data(tiny(), rows, tmp_path, "joint") == {}
    tiles = sheets["joint.png"]
    assert [tile.lines for tile in tiles] == [(f"number {i}",) for i in range(SHOWN)]
    assert all(tile.right is None and tile.picture.shape == (3, 8, 8) for tile in tiles)
    assert not any(torch.equal(tile.picture, rows.document(Task.DRAW, i).pictures[0]) for i, tile in enumerate(tiles))


@pytest.mark.parametrize("task, given", [(Task.CAPTION, ()), (Task.QUESTION, ("which?",))])
def test_without_drawings_the_given_pictures_are_shown_with_what_is_said_of_them(tiny, tmp_path, sheets, task, given):
    rows = Rows(Task.TEXT, task)
    assert glance_data(tiny(), rows, tmp_path, "joint") == {}
    tiles = sheets["joint.png"]
    assert all(torch.equal(tile.picture, rows.document(task, i).pictures[0]) for i, tile in enumerate(tiles))
    assert all(tile.lines[:-1] == given and tile.lines[-1] != f"number {i}" for i, tile in enumerate(tiles))
    assert len(tiles) == SHOWN


@pytest.mark.parametrize(("able", "shown"), [((False, True), Task.CAPTION), ((True, False), Task.DRAW), ((False, False), None)])
def test_it_is_asked_for_what_it_can_show(tiny, tmp_path, sheets, monkeypatch, able, shown):
    """A system that paints nothing is looked at by its words, and one that reads no pictures by what it paints."""
    for name, can in zip(("shows", "looks"), able, strict=True):
        monkeypatch.setattr(System, name, can)
    rows = Rows(Task.CAPTION, Task.DRAW)
    assert glance_data(tiny(), rows, tmp_path, "joint") == {} and len(sheets) == (shown is not None)
    for i, tile in enumerate(sheets.get("joint.png", ())):
        assert torch.equal(tile.picture, rows.document(Task.CAPTION, i).pictures[0]) == (shown is Task.CAPTION)


def test_text_alone_has_no_sheet(tiny, tmp_path, sheets):
    assert glance_data(tiny(), Rows(Task.TEXT), tmp_path, "joint") == {}
    assert not sheets


def test_a_sheet_of_data_is_the_same_for_the_same_system(tiny, tmp_path):
    system = tiny().train()
    for name in ("a", "b"):
        glance_data(system, Rows(Task.DRAW), tmp_path, name)
    a, b = (tmp_path / "samples" / f"{name}.png" for name in "ab")
    assert a.read_bytes() == b.read_bytes() and width(a) > 6 * 5 * 8
    assert system.training
