"""Low-rank adapters: small changes of linear layers, of one that is there, or one change for each task."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn

from tessera.attention import Numbered, among
from tessera.places import Places


def bare(linear: nn.Module) -> bool:
    """Whether it is a linear layer without bias, and no kind of one: its weight says all that it does."""
    return type(linear) is nn.Linear and linear.bias is None


class TaskLoRA(nn.Module):
    """A linear layer without bias, and for each task a product of two thin matrices that is added where the task is at work.

    `tasks` are groups of ports: a place belongs to the task whose port writes the document's next learned segment, or to none.
    What is added is scaled by `alpha` / `rank`, and starts at zero.
    Source: LoRA (Hu et al. 2021, arXiv:2106.09685, section 4.1); by task, OmniMamba (Zou et al. 2025, arXiv:2503.08686).
    """

    down: Sequence[nn.Linear]
    up: Sequence[nn.Linear]

    def __init__(self, inputs: int, outputs: int, *, tasks: Sequence[Sequence[Numbered]], rank: int = 8, alpha: int | float = 32):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.down = nn.ModuleList(nn.Linear(inputs, rank, bias=False) for _ in tasks)  # type: ignore[assignment]
        self.up = nn.ModuleList(nn.Linear(rank, outputs, bias=False) for _ in tasks)  # type: ignore[assignment]
        for up in self.up:
            nn.init.zeros_(up.weight)
        self.tasks, self.scale = tuple(tuple(ports) for ports in tasks), alpha / rank  # tuples, because the system holds the ports

    @property
    def idle_parameters(self) -> int:
        """Those of tasks that are not at work on a place, of which one is."""
        return (len(self.tasks) - 1) * (self.down[0].weight.numel() + self.up[0].weight.numel()) if self.tasks else 0

    def of(self, task: int) -> tuple[nn.Linear, nn.Linear]:
        """The adapter of a task."""
        return self.down[task], self.up[task]

    @property
    def plain(self) -> bool:
        """Whether none of its layers has adapters of its own, as one that is fine-tuned does."""
        return all(map(bare, (self.linear, *self.down, *self.up)))

    def forward(self, x: Tensor, places: Places) -> Tensor:
        """Place by place."""
        at_work = [self.scale * among(places.writes, ports).to(x.dtype)[..., None] for ports in self.tasks]
        thin = [down(x) * mine for down, mine in zip(self.down, at_work, strict=True)]
        if not self.plain:
            return self.linear(x) + sum(up(one) for up, one in zip(self.up, thin, strict=True))
        weights = torch.cat([self.linear.weight, *(up.weight for up in self.up)], 1)
        return F.linear(torch.cat([x, *thin], -1), weights)  # one product: thin ones take longer than they look


class LoRA(nn.Linear):
    """A linear layer that is there, with its weights and their names, and a product of two thin matrices beside each of its `parts`.

    Parts are layers that were joined into this one, as queries, keys and values are: how many features each says, by the name it is known
    under. Where they say them in another order than this layer, `rows` names for each feature of this layer which of theirs it is. What is
    added is scaled by `alpha` / `rank`, and starts at zero. Adapters are float32 whatever the layer is: steps as small as theirs would
    be rounded away. Source: LoRA (Hu et al. 2021, arXiv:2106.09685, section 4.1).
    """

    down: Sequence[nn.Linear]
    up: Sequence[nn.Linear]
    rows: Tensor | None

    def __init__(
        self, linear: nn.Linear, *, parts: Mapping[str, int], rank: int, alpha: int | float, rows: Int[Tensor, "feature"] | None = None
    ):
        assert sum(parts.values()) == linear.out_features
        super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
        self.weight, self.bias, self.names, self.scale = linear.weight, linear.bias, tuple(parts), alpha / rank
        thin = partial(nn.Linear, bias=False, device=linear.weight.device, dtype=torch.float32)
        self.down = nn.ModuleList(thin(linear.in_features, rank) for _ in parts)  # type: ignore[assignment]
        self.up = nn.ModuleList(thin(rank, outputs) for outputs in parts.values())  # type: ignore[assignment]
        for up in self.up:
            nn.init.zeros_(up.weight)
        self.register_buffer("rows", None if rows is None else rows.to(linear.weight.device), persistent=False)

    def of(self, part: int) -> tuple[nn.Linear, nn.Linear]:
        """The adapter of a part."""
        return self.down[part], self.up[part]

    def forward(self, x: Tensor) -> Tensor:
        """What the layer says, changed."""
        through = lambda linear, value: F.linear(value, linear.weight.to(value.dtype))
        said = [through(up, through(down, x)) for down, up in zip(self.down, self.up, strict=True)]
        change = torch.cat(said, -1)
        return super().forward(x) + self.scale * (change if self.rows is None else change[..., self.rows])

    @torch.no_grad()
    def merged(self) -> Tensor:
        """The weight of a plain layer that says the same."""
        change = torch.cat([up.weight @ down.weight for down, up in zip(self.down, self.up, strict=True)])
        return (self.weight + self.scale * (change if self.rows is None else change[self.rows])).to(self.weight.dtype)
