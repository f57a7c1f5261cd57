"""Editing: a picture, a change in words, and the picture after it."""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from tessera.document import Image, Text
from tessera.exams.base import Case, Report, rates, shares_of_mean
from tessera.exams.drawing import told
from tessera.scoring import bootstrap
from tessera.scoring.edits import Atoms, edit_score, untouched_pixels
from tessera.scoring.grouped import mean
from tessera.world import Scene, Tile, World
from tessera.world.edits import edit_kinds
from tessera.world.oracle import Oracle
from tessera.world.reading import Reading, same_scene

SHOWN = 6  # edits of each kind on the sheet
MEANS = {"done": "done", "kept": "kept", "balance": "overall"}
LOOKS = ("kind", "colour", "size", "digit")

Picture = UInt8[Tensor, "3 height wide"]


class Editing:
    """`each` edits of every kind. `editing.KIND` and `overall` ask that the picture shows exactly the scene asked for;
    `done` is the share of what was to change that did, `kept` of what was to stay that stayed, `balance` their geometric mean. A slot
    is what stands at a place, so a thing that moves changes two places. `pixels` is 1 less the mean difference from the picture
    before, of values between 0 and 1, where nothing was to change: what no reading sees, and what a codec alone may cost.

    References: `untouched`, who gives the picture back; `ceiling`, what the oracle says of the world's own pictures of what was asked for.
    """

    name, want = "editing", Image

    def __init__(self, world: World, each: int, split: str = "test"):
        self.world, self.each = world, each
        self.edits = [world.edit(kind, i, split) for kind in edit_kinds(world.level) for i in range(each)]
        self.sources = [world.picture(one.before) for one in self.edits]
        self.targets = [world.picture(one.after) for one in self.edits]
        self.cases = [
            Case((Image(p), Text(one.instruction)), str(i)) for i, (one, p) in enumerate(zip(self.edits, self.sources, strict=True))
        ]

    def report(self, answers: Sequence[Tensor]) -> Report:
        """From one uint8 picture per case."""
        readings = Oracle(self.world.level).read(torch.stack(list(answers)))
        right, shares = self._judged(readings, answers)
        found = rates("editing", right, self.kinds)
        means = {name: bootstrap(each, mean, share_of=len(each)) for name, each in shares.items()}
        ratios = {name: shares_of_mean(each) for name, each in shares.items()}
        shown = [i for i in range(len(self.edits)) if i % self.each < SHOWN]
        tiles = [Tile(answers[i], (self.edits[i].instruction, told(readings[i])), right[i]) for i in shown]
        return found | Report(means, self._references(), tiles={"editing": tiles}, ratios=ratios)

    @property
    def kinds(self) -> list[str]:
        """The kind of each edit, by name."""
        return [one.kind.value for one in self.edits]

    def _judged(self, readings: Sequence[Reading], pictures: Sequence[Tensor]) -> tuple[list[bool], dict[str, list[float]]]:
        """Whether each picture is right, and the shares that the means are of."""
        right = [same_scene(reading, one.after) for reading, one in zip(readings, self.edits, strict=True)]
        marks = [edit_score(slots_of(one.before), slots_of(one.after), slots_read(r)) for r, one in zip(readings, self.edits, strict=True)]
        shares = {f"editing.{name}": [getattr(mark, what) for mark in marks] for name, what in MEANS.items()}
        return right, shares | {"editing.pixels": [elsewhere(*three) for three in zip(self.sources, self.targets, pictures, strict=True)]}

    def _references(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for who, pictures in {"untouched": self.sources, "ceiling": self.targets}.items():
            right, shares = self._judged(Oracle(self.world.level).read(torch.stack(pictures)), pictures)
            values = {name: score.value for name, score in rates("editing", right, self.kinds).scores.items()}
            for name, value in (values | {name: mean(each) for name, each in shares.items()}).items():
                found.setdefault(name, {})[who] = value
        return found


def elsewhere(before: Picture, after: Picture, found: Picture) -> float:
    """How little a picture differs from the one before, where the one that was asked for does not differ from it at all."""
    return untouched_pixels(before / 255, found / 255, (before != after).any(0))


def slots_of(scene: Scene) -> Atoms:
    """What stands at each place of a scene, slot by slot."""
    return {((thing.row, thing.column), name): getattr(thing, name) for thing in scene.things for name in LOOKS}


def slots_read(reading: Reading) -> Atoms:
    """The same of what was read in a picture; what cannot be read is not there."""
    things = [thing for thing in reading.things if reading.readable and thing.readable]
    return {((thing.row, thing.column), name): getattr(thing, name) for thing in things for name in LOOKS}
