"""Benchmarks: the items of users' files, every one checked before the first is used, and what was left out."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, overload, runtime_checkable

from tessera.data.dataset import complaint, fault_of
from tessera.data.fields import field, kind, parsed, text_of
from tessera.data.rows import BadRow, Span

LOOK = (32, 32)  # pixels at which pictures are decoded to see whether they can be


@runtime_checkable
class Item(Protocol):
    """What every item has: a name of its own, the name it shares with items that are not independent of it, and its picture."""

    @property
    def id(self) -> str: ...

    @property
    def cluster(self) -> str: ...

    @property
    def picture(self) -> Path | None: ...


Made = TypeVar("Made", bound=Item)


@dataclass(frozen=True, slots=True)
class Benchmark(Generic[Made]):
    """Items in the order of their file. `bad` lists the rows that were left out."""

    items: tuple[Made, ...]
    bad: tuple[BadRow, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Made]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Made: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Made, ...]: ...

    def __getitem__(self, index: int | slice) -> Made | tuple[Made, ...]:
        return self.items[index]


class Entry(NamedTuple):
    """Where a row stands, and what reads it: `read` raises ValueError with the reason where it cannot."""

    file: Path
    where: str
    read: Callable[[], Any]


def gather(path: Path, entries: Iterable[Entry], *, skip_bad: bool) -> Benchmark[Any]:
    """The items of all entries, their ids unlike each other, their pictures decoded once.

    Raises ValueError at the first entry that has a fault, or else at the first picture, or with `skip_bad` lists them in `.bad`.
    """
    found: list[tuple[Entry, Any]] = []
    bad: list[BadRow] = []
    first: dict[str, str] = {}

    def refuse(entry: Entry, reason: str) -> None:
        bad.append(BadRow(entry.file, entry.where, reason))
        if not skip_bad:
            raise ValueError(complaint(bad[-1]))

    for entry in entries:
        try:
            item = entry.read()
            if item.id in first:
                raise ValueError(f"its id {item.id!r} is that of {first[item.id]}")
        except ValueError as fault:
            refuse(entry, str(fault))
            continue
        first[item.id] = entry.where
        found.append((entry, item))
    faults = faults_of([item.picture for _, item in found if item.picture])
    for entry, item in found:
        if faults.get(item.picture):
            refuse(entry, faults[item.picture])
    if not found and not bad:
        raise ValueError(f"data: {path} holds no rows; at least one is needed; name another data set")
    good = tuple(item for _, item in found if not faults.get(item.picture))
    if not good:
        raise ValueError(f"data: all {len(bad)} rows of {path} are bad, the first: {bad[0]}; mend them or name another data set")
    return Benchmark(good, tuple(bad))


def faults_of(pictures: Sequence[Path]) -> dict[Path, str]:
    """Why each of these pictures cannot be read; nothing where it can. Each is decoded once, on all cores."""
    each = list(dict.fromkeys(pictures))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(each, pool.map(partial(fault_of, size=LOOK), map(Span, each)), strict=True))


# ---------------------------------------------------------------- files


def file_at(path: str | Path, accepted: str) -> Path:
    """The file of this name, as an absolute path. `accepted` says in words which file is meant."""
    file = Path(os.path.abspath(path))
    if not file.is_file():
        there = "is a folder" if file.is_dir() else "does not exist"
        raise ValueError(f"data: {file} {there}; {accepted} is accepted; check the path")
    return file


def root_of(images: str | Path | None, file: Path) -> Path:
    """The absolute folder that names of pictures are relative to: the one that is named, or the file's."""
    root = file.parent if images is None else Path(os.path.abspath(images))
    if not root.is_dir():
        raise ValueError(f"data: pictures of {file.name}: {root} is no folder; the folder of its pictures is accepted; check the path")
    return root


def lines_of(file: Path) -> Iterator[tuple[str, bytes]]:
    """Where each line that is not empty stands, and the line."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"line {number}", line


def json_of(file: Path, accepted: str) -> object:
    """The JSON value of a file, which is read whole."""
    try:
        return parsed(file.read_bytes())
    except ValueError as fault:
        raise ValueError(f"data: {file}: {fault}; {accepted} is accepted; mend the file") from fault


def table_of(file: Path, whole: object, name: str, accepted: str) -> list[Any]:
    """The list of this name at the top of a JSON file."""
    try:
        return list_of(field(whole, name), name)
    except ValueError as fault:
        raise ValueError(f"data: {file}: {fault}; {accepted} is accepted; name another file") from fault


# ---------------------------------------------------------------- fields


def list_of(value: object, name: str) -> list[Any]:
    """The list in this field."""
    if not isinstance(value, list):
        raise ValueError(f"'{name}' is {kind(value)}; a list is expected")
    return value


def whole_of(value: object, name: str) -> int:
    """The whole number in this field."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"'{name}' is {kind(value)}{f' ({value})' if isinstance(value, float) else ''}; a whole number is expected")
    return value


def id_of(entry: object, name: str) -> str:
    """The id in this field: a whole number or text. 7 and "7" are the same."""
    value = field(entry, name)
    return text_of(value, name) if isinstance(value, str) else str(whole_of(value, name))


def named(where: str, entry: object, name: str) -> str:
    """Where an entry stands, with its id where it has one."""
    return f"{where} ({name} {entry[name]!r})" if isinstance(entry, dict) and name in entry else where
