"""Pictures: the sets that a distance is measured between: a folder's, the world's, and what a system draws."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

import torch
from PIL import Image as Pillow
from torch import Tensor

from tessera.data.benchmarks import ClassPicture
from tessera.data.images import fitted, open_picture, size_of
from tessera.draws import generator
from tessera.world import World

Size = tuple[int, int]  # height and width in pixels


@runtime_checkable
class PictureSet(Protocol):
    """Pictures of one size, under a name; `count` is None where there is no end of them."""

    @property
    def name(self) -> str: ...

    @property
    def count(self) -> int | None: ...

    @property
    def size(self) -> Size: ...

    def picture(self, index: int) -> Tensor: ...

    def told(self, index: int) -> str: ...


class Folder:
    """The pictures of a folder, shuffled by `seed`: scaled and cropped to `pixels` a side, or as they are.

    Raises ValueError where they are to stay as they are and differ in size.
    """

    def __init__(self, name: str, items: Sequence[ClassPicture], pixels: int | None = None, seed: int = 0):
        self.name, self.count, self.pixels, self.seed = name, len(items), pixels, seed
        self.items = [items[i] for i in torch.randperm(len(items), generator=generator(seed)).tolist()]
        self.size = (pixels, pixels) if pixels else one_size(items)

    def picture(self, index: int) -> Tensor:
        """Read when it is asked for: a large folder is never held whole."""
        return open_picture(self.items[index].picture, self.pixels)

    def told(self, index: int) -> str:
        """Its path from the folder."""
        return self.items[index].id


class Scenes:
    """The world's pictures of the scenes of a split, from number `first` on."""

    count = None

    def __init__(self, world: World, split: str = "test", pixels: int | None = None, *, first: int = 0):
        self.world, self.split, self.first = world, split, first
        self.name, self.size = f"world-{world.level.name}", (pixels or world.level.pixels,) * 2

    def picture(self, index: int) -> Tensor:
        """Of the scene so many behind the first."""
        return resized(self.world.picture(self.world.scene(self.first + index, self.split)), self.size)

    def told(self, index: int) -> str:
        """Which scene."""
        return f"scene {self.first + index}"


class Drawings:
    """One picture for each prompt, `side` pixels high and wide when they are drawn; `pictures` may follow once they are."""

    def __init__(self, name: str, prompts: Sequence[str], side: int, pixels: int | None = None):
        self.name, self.count, self.prompts, self.size = name, len(prompts), prompts, (pixels or side,) * 2
        self.pictures: Sequence[Tensor] = ()

    def picture(self, index: int) -> Tensor:
        """Of the prompt of this number."""
        return resized(self.pictures[index], self.size)

    def told(self, index: int) -> str:
        """Its prompt."""
        return self.prompts[index]


def one_size(items: Sequence[ClassPicture]) -> Size:
    """The size of all these pictures. Raises ValueError with the first that differs from most."""
    paths = [item.picture for item in items]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes = list(pool.map(size_of, paths))
    (usual, often), *_ = Counter(sizes).most_common(1)
    if often < len(sizes):
        other = next(i for i, size in enumerate(sizes) if size != usual)
        raise ValueError(
            f"distance: {paths[other]} has {told_size(sizes[other])} pixels, and {often} of {len(sizes)} pictures beside it have "
            f"{told_size(usual)}; pictures of one size are accepted; scale and crop all of them with --pixels"
        )
    return usual


def told_size(size: Size) -> str:
    """In words: width, then height, as people say it."""
    return f"{size[1]} x {size[0]}"


def resized(picture: Tensor, size: Size) -> Tensor:
    """The picture at this size, scaled and cropped as `tessera.data.images.decode` says; as it is where it has that size."""
    if picture.shape[1:] == size:
        return picture
    return fitted(Pillow.fromarray(picture.permute(1, 2, 0).cpu().numpy()), size)
