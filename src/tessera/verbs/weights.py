"""Weights: a system in one file, with the recipe that built it; and those that come with the library."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tessera.system import System
from tessera.verbs.machine import chosen_device
from tessera.verbs.packing import pack, unpack
from tessera.verbs.recipes import build, names, recipe
from tessera.verbs.whole import whole
from tessera.world import LEVELS

SHIPPED = Path(__file__).parent.parent / "weights"
PARTS = SHIPPED / "parts"
FORMAT = "1"  # of the metadata


def save(system: System, path: Path | str, *, bits: int = 32, notes: Mapping[str, Any] | None = None, parts: Sequence[str] = ()) -> None:
    """Weights and origin in one safetensors file. Shared tensors are stored once, and those that building it gives are left out.

    `bits` (8, 16 or 32) shrinks floating point ones, see `pack`. Of `parts`, names of some that come with the library, the file
    names the tensors that equal theirs, in place of storing them.
    """
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[object, str] = {}
    there = {(part, name): tensor for part in parts for name, tensor in load_file(PARTS / f"{part}.safetensors").items()}
    borrowed: dict[str, tuple[str, str]] = {}  # (part, name there) of each
    for name, tensor in movable(system).items():
        known = first.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else name, name)
        if known != name:
            aliases[name] = known
            continue
        tensor = tensor.detach().cpu().contiguous()
        equal = next((key for key, known in there.items() if known.shape == tensor.shape and torch.equal(known.to(tensor), tensor)), None)
        if equal:
            borrowed[name] = equal
        else:
            tensors[name] = tensor
    origin = getattr(system, "origin", {"recipe": "", "arguments": {}})
    metadata = {"format": FORMAT, "origin": origin, "aliases": aliases, "parts": borrowed, "notes": dict(notes or {})}
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"save: {path} is a folder; a file is needed; name one in it, say {path / 'weights.safetensors'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    whole(path, lambda file: save_file(pack(tensors, bits), file, {key: json.dumps(value) for key, value in metadata.items()}))


def metadata(path: Path | str) -> dict[str, Any]:
    """What a weights file says of itself: origin, aliases, notes. Raises ValueError where it is none of ours."""
    try:
        with safe_open(path, "pt") as file:
            found = file.metadata() or {}
        about = {key: json.loads(found[key]) for key in ("format", "origin", "aliases", "notes")}
        about["parts"] = json.loads(found.get("parts", "{}"))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ValueError(f"load: {path}: {error!r}; a weights file written by tessera is accepted; check the path") from error
    if about["format"] != FORMAT:
        raise ValueError(f"load: {path}: format {about['format']}; this version reads {FORMAT}; install the version that wrote it")
    return about


def movable(system: System) -> dict[str, Tensor]:
    """The tensors that files keep: all but those that building it gives."""
    return {name: tensor for name, tensor in system.state_dict().items() if name not in system.settled}


def restore(system: System, path: Path | str) -> None:
    """Fill a system with the weights of a file; every tensor must be there and fit."""
    about = metadata(path)
    tensors = unpack(load_file(path)) | _borrowed(path, about["parts"])
    for name, known in about["aliases"].items():
        tensors[name] = tensors[known]
    wanted = movable(system)
    wrong = {
        "missing": sorted(wanted.keys() - tensors.keys()),
        "unknown": sorted(tensors.keys() - wanted.keys()),
        "of another shape": [name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape],
    }
    if any(wrong.values()):
        said = ", ".join(f"{len(some)} tensors {how} ({', '.join(some[:3])})" for how, some in wrong.items() if some)
        raise ValueError(f"load: {path}: {said}; it was written for {about['origin']}; build the system with these arguments")
    system.load_state_dict(tensors, strict=False)  # all that were to be filled were looked at above


def _borrowed(path: Path | str, names: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
    """Tensors that a weights file leaves to parts that come with the library, by the names that they have in the system."""
    parts = {}
    for part in {part for part, _ in names.values()}:
        file = PARTS / f"{part}.safetensors"
        if not file.is_file():
            raise ValueError(f"load: {path} leaves tensors to {part}, which does not come with this version; install the one that wrote it")
        parts[part] = load_file(file)
    return {name: parts[part][known] for name, (part, known) in names.items()}


def latest(folder: Path | str) -> Path:
    """The newest checkpoint of a run. Raises ValueError where there is none."""
    found = sorted((Path(folder) / "checkpoints").glob("[0-9]*"))
    if not found:
        raise ValueError(f"run: {folder} holds no checkpoint; the folder of a training run is accepted; check the path")
    return found[-1]


def find(name: str | Path, *, level: str = "easy") -> Path:
    """The weights file that a name stands for: a system's shipped weights on a level, a file, or a run's latest ones.

    The name of a system is that system, even where a file or folder is called so too (name those "./chameleon").
    """
    path = Path(name)
    if isinstance(name, Path) or name not in names():
        if path.is_dir():
            return latest(path) / "weights.safetensors"
        if path.is_file():
            return path
        if isinstance(name, Path):
            raise ValueError(f"load: {name} does not exist; the folder of a training run or a weights file is accepted; check the path")
        try:
            recipe(name)  # an unknown name fails here, and says what there is
        except ValueError as error:
            raise ValueError(f"load: there is no file or folder {name}, and as a name: {error}") from error
    path = SHIPPED / f"{name}-{level}.safetensors"
    if level not in LEVELS:
        raise ValueError(f"load: weights of {name} on level {level}; levels are {', '.join(LEVELS)}; name one of these")
    if not path.is_file():
        there = ", ".join(f"{system} on {level}" for system, level in shipped()) or "none"
        raise ValueError(
            f"load: weights of {name} on level {level}; with the library come {there}; train it: `tessera train {name} --level {level}`"
        )
    return path


def load(name: str | Path, *, level: str = "easy", device: str = "auto") -> System:
    """A trained system: by name with the weights that come with the library, or from a weights file or a run's folder.

    `level` says on which level of the world shipped weights were trained; `device` "auto" takes a GPU where there is one.
    """
    path = find(name, level=level)
    origin = metadata(path)["origin"]
    if not origin["recipe"]:
        raise ValueError(
            f"load: {path}: no recipe built its system; one of a recipe is accepted; build it, then tessera.restore(system, path)"
        )
    system = build(origin["recipe"], arguments=origin["arguments"])
    restore(system, path)
    return system.to(chosen_device(device)).eval()


def shipped() -> list[tuple[str, str]]:
    """(system, level) of all weights that come with the library."""
    pairs = [tuple(file.stem.rsplit("-", 1)) for file in sorted(SHIPPED.glob("*.safetensors"))]
    return [(name, level) for name, level in pairs if name in names()]


def weights_hash(module: nn.Module) -> str:
    """A short name for all of a system's tensors, or those of any other module."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode() + tensor.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
