"""What every trunk says: places in, hidden states out, and a cache for writing."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from tessera.attention import AttentionRule
from tessera.places import Places
from tessera.trunk.cache import Cache, Pass

Hidden = Float[Tensor, "row place width"]


@runtime_checkable
class Trunk(Protocol):
    """A module that joins the modalities: every place's hidden state, from what the rule lets it see.

    `active_parameters` is how many work on one place. With `opened`, a pass of its cache, new places also see what the
    rows of the cache hold.
    """

    @property
    def blocks(self) -> Sequence[nn.Module]: ...

    @property
    def active_parameters(self) -> int: ...

    def __call__(
        self, embeddings: Hidden, condition: Hidden | None, places: Places, rule: AttentionRule, opened: Pass | None = None
    ) -> Hidden: ...

    def cache(self, *, rows: int, capacity: int) -> Cache: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def compile(self, *, dynamic: bool) -> None: ...
