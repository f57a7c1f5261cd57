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
MEANS = {"done": "done", "kept": "kept", "balance": "overall"}
LOOKS = ("kind", "colour", "size", "digit")


class Editing:
    """`each` edits of every kind. `editing.KIND` and `overall` ask that the picture shows exactly the scene asked for;
    `done` is the share of what was to change that did, `kept` of what was to stay that stayed, `balance` their geometric mean.

    A slot is what stands at a place, so a thing that moves changes two places. References: `untouched`, who gives the picture back;
    `ceiling`, what the oracle says of the world's own pictures of what was asked for.
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
        right, marks = self._judged(readings)
        found = rates("editing", right, [one.kind.value for one in self.edits])
        means = {f"editing.{name}": bootstrap(marks, _mean_of(what), share_of=len(marks)) for name, what in MEANS.items()}
        ratios = {f"editing.{name}": shares_of_mean([getattr(mark, what) for mark in marks]) for name, what in MEANS.items()}
        shown = [i for i in range(len(self.edits)) if i % self.each < SHOWN]
        tiles = [Tile(answers[i], (self.edits[i].instruction, told(readings[i])), right[i]) for i in shown]
        return found | Report(means, self._references(), tiles={"editing": tiles}, ratios=ratios)

    def _judged(self, readings: Sequence[Reading]) -> tuple[list[bool], list[EditScore]]:
        right = [same_scene(reading, one.after) for reading, one in zip(readings, self.edits, strict=True)]
        return right, [edit_score(_shown(one.before), _shown(one.after), _seen(r)) for r, one in zip(readings, self.edits, strict=True)]

    def _references(self) -> dict[str, dict[str, float]]:
        after = torch.stack([self.world.picture(one.after) for one in self.edits])
        found: dict[str, dict[str, float]] = {}
        for who, pictures in {"untouched": torch.stack(self.sources), "ceiling": after}.items():
            right, marks = self._judged(Oracle(self.world.level).read(pictures))
            values = {name: score.value for name, score in rates("editing", right, [one.kind.value for one in self.edits]).scores.items()}
            for name, value in (values | {f"editing.{name}": _mean_of(what)(marks) for name, what in MEANS.items()}).items():
                found.setdefault(name, {})[who] = value
        return found


def _shown(scene: Scene) -> Atoms:
    return {((thing.row, thing.column), name): getattr(thing, name) for thing in scene.things for name in LOOKS}


def _seen(reading: Reading) -> Atoms:
    things = [thing for thing in reading.things if reading.readable and thing.readable]
    return {((thing.row, thing.column), name): getattr(thing, name) for thing in things for name in LOOKS}


def _mean_of(name: str) -> Callable[[Sequence[EditScore]], float]:
    return lambda marks: sum(getattr(mark, name) for mark in marks) / len(marks)
