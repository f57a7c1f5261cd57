"""Editing: a picture, a change in words, and the picture after it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tessera.document import Image, Text
from tessera.exams.base import Case, Report, rates, shares_of_mean
from tessera.exams.drawing import told
from tessera.scoring import bootstrap
from tessera.scoring.edits import Atoms, EditScore, edit_score
from tessera.world import Scene, Tile, World
from tessera.world.edits import edit_kinds
from tessera.world.oracle import Oracle
from tessera.world.reading import Reading, same_scene

SHOWN = 6  # edits of each kind on the sheet
LOOKS = ("kind", "colour", "size", "digit")


class Editing:
    """`each` edits of every kind. `editing.KIND` and `overall` ask that the picture shows exactly the scene asked for;
    `done` is the share of what was to change that did, `kept` of what was to stay that stayed, `balance` their geometric mean.

    A slot is what stands at a place, so a thing that moves changes two places. References: `untouched`, who gives the picture back.
    """

    name, want = "editing", Image

    def __init__(self, world: World, each: int, split: str = "test"):
        self.world, self.each = world, each
        self.edits = [world.edit(kind, i, split) for kind in edit_kinds(world.level) for i in range(each)]
        self.sources = [world.picture(one.before) for one in self.edits]
        self.cases = [
            Case((Image(p), Text(one.instruction)), str(i)) for i, (one, p) in enumerate(zip(self.edits, self.sources, strict=True))
        ]

    def report(self, answers: Sequence[Tensor]) -> Report:
        """From one uint8 picture per case."""
        readings = Oracle(self.world.level).read(torch.stack(list(answers)))
        right = [same_scene(reading, one.after) for reading, one in zip(readings, self.edits, strict=True)]
        found = rates("editing", right, [one.kind.value for one in self.edits])
        marks = [edit_score(_shown(one.before), _shown(one.after), _seen(r)) for r, one in zip(readings, self.edits, strict=True)]
        means = {f"editing.{name}": bootstrap(marks, _mean_of(name), share_of=len(marks)) for name in ("done", "kept")}
        means["editing.balance"] = bootstrap(marks, _mean_of("overall"), share_of=len(marks))
        still = {"editing.overall": 0.0, "editing.done": 0.0, "editing.kept": 1.0, "editing.balance": 0.0}
        shown = [i for i in range(len(self.edits)) if i % self.each < SHOWN]
        tiles = [Tile(answers[i], (self.edits[i].instruction, told(readings[i])), right[i]) for i in shown]
        ratios = {
            f"editing.{name}": shares_of_mean([getattr(mark, what) for mark in marks])
            for name, what in {"done": "done", "kept": "kept", "balance": "overall"}.items()
        }
        return found | Report(means, {name: {"untouched": value} for name, value in still.items()}, tiles={"editing": tiles}, ratios=ratios)


def _shown(scene: Scene) -> Atoms:
    return {((thing.row, thing.column), name): getattr(thing, name) for thing in scene.things for name in LOOKS}


def _seen(reading: Reading) -> Atoms:
    things = [thing for thing in reading.things if reading.readable and thing.readable]
    return {((thing.row, thing.column), name): getattr(thing, name) for thing in things for name in LOOKS}


def _mean_of(name: str) -> Callable[[Sequence[EditScore]], float]:
    return lambda marks: sum(getattr(mark, name) for mark in marks) / len(marks)
