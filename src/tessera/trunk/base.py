"""What every trunk says: places in, hidden states out, and a cache for writing."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from tessera.attention import AttentionRule
from tessera.places import Places

Hidden = Float[Tensor, "row place width"]


@runtime_checkable
class Served(Protocol):
    """What a trunk needs to know of a port: its name, and whether its segments stand in several views, as noisy and clean."""

    name: str

    @property
    def views(self) -> bool: ...


@runtime_checkable
class Opened(Protocol):
    """One pass of new places through a trunk, as its cache sees it."""

    def commit(self, keep: Sequence[bool]) -> None: ...


@runtime_checkable
class Cache(Protocol):
    """What a trunk remembers of documents being written, row by row. A pass that is not committed leaves nothing behind.

    `pads` says that rows with fewer new places may pass beside others, padded behind; `open` is told how many of each are real.
    `copy` lets other rows remember what one does.
    """

    pads: bool

    def take(self) -> int: ...

    def give(self, row: int) -> None: ...

    def open(self, rows: Sequence[int], new: Places, counts: Sequence[int] | None = None) -> Opened: ...

    def copy(self, row: int, others: Sequence[int]) -> None: ...

    def snapshot(self, rows: Sequence[int]) -> Any: ...

    def restore(self, snapshot: Any) -> None: ...


@runtime_checkable
class Trunk(Protocol):
    """A module that joins the modalities: every place's hidden state, from what the rule lets it see.

    `active_parameters` is how many work on one place. With `opened`, a pass of its cache, new places also see what the
    rows of the cache hold. `serves` raises ValueError for rules and ports that it cannot do justice to. `halved` says that
    what is given passes through other parts than what is learned: learned text then begins from a place of its own, and each half of a
    row is padded by itself.
    """

    @property
    def halved(self) -> bool: ...

    @property
    def blocks(self) -> Sequence[nn.Module]: ...

    @property
    def active_parameters(self) -> int: ...

    def serves(self, rule: AttentionRule, ports: Sequence[Served]) -> None: ...

    def __call__(self, embeddings: Hidden, condition: Hidden | None, places: Places, rule: AttentionRule, opened: Any = None) -> Hidden: ...

    def cache(self, *, rows: int, capacity: int) -> Cache: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def compile(self, *, dynamic: bool) -> None: ...
