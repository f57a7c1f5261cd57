"""What every order says and hears: corruption in training, and the coroutine that writes."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tessera.document import Document
from tessera.draws import Draw


@dataclass(frozen=True, eq=False)
class Context:
    """Where a segment stands: schedules may depend on what the document asks of it."""

    document: Document
    index: int


class Corrupted(NamedTuple):
    """What the trunk sees of a learned segment, what it shall say, and of which elements.

    In the loss each of these stands for `stands_for` elements.
    """

    visible: Any
    target: Tensor
    where: Bool[Tensor, "element"]
    stands_for: float = 1.0


class Seen(NamedTuple):
    """Hidden states that answer for some elements, one branch per row of guidance, and what went round the trunk."""

    hidden: Float[Tensor, "branch answer width"]
    aside: Tensor | None = None

    def of(self, some: Int[Tensor, "answer"] | slice) -> "Seen":
        """What was seen of some of them."""
        return Seen(self.hidden[:, some], None if self.aside is None else self.aside[:, some])


class Writing(NamedTuple):
    """What an order writes with: the answers standing before the segment, an empty clean, and what of it is given.

    `like` is filled in place while writing. `steps` is how many passes an order that may choose shall take, and `nats` how much
    elements of one pass may hold in common.
    `stop` is the value that ends the segment early, if one does; `rng` is the request's own.
    """

    before: Seen
    like: Tensor
    keep: Bool[Tensor, "element"]
    rng: torch.Generator
    stop: int | None = None
    steps: int | None = None
    nats: float | None = None


class Ask(NamedTuple):
    """A request: show these elements to the trunk and send back what is Seen.

    `start` numbers the first of them. `commit` keeps them in the cache; without it they leave nothing behind.
    For those who watch: `clean` is the segment as it stands, and `known` the share of it that is decided.
    """

    visible: Any
    start: int = 0
    commit: bool = False
    clean: Tensor | None = None
    known: float = 0.0


class Pick(NamedTuple):
    """A request: let the law draw from what was seen, and send back what is Drawn."""

    seen: Seen


class Weigh(NamedTuple):
    """A request: let the law say, in nats, how much it leaves open in each answer, and send that back."""

    seen: Seen


class Done(NamedTuple):
    """A finished segment; `rest` is what the trunk has not been shown yet, to be committed when something follows."""

    clean: Tensor
    rest: Ask | None = None


Coroutine = Generator[Ask | Pick | Weigh, Any, Done]


@runtime_checkable
class Order(Protocol):
    """How elements become known. Corruption in training and the loop in writing are two faces of one thing.

    `lead`: how many places before an element its answer stands (1 for Next, 0 where elements answer for themselves).
    `shared`: whether the view that predicts is also what later segments read.
    """

    lead: int
    shared: bool

    def corrupt(self, clean: Tensor, keep: Bool[Tensor, "element"], context: Context, draw: Draw) -> Corrupted: ...

    def reveal(self, clean: Tensor) -> Any: ...

    def write(self, w: Writing) -> Coroutine: ...
