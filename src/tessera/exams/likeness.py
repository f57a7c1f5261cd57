"""Likeness: are a system's drawings, as a set, like the world's pictures, and are they its own?"""

from collections.abc import Sequence
from functools import cached_property
from math import sqrt
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from tessera.document import Image, Text
from tessera.exams.base import Case, Report, shares_of_mean
from tessera.exams.features import features
from tessera.scoring import bootstrap
from tessera.scoring.sets import distances, measures, shares
from tessera.world import Scene, Skill, Tile, World

LEAST = 150  # drawings that say something as a set: two for each feature, and some to be left out
MEMORY = 20_000  # training pictures that a drawing may be a copy of
SHARE = 40  # of them for each drawing, where that is fewer
BLOCK = 1000  # training pictures compared at once
SHOWN = 48
GAP = 2  # pixels between a drawing and its nearest training picture

Pictures = UInt8[Tensor, "... 3 height wide"]  # two sets of one function may differ in number


class Nearest(NamedTuple):
    """Of each picture, the mean squared difference (of values between 0 and 1) to the nearest among others, and which that is."""

    distance: Float[Tensor, "batch"]
    which: Int[Tensor, "batch"]


class Likeness:
    """`each` drawings by whole captions, as a set, against the world's pictures of as many other scenes of the split.

    `likeness.frechet`, in words "World-FD", is the Fréchet distance in the features of `tessera.exams.features`: comparable neither
    with FID nor between different `each`; `likeness.kid` the kernel distance in the same. Their intervals are jackknife ones, over
    drawings and pictures left out in groups: resampled pictures repeat themselves, which moves both distances up.
    `likeness.precision` is the share of drawings among the world's pictures, `likeness.recall` that of the world's pictures among
    the drawings; the interval of each takes the other set as given. The reference `ceiling` is what the world's own pictures of the
    captions get, `blind` what as many pictures with nothing in them do. Below 150 drawings these four are left out.

    `likeness.nearest` is the share of drawings that lie nearer to their nearest training picture, by pixels, than half of the
    world's other pictures of the split do to theirs: about one half where nothing is copied (the reference `unseen`), 1 for
    copies, 0 also for what is like nothing in the world. Training pictures are those of the first 20,000 scenes, or of
    40 for each drawing; the world's texts and pictures are made of these scenes and of more.
    """

    name, want = "likeness", Image

    def __init__(self, world: World, each: int, split: str = "test"):
        self.world, self.each, self.split = world, each, split
        self.prompts = [world.prompt(Skill.CAPTION, i, split).text for i in range(each)]
        self.cases = [Case((Text(prompt),), str(i)) for i, prompt in enumerate(self.prompts)]

    def report(self, answers: Sequence[Tensor]) -> Report:
        """From one uint8 picture per case."""
        drawn = torch.stack(list(answers))
        return (self._likened(drawn) if self.each >= LEAST else Report()) | self._copied(drawn)

    def _likened(self, drawn: Pictures) -> Report:
        nothing = self.world.picture(Scene(())).expand(drawn.shape)
        made, none, own, real = (features().vectors(pictures) for pictures in (drawn, nothing, *self._halves))
        least, best = measures(none, real), measures(own, real)
        scores = distances(made, real) | shares(made, real)
        return Report(
            {f"likeness.{name}": score for name, score in scores.items()},
            {f"likeness.{name}": {"blind": least[name], "ceiling": best[name]} for name in scores},
        )

    def _copied(self, drawn: Pictures) -> Report:
        seen = self._seen
        found, unseen = nearest(drawn, seen), nearest(self._halves[1], seen)
        pairs = list(zip(found.distance.tolist(), unseen.distance.tolist(), strict=True))
        tiles = [
            Tile(beside(drawn[i], seen[found.which[i]]), (self.prompts[i], f"nearest: off by {255 * sqrt(pairs[i][0]):.0f} of 255"))
            for i in range(min(SHOWN, self.each))
        ]
        name = "likeness.nearest"
        half = _half([other for _, other in pairs])
        ratios = {name: shares_of_mean([distance < half for distance, _ in pairs])}
        scores = {name: bootstrap(pairs, _nearer, share_of=len(pairs))}
        return Report(scores, {name: {"unseen": 0.5}}, tiles={"likeness": tiles}, ratios=ratios)

    @cached_property
    def _halves(self) -> tuple[Pictures, Pictures]:
        """The world's own pictures of the captions, and of as many other scenes."""
        return shown(self.world, self.split, range(self.each)), shown(self.world, self.split, range(self.each, 2 * self.each))

    @cached_property
    def _seen(self) -> Pictures:
        return shown(self.world, "train", range(min(MEMORY, SHARE * self.each)))


def nearest(pictures: Pictures, among: Pictures) -> Nearest:
    """The nearest of each picture, by pixels; the first where several are."""
    mine = pictures.flatten(1).float() / 255
    best = torch.full((len(mine),), torch.inf)
    which = torch.zeros(len(mine), dtype=torch.long)
    for start in range(0, len(among), BLOCK):
        others = among[start : start + BLOCK].flatten(1).float() / 255
        apart = mine.square().sum(1)[:, None] + others.square().sum(1) - 2 * mine @ others.T
        least, index = apart.min(1)
        which = torch.where(least < best, start + index, which)
        best = torch.minimum(least, best)
    return Nearest(best.clamp(min=0) / mine.shape[1], which)  # below 0 by rounding alone


def shown(world: World, split: str, scenes: Sequence[int]) -> Pictures:
    """The world's pictures of these scenes."""
    return torch.stack([world.picture(world.scene(i, split)) for i in scenes])


def beside(one: Tensor, other: Tensor) -> Tensor:
    """Two pictures as one, a white gap between them."""
    return torch.cat([one, torch.full((3, one.shape[1], GAP), 255, dtype=torch.uint8), other], 2)


def _half(unseen: Sequence[float]) -> float:
    """What half of the unseen pictures lie nearer than."""
    return sorted(unseen)[len(unseen) // 2]


def _nearer(pairs: Sequence[tuple[float, float]]) -> float:
    drawn, unseen = zip(*pairs, strict=True)
    half = _half(unseen)
    return sum(distance < half for distance in drawn) / len(drawn)
