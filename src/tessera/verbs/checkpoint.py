"""Checkpoints: weights with the recipe that built them, and the whole state of a training run."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tessera.system import System
from tessera.verbs.recipes import build, names, recipe

SHIPPED = Path(__file__).parent.parent / "weights"
FORMAT = "1"


def save(system: System, path: Path | str, *, dtype: torch.dtype | None = None, notes: Mapping[str, Any] | None = None) -> None:
    """Weights and origin in one safetensors file. Shared tensors are stored once; `dtype` shrinks floating point ones."""
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[object, str] = {}
    for name, tensor in system.state_dict().items():
        known = first.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else name, name)
        if known != name:
            aliases[name] = known
            continue
        shrink = dtype is not None and tensor.is_floating_point()
        tensors[name] = (tensor.to(dtype) if shrink else tensor).detach().cpu().contiguous()
    origin = getattr(system, "origin", {"recipe": "", "arguments": {}})
    metadata = {"format": FORMAT, "origin": origin, "aliases": aliases, "notes": dict(notes or {})}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        temporary = file.name
    save_file(tensors, temporary, {key: json.dumps(value) for key, value in metadata.items()})
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def metadata(path: Path | str) -> dict[str, Any]:
    """What a weights file says of itself: origin, aliases, notes. Raises ValueError where it is none of ours."""
    try:
        with safe_open(path, "pt") as file:
            found = file.metadata() or {}
        return {key: json.loads(value) for key, value in found.items()} | {"origin": json.loads(found["origin"])}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ValueError(f"load: {path}: {error!r}; a weights file written by tessera is accepted; check the path") from error


def restore(system: System, path: Path | str) -> None:
    """Fill a system with the weights of a file; every tensor must be there and fit."""
    about = metadata(path)
    tensors = load_file(path)
    for name, known in about.get("aliases", {}).items():
        tensors[name] = tensors[known]
    wanted = system.state_dict()
    wrong = {
        "missing": sorted(wanted.keys() - tensors.keys()),
        "unknown": sorted(tensors.keys() - wanted.keys()),
        "of another shape": [name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape],
    }
    if any(wrong.values()):
        said = ", ".join(f"{len(some)} tensors {how} ({', '.join(some[:3])})" for how, some in wrong.items() if some)
        raise ValueError(f"load: {path}: {said}; it was written for {about['origin']}; build the system with these arguments")
    system.load_state_dict(tensors)


def find(name: str | Path, *, level: str = "easy") -> Path:
    """The weights file that a name stands for: a system's shipped weights on a level, a file, or a run's latest ones."""
    path = Path(name)
    if path.is_dir():
        return latest(path) / "weights.safetensors"
    if path.is_file():
        return path
    recipe(str(name))  # an unknown name fails here, and says what there is
    path = SHIPPED / f"{name}-{level}.safetensors"
    if not path.is_file():
        there = ", ".join(f"{system} on {level}" for system, level in shipped()) or "none"
        raise ValueError(
            f"load: weights of {name} on level {level}; with the library come {there}; train it: `tessera train {name} --level {level}`"
        )
    return path


def load(name: str | Path, *, level: str = "easy") -> System:
    """A trained system: by name with the weights that come with the library, or from a weights file or a run's folder.

    `level` says on which level of the world shipped weights were trained.
    """
    path = find(name, level=level)
    origin = metadata(path)["origin"]
    system = build(origin["recipe"], arguments=origin["arguments"])
    restore(system, path)
    return system.eval()


def shipped() -> list[tuple[str, str]]:
    """(system, level) of all weights that come with the library."""
    pairs = [tuple(file.stem.rsplit("-", 1)) for file in sorted(SHIPPED.glob("*.safetensors"))]
    return [(name, level) for name, level in pairs if name in names()]


# ---------------------------------------------------------------- the state of a run


def save_state(
    folder: Path, number: int, system: System, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], *, keep: int = 2
) -> Path:
    """One checkpoint of a run: weights, all other tensors, and facts. It appears whole or not at all; the last `keep` stay."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    final = checkpoints / f"{number:010d}"
    temporary = Path(tempfile.mkdtemp(dir=checkpoints, prefix=".unfinished-"))
    save(system, temporary / "weights.safetensors")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary / "state.safetensors")
    (temporary / "facts.json").write_text(json.dumps(facts))
    if final.exists():
        shutil.rmtree(final)
    os.chmod(temporary, 0o755)
    os.replace(temporary, final)
    for old in sorted(checkpoints.glob("[0-9]*"))[:-keep]:
        shutil.rmtree(old)
    for unfinished in checkpoints.glob(".unfinished-*"):
        shutil.rmtree(unfinished)
    return final


def latest(folder: Path) -> Path:
    """The newest checkpoint of a run. Raises ValueError where there is none."""
    found = sorted((folder / "checkpoints").glob("[0-9]*"))
    if not found:
        raise ValueError(f"run: {folder} holds no checkpoint; the folder of a training run is accepted; check the path")
    return found[-1]


def load_state(checkpoint: Path, system: System) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Fill the system, and return the other tensors and the facts of a checkpoint."""
    restore(system, checkpoint / "weights.safetensors")
    return load_file(checkpoint / "state.safetensors"), json.loads((checkpoint / "facts.json").read_text())
