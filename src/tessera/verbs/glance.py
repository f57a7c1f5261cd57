"""Glance: a quick look at a system while it trains."""

from pathlib import Path

from tessera.data import Source
from tessera.document import Task
from tessera.system import System
from tessera.verbs.evaluate import Plan, evaluate
from tessera.verbs.generate import requests_for, write
from tessera.world import Tile, World, save_sheet

LOOK = Plan(cases={"drawing": 8, "questions": 12}, pictures=0, split="val")
DRAWN = (Task.DRAW, Task.EDIT, Task.STORY)  # where pictures are to be written
SEEN = (Task.CAPTION, Task.QUESTION, Task.EDIT)  # where pictures are to be looked at
SHOWN = 8  # documents of a user's data


def glance(system: System, world: World, folder: Path, name: str) -> dict[str, float]:
    """A sheet of drawings in the folder, or of answers where it draws none, and rough scores from a few dozen cases."""
    found = evaluate(system, world, LOOK.within(system))
    (folder / "samples").mkdir(exist_ok=True)
    save_sheet(folder / "samples" / f"{name}.png", found.tiles["drawing" if system.draws else "questions"])
    return {name: found.scores[name].value for name in ("drawing.overall", "questions.overall") if name in found.scores}


def glance_data(system: System, source: Source, folder: Path, name: str) -> dict[str, float]:
    """The same for a user's data, where nobody can judge: a sheet of what it draws, or else answers, for the first documents."""
    able = lambda task: (system.shows or task not in DRAWN) and (system.looks or task not in SEEN)
    task = next((task for task in Task if task in source.tasks and able(task)), None)
    if task is None:
        return {}
    documents = [source.document(task, i) for i in range(SHOWN)]
    written = write(system, requests_for(documents, seed=0))
    (folder / "samples").mkdir(exist_ok=True)
    tiles = []
    for document, done in zip(documents, written, strict=True):
        shown = done.pictures or document.pictures
        tiles += [Tile(picture, tuple(done.document.texts)) for picture in shown[:1]]
    if tiles:
        save_sheet(folder / "samples" / f"{name}.png", tiles)
    return {}
