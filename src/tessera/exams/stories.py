"""Stories: a caption, its picture, a change in words, the picture after it; told as asked for, or by the model's own decision."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tessera.document import Document, Image
from tessera.exams.base import Case, Report, shares_of_mean
from tessera.exams.ceiling import read_right, readings
from tessera.exams.drawing import told
from tessera.exams.editing import slots_of, slots_read
from tessera.scoring import bootstrap, rate
from tessera.scoring.grouped import mean
from tessera.scoring.stories import block_scores, identity, structure_similarity
from tessera.world import Scene, Tile, World
from tessera.world.instructions import follow, scene_of
from tessera.world.oracle import Oracle
from tessera.world.reading import Reading, facts, same_scene
from tessera.world.tasks import story

SHOWN = 24  # stories on the sheet
WANTED = ("Text", "Image", "Text", "Image", "Text")  # the last text says nothing more


class Stories:
    """`each` stories of two pictures, both written: a caption, its picture, a change in words, the picture after it.

    `stories.second` asks that the second picture shows exactly the scene the story has come to, whatever the first became;
    `stories.forced` is the same behind the true first picture, so the difference is what one's own mistakes cost. References:
    `untouched`, who draws the first scene again, and `ceiling`, what the oracle says of the world's own pictures.
    """

    want = Image

    def __init__(self, world: World, each: int, split: str = "test", *, forced: bool = False):
        self.world, self.name = world, "stories.forced" if forced else "stories.second"
        self.stories = [story(world, None, i, split) for i in range(each)]
        self.cases = []
        for i, one in enumerate(self.stories):
            opening, _, change, _ = one.document.segments
            first = Image(world.picture(one.scenes[0])) if forced else Image(learn=True)
            self.cases.append(Case((opening, first, change), str(i)))

    def report(self, answers: Sequence[Tensor]) -> Report:
        """From the last uint8 picture of each case."""
        readings = Oracle(self.world.level).read(torch.stack(list(answers)))
        right = [same_scene(reading, one.scenes[-1]) for reading, one in zip(readings, self.stories, strict=True)]
        tiles = [Tile(answers[i], (str(self.cases[i].prompt[-1].content), told(readings[i])), right[i]) for i in range(min(24, len(right)))]
        ceiling = mean(read_right(self.world, [one.scenes[-1] for one in self.stories]))
        beside = {self.name: {"untouched": 0.0, "ceiling": ceiling}}
        return Report({self.name: rate(right)}, beside, {self.name: right}, {self.name: tiles})


class OwnStories:
    """`each` stories of which only the opening is given: the model goes on by itself, markers and all.

    `stories.structure` asks for a picture, words, a picture, and nothing more; `stories.similarity` is how near it came to that.
    `stories.told` asks that the words are an edit of the scene in the first picture. `stories.pictures` is the share of both
    pictures that show just what they should: the first the opening, the second the first one's scene when the words are done;
    `stories.blocks` is how much of it they show, slot by slot. `stories.same` is the share of things that the words leave alone and both
    pictures show which look the same in both. References: `ceiling`, what the oracle says of the world's own pictures.
    Source of these levels: ISG-Bench (Chen et al. 2024, arXiv:2411.17188).
    """

    name, want = "stories.own", None

    def __init__(self, world: World, each: int, split: str = "test"):
        self.world = world
        self.stories = [story(world, None, i, split) for i in range(each)]
        blank = Image(learn=True)
        self.cases = [Case((one.document[0], blank), str(i), more=len(WANTED) - 2) for i, one in enumerate(self.stories)]

    def report(self, answers: Sequence[Document]) -> Report:
        """From the whole document of each case."""
        pictures = [picture for one in answers for picture in one.pictures[:2]]
        read = iter(Oracle(self.world.level).read(torch.stack(pictures)))
        seen = [[next(read) for _ in one.pictures[:2]] for one in answers]
        kinds = [tuple(type(segment).__name__ for segment in one) for one in answers]
        shaped = [found == WANTED and not one.texts[-1] for found, one in zip(kinds, answers, strict=True)]
        changes = [self._change(i, one, seen[i]) for i, one in enumerate(answers)]
        states = [(one.scenes[0], change and change[1]) for one, change in zip(self.stories, changes, strict=True)]
        right = [
            [scene is not None and k < len(read) and same_scene(read[k], scene) for k, scene in enumerate(state)]
            for read, state in zip(seen, states, strict=True)
        ]
        pooled, both = [ok for pair in right for ok in pair], [i for i in range(len(right)) for _ in range(2)]
        blocks = [mark for pair in map(blocks_of, seen, states) for mark in pair]
        alike = list(map(left_alone, seen, changes))
        same, whose = [ok for some in alike for ok in some], [i for i, some in enumerate(alike) for _ in some]
        understood = [change is not None for change in changes]
        similar = [structure_similarity(found, WANTED) for found in kinds]
        scores = {
            "stories.structure": rate(shaped),
            "stories.similarity": bootstrap(similar, mean, share_of=len(similar)),
            "stories.told": rate(understood),
            "stories.pictures": rate(pooled, clusters=both),
            "stories.blocks": bootstrap(blocks, mean, clusters=both, share_of=len(blocks)),
        }
        if same:  # else no two pictures show a thing that was left alone
            scores["stories.same"] = rate(same, clusters=whose)
        return Report(
            scores,
            {name: beside for name, beside in self._references().items() if name in scores},
            right={"stories.structure": shaped, "stories.told": understood, "stories.pictures": pooled},
            clusters={"stories.pictures": both, "stories.blocks": both},
            ratios={"stories.similarity": shares_of_mean(similar), "stories.blocks": shares_of_mean(blocks)},
            tiles={self.name: [tile for i in range(min(SHOWN, len(answers))) for tile in _tiles(answers[i], seen[i], right[i])]},
        )

    def _change(self, i: int, document: Document, seen: Sequence[Reading]) -> tuple[Scene, Scene] | None:
        """The scene in the first picture, and the one that the second should show: when the words behind the first are done."""
        before = scene_of(seen[0])
        if before is None or len(document.texts) < 2:
            return None
        after = follow(before, document.texts[1], self.world.level, self.stories[i].language)
        return None if after is None else (before, after)

    def _references(self) -> dict[str, dict[str, float]]:
        """What the oracle says of the world's own pictures of both scenes."""
        scenes = [scene for one in self.stories for scene in one.scenes]
        read = readings(self.world, [self.world.picture(scene) for scene in scenes])
        told = [(read[2 * i : 2 * i + 2], one.scenes) for i, one in enumerate(self.stories)]
        found: dict[str, Sequence[float]] = {
            "pictures": [same_scene(*pair) for pair in zip(read, scenes, strict=True)],
            "blocks": [mark for pair in told for mark in blocks_of(*pair)],
            "same": [ok for pair in told for ok in left_alone(*pair)],
        }
        return {f"stories.{name}": {"ceiling": mean(each)} for name, each in found.items()}


def blocks_of(read: Sequence[Reading], states: Sequence[Scene | None]) -> list[float]:
    """How much of each state its picture shows; nothing of one that was not told."""
    told = [slots_of(scene) for scene in states if scene is not None]
    return [*block_scores([slots_read(one) for one in read], told), *[0.0] * (len(states) - len(told))]


def left_alone(read: Sequence[Reading], change: tuple[Scene, Scene] | None) -> list[bool]:
    """Whether each thing that a change leaves alone, where both pictures show something, looks the same in both."""
    if change is None:
        return []
    before, after = ({(thing.row, thing.column): facts(thing) for thing in scene.things} for scene in change)
    stays = {place for place, look in before.items() if after.get(place) == look}
    looks = [{(thing.row, thing.column): facts(thing) for thing in one.things} for one in read]
    return identity([{place: look for place, look in each.items() if place in stays} for each in looks])


def _tiles(document: Document, seen: Sequence[Reading], right: Sequence[bool]) -> list[Tile]:
    shown = zip(document.pictures, document.texts, seen, right, strict=False)
    return [Tile(picture, (words, told(reading)), ok) for picture, words, reading, ok in shown]
