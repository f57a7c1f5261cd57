"""A folder of pictures with one JSONL file: each line {"image": "a.png", "text": "..."}, paths relative to the file."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tessera.data.fields import attempt, field, parsed, picture_at, text_of
from tessera.data.rows import BadRow, Pair


def read_pairs(file: Path) -> Iterator[Pair | BadRow]:
    """The rows of the JSONL file; empty lines are none, other fields are not looked at."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                where = f"line {number}"
                yield attempt(file, where, partial(pair, file, where, line))


def pair(file: Path, where: str, line: bytes) -> Pair:
    """The pair written on one line."""
    entry = parsed(line)
    return Pair(file, where, picture_at(field(entry, "image"), file.parent), text_of(field(entry, "text"), "text"))
