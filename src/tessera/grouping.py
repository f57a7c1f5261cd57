"""Grouping: what is alike is handled together."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar

Item = TypeVar("Item")


def alike(items: Sequence[Item], key: Callable[[Item], Any]) -> Iterator[list[int]]:
    """The numbers of all items of one key, key by key in their order; the items of a key stay in theirs."""
    by = lambda i: key(items[i])
    for _, group in groupby(sorted(range(len(items)), key=by), key=by):
        yield list(group)
