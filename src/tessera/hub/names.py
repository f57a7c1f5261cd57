"""Names: where each of our tensors comes from in a published file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from torch import Tensor


class Part(NamedTuple):
    """A published tensor, or some of its `rows` (a slice), or all of them in another order (their numbers)."""

    name: str
    rows: Tensor | slice | None = None


class Row(NamedTuple):
    """What one of our tensors is made of: parts, joined along their first axis; `shaped` as ours where it has other axes.

    Without parts it is ours alone.
    """

    parts: tuple[Part, ...]
    shaped: bool = False


KEPT = Row(())
"""What is ours alone: it stays as it was built."""

Names = Mapping[str, str | Sequence[str] | Row]
"""Ours -> theirs. A name is that of a tensor, or of a layer, which has a weight and perhaps more. `*` stands for a number: what the
first one of ours stands for is put in place of the first one of theirs, and so on. What is named first wins."""

Table = dict[str, Row]
"""Of every tensor of ours, what it is made of."""


def shaped(*names: str) -> Row:
    """Tensors of as many numbers in another shape: a convolution over whole squares is a linear layer of them."""
    return Row(tuple(Part(name) for name in names), shaped=True)


def row(value: str | Sequence[str] | Row) -> Row:
    """What a value of `Names` stands for."""
    if isinstance(value, Row):
        return value
    return Row(tuple(Part(name) for name in ([value] if isinstance(value, str) else value)))


def under(names: Names, *, ours: str = "", theirs: str = "") -> dict[str, Row]:
    """The names inside a part of a larger model, which stands under a prefix of ours and one of theirs."""
    mine, published = (f"{prefix}." if prefix else "" for prefix in (ours, theirs))
    rows = {name: row(value) for name, value in names.items()}
    return {mine + name: Row(tuple(Part(published + p.name, p.rows) for p in one.parts), one.shaped) for name, one in rows.items()}


def found(ours: str, names: Names) -> Row | None:
    """What a tensor of ours is made of; None where it has no name."""
    for left, right in names.items():
        if match := pattern(left).fullmatch(ours):
            *numbers, leaf = match.groups()
            made = row(right)
            return Row(tuple(Part(filled(part.name, numbers) + leaf, part.rows) for part in made.parts), made.shaped)
    return None


def table(ours: Iterable[str], names: Names) -> Table:
    """What each tensor of ours is made of. Raises KeyError for one that has no name, which is our mistake."""
    rows = {name: found(name, names) for name in ours}
    nameless = [name for name, one in rows.items() if one is None]
    if nameless:
        raise KeyError(f"{', '.join(nameless)} have no published name")
    return {name: one for name, one in rows.items() if one is not None}


@cache
def pattern(left: str) -> re.Pattern[str]:
    """What is called so by a name of `Names`: a number for each star, and what a layer has."""
    return re.compile(re.escape(left).replace(r"\*", r"(\d+)") + r"(\.weight|\.bias|\.running_mean|\.running_var|\.num_batches_tracked|)")


def filled(name: str, numbers: Sequence[str]) -> str:
    """The name with a number in place of each star."""
    for number in numbers[: name.count("*")]:
        name = name.replace("*", number, 1)
    return name
