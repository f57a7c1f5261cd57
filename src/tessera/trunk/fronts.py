"""Fronts: what is done to places before the first block, by the task that they belong to."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from tessera.attention import Numbered, among
from tessera.places import Places
from tessera.trunk.base import Hidden


class Entry(NamedTuple):
    """One task's: the ports that write in it, a row for each place of a document, and a projection of what `reads` have read."""

    writes: Sequence[Numbered]
    positions: nn.Embedding
    reads: Sequence[Numbered] = ()
    project: nn.Module | None = None


class TaskFront(nn.Module):
    """Positions of each task's own, counted from the beginning of a document, and a projection of some places in front of them.

    A place belongs to the task whose port writes the document's next learned segment, as for `TaskLoRA`; those of no task stay as they are.
    Source: OmniMamba (Zou et al. 2025, arXiv:2503.08686), in its code.
    """

    positions: Sequence[nn.Embedding]
    project: Sequence[nn.Module]

    def __init__(self, entries: Sequence[Entry]):
        super().__init__()
        self.positions = nn.ModuleList(one.positions for one in entries)  # type: ignore[assignment]  # torch's lists hold modules
        self.project = nn.ModuleList(one.project or nn.Identity() for one in entries)  # type: ignore[assignment]
        self.ports = tuple((tuple(one.writes), tuple(one.reads)) for one in entries)  # tuples, because the system holds the ports

    def forward(self, x: Hidden, places: Places) -> Hidden:
        """The places, each as its task has it."""
        for (writes, reads), positions, project in zip(self.ports, self.positions, self.project, strict=True):
            mine, read = among(places.writes, writes), among(places.port, reads)
            here = torch.where((mine & read)[..., None], project(x), x) if reads else x
            x = torch.where(mine[..., None], here + positions(places.order * mine).to(here.dtype), x)
        return x
