"""Checkpoints: the whole state of a training run, of which the last few stay."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from tessera.system import System
from tessera.verbs.weights import restore, save


def save_state(
    folder: Path, number: int, system: System, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], *, keep: int = 2
) -> Path:
    """One checkpoint of a run: weights, all other tensors, and facts. It appears whole or not at all; the last `keep` stay."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    final = checkpoints / f"{number:015d}"
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


def load_state(checkpoint: Path, system: System) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Fill the system, and return the other tensors and the facts of a checkpoint."""
    restore(system, checkpoint / "weights.safetensors")
    return load_file(checkpoint / "state.safetensors"), json.loads((checkpoint / "facts.json").read_text())
