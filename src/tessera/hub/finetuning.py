"""Fine-tuning: the stage that published systems come with, and adapters beside their trunks, known by the names of published layers."""

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from tessera.document import Task
from tessera.hub.names import Row, Table
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import LoRA

ALPHA = 2  # what adapters say, as a multiple of the rank
MIX = {Task.DRAW: 0.4, Task.CAPTION: 0.2, Task.QUESTION: 0.3, Task.TEXT: 0.1}


def adapt(system: System, plan: Table, within: Mapping[str, str], *, rank: int) -> list[LoRA]:
    """Adapters beside the linear layers of the trunk: one for each published layer that is part of it. All else is settled.

    `within` says what a prefix of published names is called in the published class. Beside a layer that is a piece of a published one, as
    those that read conditions are, there is none.
    """
    settled = system.state_dict().keys()
    found = []
    for name, layer in [*system.named_modules()]:
        if isinstance(layer, nn.Linear) and name.startswith("trunk."):
            parent, _, leaf = name.rpartition(".")
            around, row = system.get_submodule(parent), plan[f"{name}.weight"]
            sizes = getattr(around, "joined", {}).get(leaf, [])
            sizes = sizes if len(sizes) == len(row.parts) else [layer.out_features]
            if not any(isinstance(part.rows, slice) for part in row.parts):
                parts = {module(part.name, within): size for part, size in zip(row.parts, sizes, strict=True)}
                found.append(LoRA(layer, parts=parts, rank=rank, alpha=ALPHA * rank, rows=ordered(row, sizes)))
                setattr(around, leaf, found[-1])
    system.settled = frozenset(settled)
    return found


def ordered(row: Row, sizes: Sequence[int]) -> Tensor | None:
    """Which of the features that its parts say, one part behind another, each of ours is; None where they are in order."""
    if all(part.rows is None for part in row.parts):
        return None
    orders = [part.rows if isinstance(part.rows, Tensor) else torch.arange(size) for part, size in zip(row.parts, sizes, strict=True)]
    return torch.cat([first + one for first, one in zip(accumulate(sizes, initial=0), orders, strict=False)])


def module(weight: str, within: Mapping[str, str]) -> str:
    """What a published weight's layer is called in the published class."""
    layer = weight.removesuffix(".weight")
    prefix = next((prefix for prefix in within if layer.startswith(f"{prefix}.")), "")
    return (within[prefix] + layer.removeprefix(prefix)).removeprefix(".") if prefix else layer


def finetune(system: System, adapters: Sequence[LoRA], tasks: Collection[Task]) -> Stage:
    """The stage of a published system, which learns these tasks: what its adapters say moves; where it has none, all but its codecs."""
    if adapters:
        train: list[nn.Module] = [linear for one in adapters for linear in (*one.down, *one.up)]
    else:
        ways = (part for port in system.ports for part in (port.reader, port.writer) if isinstance(part, nn.Module))
        train = [part for part in (system.trunk, *ways) if isinstance(part, nn.Module)]
    able = {Task.DRAW: system.draws, Task.CAPTION: system.looks, Task.QUESTION: system.looks}
    shares = {task: share for task, share in MIX.items() if task in tasks and able.get(task, True)}
    lr, decay = (2e-4, 0.0) if adapters else (1e-5, 0.01)
    return Stage("finetune", train=train, documents=10_000, mix=shares, batch=8, lr=lr, weight_decay=decay)
