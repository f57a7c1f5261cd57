"""Ceiling: what one gets who reads pictures by the oracle, to stand beside what a system gets."""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from tessera.world import Scene, World
from tessera.world.oracle import Oracle
from tessera.world.reading import Reading, same_scene

Picture = UInt8[Tensor, "3 height wide"]


def readings(world: World, pictures: Sequence[Picture]) -> list[Reading]:
    """What the oracle reads in each; those that are alike are read once."""
    names = [picture.numpy().tobytes() for picture in pictures]
    different = dict(zip(names, pictures, strict=True))
    read = dict(zip(different, Oracle(world.level).read(torch.stack(list(different.values()))), strict=True))
    return [read[name] for name in names]


def read_right(world: World, scenes: Sequence[Scene]) -> list[bool]:
    """Of which scenes the oracle reads the world's own picture as just that scene."""
    read = readings(world, [world.picture(scene) for scene in scenes])
    return [same_scene(reading, scene) for reading, scene in zip(read, scenes, strict=True)]
