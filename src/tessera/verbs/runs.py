"""The folder of a run: what was run, on what, and what happened."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tessera.system import Stage, System

WATCHING = ("checkpoint_seconds", "glances")  # settings that change nothing that is learned
PACKAGES = ("torch", "numpy", "safetensors", "tokenizers")


def fast_bfloat16(device: str) -> bool:
    """Whether this device multiplies bfloat16 faster than float32."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    return device == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def commit() -> str:
    """The commit of the source this runs from, "+" where files differ from it; "" where it is in no checkout of ours."""
    here = Path(__file__).parent.parent
    run = lambda *words: subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=True).stdout.strip()
    try:
        run("ls-files", "--error-unmatch", "--", __file__)
        return run("rev-parse", "--short=12", "HEAD") + ("+" if run("status", "--porcelain", "--", here) else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine() -> dict[str, Any]:
    """What this runs on."""
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {"platform": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count(), "accelerator": accelerator}


def versions() -> dict[str, str]:
    """The versions that decide numbers."""
    return {"python": sys.version.split()[0], **{name: importlib.metadata.version(name) for name in PACKAGES}}


@dataclass(frozen=True)
class Diary:
    """A run's folder; `write` adds a line to metrics.jsonl."""

    folder: Path

    def write(self, entry: Mapping[str, Any]) -> None:
        """One JSON object, one line."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def forget(self, step: int) -> None:
        """Drop what was written behind a step: the run goes on from there and writes it again."""
        file = self.folder / "metrics.jsonl"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        file.write_text("".join(line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step))


def start_diary(folder: Path, system: System, settings: Mapping[str, Any], *, resume: bool, notes: Mapping[str, Any] | None) -> Diary:
    """Open the folder of a run. A new run needs a folder without one; resuming needs the same recipe and settings."""
    file = folder / "run.json"
    about = {**getattr(system, "origin", {}), "settings": dict(settings), **(notes or {})}
    if resume:
        if not file.exists():
            raise ValueError(f"train: --resume in {folder}, where no run.json is; the folder of a run is accepted; check the path")
        known = json.loads(file.read_text())
        for facts in (about, known):
            facts["settings"] = {name: value for name, value in facts["settings"].items() if name not in WATCHING}
        changed = [key for key, value in json.loads(json.dumps(about)).items() if known.get(key) != value]
        if changed:
            was = {key: known.get(key) for key in changed}
            raise ValueError(
                f"train: --resume in {folder} with other {', '.join(changed)} than it began with; it began with {was}; use the same"
            )
    elif file.exists():
        raise ValueError(f"train: {folder} holds a run already; a new folder is accepted; add --resume to go on, or choose another")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"commit": commit(), "versions": versions(), "machine": machine()}
        file.write_text(json.dumps({"system": system.name, **about, **facts}, indent=1))
    return Diary(folder)


def training_facts(folder: Path, checkpoint: Path) -> dict[str, Any]:
    """How a run came to its checkpoint, for results: documents per stage, seconds, settings, data and machine."""
    about = json.loads((folder / "run.json").read_text())
    facts = json.loads((checkpoint / "facts.json").read_text())
    kept = {key: value for key, value in about.items() if key not in ("system", "recipe", "arguments")}
    read = facts["documents"]
    return {**kept, "documents": sum(read.values()), "stages": read, "seconds": round(facts["at"]["seconds"])}


@dataclass(frozen=True)
class Estimate:
    """What a stage will cost: seconds, and megabytes for weights, gradients and optimizer, and for what a step holds."""

    seconds: float
    weights_mb: float
    peak_mb: float

    @classmethod
    def of(cls, stage: Stage, step_seconds: float, trained: list[Tensor], device: str) -> "Estimate":
        """From the seconds of one forward and backward pass; peak memory is what the process has used so far."""
        import resource

        copies = 4 + bool(stage.average)  # weights, gradients, two moments, and the average
        weights = sum(p.numel() * p.element_size() for p in trained) * copies / 2**20
        if device.startswith("cuda"):
            peak = torch.cuda.max_memory_allocated() / 2**20
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform != "darwin" else 2**20)
        return cls(step_seconds * stage.documents / stage.batch, weights, peak)

    def __str__(self) -> str:
        minutes = f"{self.seconds / 60:.1f} min" if self.seconds >= 90 else f"{self.seconds:.0f} s"
        return f"about {minutes}, {self.weights_mb:.0f} MB for weights and optimizer, {self.peak_mb:.0f} MB in all so far"
