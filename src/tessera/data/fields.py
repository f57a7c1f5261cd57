"""What a field of a row must hold: every fault is a ValueError with its reason, for the reader to place."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from tessera.data.rows import BadRow, Row, Span

Made = TypeVar("Made", bound=Row)


def parsed(data: bytes) -> object:
    """The JSON value written in these bytes."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as fault:
        raise ValueError(f"not UTF-8 ({fault})") from fault
    except (ValueError, RecursionError) as fault:
        raise ValueError(f"bad JSON ({fault})") from fault


def field(entry: object, name: str, *, needed: bool = True) -> object:
    """The value of this field of a JSON object; None where it is not needed and not there."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"{kind(entry)} where an object with the field '{name}' is expected")
    if needed and name not in entry:
        raise ValueError(f"no field '{name}'; its fields are {', '.join(map(repr, entry)) or 'none'}")
    return entry.get(name)


def text_of(value: object, name: str) -> str:
    """The text, without white space at its ends."""
    if not isinstance(value, str):
        raise ValueError(f"'{name}' is {kind(value)}, not text")
    try:
        value.encode()
    except UnicodeEncodeError as fault:
        raise ValueError(f"'{name}' cannot be written as UTF-8 ({fault})") from fault
    if not value.strip():
        raise ValueError(f"'{name}' is empty")
    return value.strip()


def picture_at(value: object, *roots: Path) -> Span:
    """The picture file of this name under the first of the (absolute) roots that has it. Links inside a root are followed."""
    name = text_of(value, "image")
    if "://" in name:
        raise ValueError(f"picture {name!r} is an address; pictures are read from disk and never fetched")
    for root in roots:
        path = Path(os.path.normpath(root / name))
        if not path.is_relative_to(root):
            raise ValueError(f"picture {name!r} lies outside {root}, which paths are relative to")
        if os.path.isdir(path):
            raise ValueError(f"picture {name!r} is a folder")
        if os.path.isfile(path):
            return Span(path)
    raise ValueError(f"no picture {name!r} in {' or '.join(map(str, roots))}")


def attempt(file: Path, where: str, read: Callable[[], Made]) -> Made | BadRow:
    """The row that `read` returns, or the reason why it does not."""
    try:
        return read()
    except ValueError as fault:
        return BadRow(file, where, str(fault))


def kind(value: object) -> str:
    """What a JSON value is, for a message."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names[type(value)]
