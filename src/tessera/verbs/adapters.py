"""Adapters: those of each task alone, in files as peft writes them."""

import json
from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tessera.system import System
from tessera.trunk import TaskLoRA

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

Adapted = dict[str, tuple[TaskLoRA, int]]  # by the layer's name in the system: the layer, and the number of the task in it


def adapted(system: System) -> dict[str, Adapted]:
    """The adapted layers of each task. A task is called by its ports. Raises ValueError where there are none."""
    found: dict[str, Adapted] = {}
    for name, layer in system.named_modules():
        for number, ports in enumerate(layer.tasks if isinstance(layer, TaskLoRA) else ()):
            found.setdefault("-".join(port.name for port in ports), {})[name] = (layer, number)
    if not found:
        raise ValueError(f"adapters: {system.name} has none; a system with adapted layers (TaskLoRA) is accepted; use tessera.save")
    return found


def save_adapters(system: System, folder: Path | str) -> None:
    """Each task's adapters in folder/TASK: `adapter_model.safetensors` and `adapter_config.json`.

    Keys are those of peft's `save_pretrained`, for a model in which the adapted layers are plain linear ones of the same names.
    """
    for task, layers in adapted(system).items():
        into, tensors = Path(folder) / task, dict[str, Tensor]()
        for name, (layer, number) in layers.items():
            for part, linear in zip("AB", layer.of(number), strict=True):
                tensors[f"{PREFIX}{name}.lora_{part}.weight"] = linear.weight.detach().cpu().contiguous()
        scales = {(layer.of(number)[0].out_features, layer.scale) for layer, number in layers.values()}
        if len(scales) > 1:
            raise ValueError(f"adapters: {task} has layers of several ranks or scales, {sorted(scales)}; one is accepted; build them alike")
        ((rank, scale),) = scales
        origin = getattr(system, "origin", {"recipe": ""})["recipe"]
        config = {**PLAIN, "r": rank, "lora_alpha": scale * rank, "lora_dropout": 0.0, "target_modules": sorted(layers)}
        config |= {"base_model_name_or_path": origin or None, "task_type": None, "inference_mode": True}
        into.mkdir(parents=True, exist_ok=True)
        save_file(tensors, into / WEIGHTS, {"format": "pt"})
        (into / CONFIG).write_text(json.dumps(config, indent=2))


@torch.no_grad()
def restore_adapters(system: System, folder: Path | str) -> None:
    """Fill the adapters of all tasks from such files, whoever wrote them; a scale other than the layers' own goes into the second matrix.

    Raises ValueError where a task or a layer is missing, unknown, or of another shape, or the files hold another kind of adapter; then
    nothing has moved.
    """
    ready: list[tuple[Tensor, Tensor]] = []
    for task, layers in adapted(system).items():
        config, tensors = _read(Path(folder) / task)
        wanted = {
            f"{PREFIX}{name}.lora_{part}.weight": (linear.weight, 1.0 if part == "A" else _scale(config) / layer.scale)
            for name, (layer, number) in layers.items()
            for part, linear in zip("AB", layer.of(number), strict=True)
        }
        wrong = {
            "missing": sorted(wanted.keys() - tensors.keys()),
            "unknown": sorted(tensors.keys() - wanted.keys()),
            "of another shape": [key for key in wanted.keys() & tensors.keys() if wanted[key][0].shape != tensors[key].shape],
        }
        if any(wrong.values()):
            said = ", ".join(f"{len(some)} tensors {how} ({', '.join(some[:3])})" for how, some in wrong.items() if some)
            raise ValueError(
                f"adapters: {Path(folder) / task}: {said}; those of {system.name}'s layers are accepted; build it with their rank"
            )
        ready += [(weight, tensors[key].to(weight) * factor) for key, (weight, factor) in wanted.items()]
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
