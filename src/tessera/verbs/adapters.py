"""Adapters alone, in files as peft writes them."""

import json
from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tessera.system import System
from tessera.trunk import LoRA, TaskLoRA

WEIGHTS, CONFIG, PREFIX = "adapter_model.safetensors", "adapter_config.json", "base_model.model."
PLAIN: Mapping[str, Any] = {  # LoRA without any of its variants: what is written, and all that is read
    "peft_type": "LORA",
    "bias": "none",
    "fan_in_fan_out": False,
    "lora_bias": False,
    "modules_to_save": None,
    "rank_pattern": {},
    "alpha_pattern": {},
    "use_dora": False,
}


class Adapter(NamedTuple):
    """Two thin matrices, one behind the other, and what is multiplied with what they say."""

    down: nn.Linear
    up: nn.Linear
    scale: float


Adapted = dict[str, Adapter]  # by the name of the layer that it changes


def adapted(system: System) -> dict[str, Adapted]:
    """The adapters of each task. A task is called by its ports; where there are no tasks, adapters are of "".

    Those that were put beside layers to be trained are meant, where there are such: others belong to the model. Raises ValueError where
    there are none at all.
    """
    found: dict[str, Adapted] = {}
    beside: Adapted = {}
    for name, layer in system.named_modules():
        if isinstance(layer, TaskLoRA):
            for number, ports in enumerate(layer.tasks):
                found.setdefault("-".join(port.name for port in ports), {})[name] = Adapter(*layer.of(number), layer.scale)
        if isinstance(layer, LoRA):
            beside |= {part: Adapter(*layer.of(i), layer.scale) for i, part in enumerate(layer.names)}
    if beside:
        return {"": beside}
    if not found:
        raise ValueError(f"adapters: {system.name} has none; a system with adapted layers (LoRA, TaskLoRA) is accepted; use tessera.save")
    return found


def save_adapters(system: System, folder: Path | str) -> None:
    """Each task's adapters in folder/TASK, or in the folder: `adapter_model.safetensors` and `adapter_config.json`.

    Keys are those of peft's `save_pretrained`, for a model in which the adapted layers are plain linear ones of the same names. A
    published system's layers have the names that they were published under.
    """
    for task, layers in adapted(system).items():
        into, tensors = Path(folder) / task, {key: weight.detach().cpu().contiguous() for key, weight in keyed(layers).items()}
        scales = {(adapter.down.out_features, adapter.scale) for adapter in layers.values()}
        if len(scales) > 1:
            raise ValueError(f"adapters: {task} has layers of several ranks or scales, {sorted(scales)}; one is accepted; build them alike")
        ((rank, scale),) = scales
        origin = getattr(system, "origin", {"recipe": "", "arguments": {}})
        config = {**PLAIN, "r": rank, "lora_alpha": scale * rank, "lora_dropout": 0.0, "target_modules": sorted(layers)}
        config |= {"base_model_name_or_path": origin["arguments"].get("path", origin["recipe"]) or None}
        config |= {"task_type": None, "inference_mode": True}
        into.mkdir(parents=True, exist_ok=True)
        save_file(tensors, into / WEIGHTS, {"format": "pt"})
        (into / CONFIG).write_text(json.dumps(config, indent=2))


def keyed(layers: Adapted) -> dict[str, Tensor]:
    """Every matrix by its key in a file."""
    both = {name: (adapter.down, adapter.up) for name, adapter in layers.items()}
    return {_key(name, part): linear.weight for name, pair in both.items() for part, linear in zip("AB", pair, strict=True)}


def _key(name: str, part: str) -> str:
    return f"{PREFIX}{name}.lora_{part}.weight"


@torch.no_grad()
def restore_adapters(system: System, folder: Path | str) -> None:
    """Fill the adapters of all tasks from such files, whoever wrote them; a scale other than the layers' own goes into the second matrix.

    Raises ValueError where a task or a layer is missing, unknown, or of another shape, or the files hold another kind of adapter; then
    nothing has moved.
    """
    ready: list[tuple[Tensor, Tensor]] = []
    for task, layers in adapted(system).items():
        config, tensors = _read(Path(folder) / task)
        wanted = keyed(layers)
        wrong = {
            "missing": sorted(wanted.keys() - tensors.keys()),
            "unknown": sorted(tensors.keys() - wanted.keys()),
            "of another shape": [key for key in wanted.keys() & tensors.keys() if wanted[key].shape != tensors[key].shape],
        }
        if any(wrong.values()):
            said = ", ".join(f"{len(some)} tensors {how} ({', '.join(some[:3])})" for how, some in wrong.items() if some)
            raise ValueError(
                f"adapters: {Path(folder) / task}: {said}; those of {system.name}'s layers are accepted; build it with their rank"
            )
        for name, (down, up, scale) in layers.items():
            ready += [(down.weight, tensors[_key(name, "A")]), (up.weight, tensors[_key(name, "B")] * (_scale(config) / scale))]
    for weight, value in ready:
        weight.copy_(value)


def _scale(config: Mapping[str, Any]) -> float:
    """What is multiplied with the product of both matrices. Rank and alpha are 8 where a file is silent, as in peft."""
    rank = config.get("r", 8)
    return config.get("lora_alpha", 8) / (sqrt(rank) if config.get("use_rslora") else rank)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a folder says of its adapters, and their tensors."""
    try:
        config, tensors = json.loads((folder / CONFIG).read_text()), load_file(folder / WEIGHTS)
    except (OSError, SafetensorError, ValueError) as error:
        raise ValueError(f"adapters: {folder}: {error!r}; {CONFIG} and {WEIGHTS} are accepted; check the path") from error
    other = {key: config[key] for key, usual in PLAIN.items() if config.get(key) and config[key] != usual}
    if other or config.get("peft_type") != "LORA":
        said = ", ".join(f"{key} {value!r}" for key, value in ({"peft_type": config.get("peft_type")} | other).items())
        raise ValueError(f"adapters: {folder}: {said}; plain LoRA is accepted; merge what goes beyond it first")
    return config, tensors
