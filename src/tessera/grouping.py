"""Grouping: what is alike is handled together."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def alike(items: Sequence[Item], key: Callable[[Item], Hashable]) -> list[list[int]]:
    """The numbers of all items of one key, key by key as they first appear; the items of a key stay in their order."""
    groups: dict[Hashable, list[int]] = {}
    for i, item in enumerate(items):
        groups.setdefault(key(item), []).append(i)
    return list(groups.values())
