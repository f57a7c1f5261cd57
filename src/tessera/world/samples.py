"""Samples: documents of every task as tiles of a contact sheet, to see what a level is like; and its texts."""

from collections.abc import Iterator

from tessera.document import Image, Text
from tessera.world.sheet import Tile
from tessera.world.world import World


def samples(world: World, n: int, split: str = "train") -> list[Tile]:
    """n documents that have a picture, of each task in turn; texts in reading order, what is learned behind an arrow."""
    tasks = [task for task in world.tasks if any(isinstance(s, Image) for s in world.document(task, 0, split))]
    tiles = []
    for i in range(n):
        document = world.document(tasks[i % len(tasks)], i, split)
        pictures = [s.content for s in document if isinstance(s, Image)]
        words = [("-> " if s.learn else "") + s.content for s in document if isinstance(s, Text)]
        tiles.append(Tile(pictures[-1], (document.task.value, *words)))
    return tiles


def texts(world: World, n: int, split: str = "train") -> Iterator[str]:
    """All texts of n documents of each task, to train a tokenizer on."""
    for i in range(n):
        for task in world.tasks:
            yield from (s.content for s in world.document(task, i, split) if isinstance(s, Text))
