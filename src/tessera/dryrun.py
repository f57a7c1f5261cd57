"""Dry runs: a pass forward and back of a model on `meta`, whose numbers have shapes alone, and what would have been in memory."""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from itertools import count
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

ATEN = torch.ops.aten
BY_MASK = (ATEN.index.Tensor, ATEN.index_put.default, ATEN.index_put_.default, ATEN._index_put_impl_.default)
NOWHERE = torch.device("meta")


class Ledger:
    """What came and went, in order: storages by number, and their bytes."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int]] = []
        self.alive: dict[int, int] = {}  # numbers of storages by the identity that is theirs as long as they live
        self.numbers = count()

    def enter(self, tensor: Tensor, *, free: bool = False) -> None:
        """A tensor; its storage may be new. What is `free` is not counted."""
        storage = tensor.untyped_storage()
        if id(storage) not in self.alive:
            number, size = next(self.numbers), 0 if free else storage.nbytes()
            self.alive[id(storage)] = number
            self.entries.append((number, size))
            finalize(storage, self._leave, id(storage), number, size)

    def _leave(self, identity: int, number: int, size: int) -> None:
        del self.alive[identity]
        self.entries.append((number, -size))

    def number(self, tensor: Tensor) -> int:
        """The number of a tensor's storage."""
        return self.alive[id(tensor.untyped_storage())]

    def peak(self, without: Set[int] = frozenset()) -> int:
        """The most bytes that were there at once, some storages left out."""
        most = now = 0
        for number, size in self.entries:
            now += 0 if number in without else size
            most = max(most, now)
        return most


@contextmanager
def dry(*modules: nn.Module) -> Iterator[Ledger]:
    """What runs in here needs no memory where the modules' parameters are on `meta`. What it would need is written down, but for those.

    Whole numbers are real, because they say where things are; whole numbers that are made of others are 0.
    """
    ledger = Ledger()
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            ledger.enter(tensor, free=True)
    with _Operations(ledger):
        yield ledger


class _Operations(TorchDispatchMode):
    """Operations on shapes, with what is in memory beside."""

    def __init__(self, ledger: Ledger):
        super().__init__()
        self.ledger = ledger

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        abstract = any(tensor.is_meta for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor))
        if abstract:
            found = tree_map_only(Tensor, _here, _without_memory(func, args, kwargs))
        elif kwargs.get("device") == NOWHERE:
            found = _away(func(*args, **{**kwargs, "device": "cpu"}))
        else:
            found = func(*args, **kwargs)
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor):
                self.ledger.enter(tensor)
        return found


def _without_memory(func: Any, args: tuple, kwargs: dict) -> Any:
    """The operation on shapes alone. How many places a mask chooses is no matter of shape, so those are looked up first."""
    if func in BY_MASK:
        chosen = [_columns(index) for index in args[1]]
        args = (args[0], [one for some in chosen for one in some], *args[2:])
    args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to(NOWHERE), (args, kwargs))
    return func(*args, **(kwargs | {"device": NOWHERE} if "device" in kwargs else kwargs))


def _columns(index: Tensor | None) -> list[Tensor | None]:
    return list(index.nonzero().unbind(1)) if index is not None and index.dtype == torch.bool else [index]


def _away(tensor: Tensor) -> Tensor:
    """The tensor without memory, unless it holds whole numbers."""
    return tensor.to(NOWHERE) if tensor.is_floating_point() else tensor


def _here(tensor: Tensor) -> Tensor:
    """The tensor, in memory where it holds whole numbers."""
    return tensor if tensor.is_floating_point() else torch.zeros(tensor.shape, dtype=tensor.dtype)
