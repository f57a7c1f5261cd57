"""Open a user's data set, whichever of the accepted formats it has."""

import os
from collections.abc import Iterator
from pathlib import Path

from tessera.data.dataset import Dataset, Tick, sift
from tessera.data.llava import read_llava
from tessera.data.pairs import read_pairs
from tessera.data.rows import BadRow, Row
from tessera.data.webdataset import read_webdataset

SUFFIXES = {"folder": ".jsonl", "llava": ".json", "webdataset": ".tar"}
ACCEPTED = (
    "accepted are a folder with pictures and one .jsonl file (or that file), a LLaVA .json file (or its folder), "
    "and a WebDataset .tar file (or a folder of them)"
)


def open_data(
    path: str | Path,
    size: tuple[int, int] | None = (32, 32),
    seed: int = 0,
    *,
    skip_bad: bool = False,
    format: str | None = None,
    images: str | Path | None = None,
    tick: Tick | None = None,
) -> Dataset:
    """The data set at this path as a source of documents, its pictures at `size` (height, width), or with None at their own.

    `format` is "folder", "llava" or "webdataset"; None looks at what is there. `images` is where a LLaVA file's pictures
    lie, if not beside it. Pairs give documents to draw and to caption, LLaVA entries give questions, or text where they
    have no picture. `seed` orders the rows of each pass.
    Every row is checked and every picture decoded once before this returns, while `tick(done, total)` tells how far it is: for a
    thousand rows on two cores 0.2 s at 32 x 32 pixels, about 1 s for JPEG and 7 s for PNG at 512 x 384.
    Raises ValueError at the first bad row, or with `skip_bad` lists them in `.bad`.
    """
    path = Path(os.path.abspath(path))
    good, bad = sift(read(path, format, images), size, skip_bad, tick)
    if not good and bad:
        raise ValueError(f"data: all {len(bad)} rows of {path} are bad, the first: {bad[0]}; mend them or name another data set")
    if not good:
        raise ValueError(f"data: {path} holds no rows; at least one is needed; name another data set")
    return Dataset(good, size, seed, bad)


def read(path: Path, format: str | None, images: str | Path | None = None) -> Iterator[Row | BadRow]:
    """The rows of whatever lies at this path."""
    if format is not None and format not in SUFFIXES:
        raise ValueError(f"data: format {format!r}; accepted are {', '.join(SUFFIXES)}; name one of these, or none to have it found")
    if not path.exists():
        raise ValueError(f"data: {path} does not exist; {ACCEPTED}; check the path")
    format, files = found_in_folder(path, format) if path.is_dir() else found_as_file(path, format)
    if images and format != "llava":
        raise ValueError(
            f"data: pictures in {images} for {path}, of format {format}; only LLaVA files take them from elsewhere; leave it out"
        )
    if format == "webdataset":
        return read_webdataset(files)
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ValueError(f"data: {path} has {len(files)} {SUFFIXES[format]} files ({names}); one is expected; name the file itself")
    if format == "folder":
        return read_pairs(files[0])
    return read_llava(files[0], Path(os.path.abspath(images)) if images else None)


def found_as_file(path: Path, format: str | None) -> tuple[str, list[Path]]:
    """The format of a file: as asked, else by its suffix."""
    by_suffix = {suffix: name for name, suffix in SUFFIXES.items()}
    format = format or by_suffix.get(path.suffix.lower())
    if format is None:
        raise ValueError(f"data: {path} has the suffix '{path.suffix}'; {ACCEPTED}; convert it, or name its format")
    return format, [path]


def found_in_folder(path: Path, format: str | None) -> tuple[str, list[Path]]:
    """The format of a folder, as asked or as its files say, and those files in order of name.

    JSON files count only where nothing else is: img2dataset leaves some beside its shards.
    """
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    held = {name: [file for file in files if file.suffix.lower() == suffix] for name, suffix in SUFFIXES.items()}
    if format is None and held["folder"] and held["webdataset"]:
        raise ValueError(f"data: {path} has both .jsonl and .tar files; one kind is expected; name the format or the file")
    wanted = [format] if format else ["folder", "webdataset", "llava"]
    for name in wanted:
        if held[name]:
            return name, held[name]
    suffixes = " or ".join(SUFFIXES[name] for name in wanted)
    raise ValueError(f"data: {path} has no {suffixes} file; {ACCEPTED}; check the path")
