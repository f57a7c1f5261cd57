"""Pictures of a folder, in folders by class (root/class/x.png) or not: what distances between sets of pictures are measured on."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tessera.data.benchmarks.gather import Benchmark, Entry, gather

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class ClassPicture:
    """A picture and its class, the name of the folder below the root; "" where it lies in none. Its id is its path from the root."""

    id: str
    picture: Path
    label: str

    @property
    def cluster(self) -> str:
        return self.id


def read_image_folder(root: str | Path, *, skip_bad: bool = False) -> Benchmark[ClassPicture]:
    """The pictures in the root and in all folders below it, in order of name.

    Hidden files are not looked at; any other file that is no picture is a bad row.
    """
    root = Path(os.path.abspath(root))
    if not root.is_dir():
        raise ValueError(f"data: {root} is no folder; a folder of pictures, or of one folder for each class, is accepted; check the path")
    rows = [Entry(root, str(inside), partial(class_picture, root, inside)) for inside in files_in(root)]
    return gather(root, rows, skip_bad=skip_bad)


def files_in(root: Path) -> Iterator[Path]:
    """Paths of files, from the root, that no hidden name stands in."""
    for file in sorted(root.rglob("*")):
        inside = file.relative_to(root)
        if file.is_file() and not any(part.startswith(".") for part in inside.parts):
            yield inside


def class_picture(root: Path, inside: Path) -> ClassPicture:
    """The picture at this path from the root."""
    if inside.suffix.lower() not in SUFFIXES:
        raise ValueError(f"the suffix {inside.suffix!r} is no picture's; {', '.join(SUFFIXES)} are accepted")
    return ClassPicture(inside.as_posix(), root / inside, inside.parts[0] if len(inside.parts) > 1 else "")
