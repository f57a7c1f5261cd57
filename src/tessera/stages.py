"""Stages: what of a model trains, on what, for how long."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from tessera.codecs.base import Losses
from tessera.document import Document, Task
from tessera.draws import Draw


@runtime_checkable
class Learner(Protocol):
    """Any module that a stage can train: a system, a codec, a pair of encoders.

    `arrange` does what can be done ahead of time, without gradients; `losses_of` does the rest.
    """

    def arrange(self, documents: Sequence[Document], draws: Sequence[Draw]) -> Any: ...

    def losses_of(self, arranged: Any) -> Losses: ...

    def eval(self) -> nn.Module: ...

    def to(self, device: str) -> nn.Module: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]: ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...


@dataclass(frozen=True, eq=False)
class Stage:
    """Pure data: what trains, on what, for how long.

    `train` names the modules that move; all others are frozen and in eval mode. `learner` None is the system itself.
    `documents` is how many are read in all. `rates` scales the learning rate of some modules, `weights` the loss of
    some ports (by name) and `emphasis` that of some tasks' documents; 1 where unnamed. `transform` changes documents
    before they are learned. `average` is the decay of an average of the weights, put in their place at the end; `carry`
    keeps the optimizer's state of the stage before.
    """

    name: str
    train: Sequence[nn.Module]
    documents: int
    mix: Mapping[Task, float]
    learner: Learner | None = None
    batch: int = 64
    lr: float = 1e-3
    decay: str = "cosine"
    weight_decay: float = 0.1
    rates: Mapping[nn.Module, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    emphasis: Mapping[Task, float] = field(default_factory=dict)
    transform: Callable[[Document, Draw], Document] | None = None
    average: float = 0.0
    carry: bool = False
