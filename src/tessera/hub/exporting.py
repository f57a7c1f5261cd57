"""Systems back into the folders they came from: the same names, files and configuration, with the numbers that they have now."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tessera.hub.filling import own, places
from tessera.hub.folder import Folder, open_folder
from tessera.hub.loading import ORIGIN, blueprint
from tessera.hub.names import Names, Row, found, table
from tessera.hub.speaking import language_of
from tessera.hub.tensors import ALONE, INDEX, Stored, tensors
from tessera.system import System
from tessera.trunk import LoRA

Plan = Sequence[tuple[str, Row]]
KEPT = ("*.json", "*.jinja", "tokenizer.model")  # what is copied as it is


def export_published(system: System, into: Path) -> list[Path]:
    """Write the folder that transformers loads this system from; returns the weights files.

    The system must have come from a published folder, whose files are taken for all that is no number; of one that began with a published
    language model (`--init-trunk`), that is written. What was published apart stands in a folder inside. Adapters become part of the
    layers that they change. One file of weights is in memory at a time. Raises ValueError for other systems, and where the folder exists.
    """
    system = language_of(system) or system
    origin = getattr(system, "origin", {})
    if origin.get("recipe") != ORIGIN:
        raise ValueError(
            f"export: {system.name} was built by {origin.get('recipe', 'nobody')!r}; systems that were loaded with --hub or trained --from "
            "a published folder, or began with --init-trunk, are accepted; `tessera weights` writes others"
        )
    if into.exists():
        raise ValueError(f"export: {into} exists; a new folder is accepted; choose another")
    arguments = origin["arguments"]
    folder = open_folder(arguments["path"], trust_pickle=arguments["trust_pickle"])
    made = blueprint(folder, tensors(folder))
    mine = Merged(system)
    plan = plan_of(system, mine, made.names)
    written = []
    for name, part in {"": folder, **made.parts}.items():
        (into / name).mkdir(parents=True, exist_ok=True)
        copy(part, into / name, next(system.parameters()).dtype)
        written += write(plan, mine, tensors(part, name), into / name, front=f"{name}." if name else "")
    return written


def plan_of(system: System, mine: Mapping[str, Tensor], names: Names) -> Plan:
    """What each published tensor is made of; one that is ours twice over, as a head that is the table, has a name for each time, or one."""
    first = {id(tensor): name for name, tensor in own(system).items()}
    again = {
        name: first[id(tensor)] for name, tensor in system.state_dict(keep_vars=True).items() if name not in mine and id(tensor) in first
    }
    named = ((one, found(name, names)) for name, one in again.items() if one in mine)
    return [*table(mine, names).items(), *((one, row) for one, row in named if row)]


def copy(folder: Folder, into: Path, dtype: torch.dtype) -> None:
    """Configuration and tokenizer, as they were but for the precision of what has numbers."""
    for pattern in (*KEPT, *(f"*/{pattern}" for pattern in KEPT if folder.pipeline)):
        for file in folder.path.glob(pattern):
            if not file.name.endswith(".index.json"):
                (into / file.relative_to(folder.path)).parent.mkdir(exist_ok=True)
                shutil.copy(file, into / file.relative_to(folder.path))
    name = "torch_dtype" if "torch_dtype" in folder.config else "dtype"
    if folder.numbers and folder.config and "_class_name" not in folder.config:  # diffusers' say nothing of it
        stated = {**folder.config, name: str(dtype).removeprefix("torch.")}
        (into / folder.said).write_text(json.dumps(stated, indent=2, ensure_ascii=False))


class Merged(Mapping[str, Tensor]):
    """The tensors of a system by name. What is changed by adapters is changed when it is asked for."""

    def __init__(self, system: System):
        self.layers = {f"{name}.weight": layer for name, layer in system.named_modules() if isinstance(layer, LoRA)}
        thin = {linear.weight for layer in self.layers.values() for linear in (*layer.down, *layer.up)}
        self.plain = {name: tensor for name, tensor in own(system).items() if tensor not in thin}

    def __getitem__(self, name: str) -> Tensor:
        return self.layers[name].merged() if name in self.layers else self.plain[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.plain)

    def __len__(self) -> int:
        return len(self.plain)


def write(plan: Plan, mine: Merged, weights: Mapping[str, Stored], into: Path, front: str) -> list[Path]:
    """The weights files, split as the published ones were, and their index. In files, names stand without what is in `front` here."""
    where = {name: Path(one.at[0]).name or ALONE[0] for name, one in weights.items()}
    plan = [(ours, row) for ours, row in plan if all(part.name in weights for part in row.parts)]  # what belongs to this folder
    files = sorted(set(where.values()))
    dtype = next(tensor.dtype for tensor in mine.plain.values() if tensor.is_floating_point())
    for file in files:
        tensors = {name: blank(weights[name], dtype) for name in where if where[name] == file}
        for ours, row in plan:
            for part, rows in places(row, mine.plain[ours].shape, weights):
                if part.name in tensors:
                    now = mine[ours] if rows is None else mine[ours][rows]
                    target, inside = tensors[part.name], part.rows
                    shape = target.shape if inside is None else target[inside].shape
                    target[... if inside is None else inside] = now.detach().cpu().to(target.dtype).reshape(shape)
        spoken = {part.name for _, row in plan for part in row.parts}
        for name in tensors.keys() - spoken:  # what the system has no use for stays as it was
            weights[name].into(tensors[name])
        save_file({name.removeprefix(front): tensor for name, tensor in tensors.items()}, into / file, {"format": "pt"})
    if len(files) > 1:
        total = sum((into / file).stat().st_size for file in files)
        index = next(one for one in INDEX if one.startswith(f"{files[0].partition('-')[0]}."))
        shards = {name.removeprefix(front): file for name, file in where.items()}
        (into / index).write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": shards}, indent=2))
    return [into / file for file in files]


def blank(one: Stored, dtype: torch.dtype) -> Tensor:
    """Room for a published tensor, in the precision that the system has now."""
    return torch.empty(one.shape, dtype=dtype if one.dtype.is_floating_point else one.dtype)
