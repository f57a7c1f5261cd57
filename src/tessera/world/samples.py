"""Samples: documents of every task as tiles of a contact sheet, to see what a level is like; and its texts."""

from collections.abc import Iterator

from tessera.document import Text
from tessera.world.sheet import Tile
from tessera.world.world import World


def samples(world: World, n: int, split: str = "train") -> list[Tile]:
    """n documents that have a picture, of each task in turn; texts in reading order, what is learned behind an arrow."""
    tasks = [task for task in world.tasks if world.document(task, 0, split).pictures]
    tiles = []
    for i in range(n):
        task = tasks[i % len(tasks)]
        document = world.document(task, i, split)
        words = [f"{'-> ' if s.learn else ''}{s.content}" for s in document if isinstance(s, Text)]
        tiles.append(Tile(document.pictures[-1], (task.value, *words)))
    return tiles


def texts(world: World, n: int, split: str = "train") -> Iterator[str]:
    """All texts of n documents of each task, to train a tokenizer on."""
    for i in range(n):
        for task in world.tasks:
            yield from world.document(task, i, split).texts
