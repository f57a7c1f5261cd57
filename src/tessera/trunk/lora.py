"""Low-rank adapters: small changes of a linear layer, one for each task."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tessera.attention import Numbered
from tessera.places import Places


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

    def forward(self, x: Tensor, places: Places) -> Tensor:
        """Place by place."""
        y = self.linear(x)
        for ports, down, up in zip(self.tasks, self.down, self.up, strict=True):
            mine = torch.isin(places.writes, torch.tensor([port.number for port in ports], device=x.device))
            y = y + self.scale * up(down(x)) * mine[..., None].to(y.dtype)
        return y
