"""Published checkpoints as systems: what a folder's config.json describes is built without weights, and filled with its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tessera.hub.blueprint import Blueprint
from tessera.hub.chameleon import chameleon
from tessera.hub.emu3 import emu3
from tessera.hub.filling import fill
from tessera.hub.folder import Folder, open_folder
from tessera.hub.janus import janus
from tessera.hub.language import USUAL
from tessera.hub.llama import llama
from tessera.hub.llava import llava
from tessera.hub.tensors import Stored, stored
from tessera.system import System
from tessera.weightless import weightless

KINDS: Mapping[str, Callable[[Folder, Mapping[str, Stored]], Blueprint]] = {
    **dict.fromkeys(USUAL, llama),
    "chameleon": chameleon,
    "emu3": emu3,
    "janus": janus,
    "llava": llava,
    "multi_modality": janus,
}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_published(path: str | Path, *, precision: str = "", device: str = "cpu", trust_pickle: bool = False) -> System:
    """The system that a published folder, or a model of the hub (owner/name), holds.

    `precision` (float32, bfloat16, float16) is by default that of the file. Numbers are read straight to their places, one after
    another. Raises ValueError, and loads nothing, where a tensor is missing, is of another shape, or has no place, where a file is
    cut off, and for pickles unless `trust_pickle`.
    """
    if precision and precision not in PRECISIONS:
        raise ValueError(f"hub: precision {precision!r}; {', '.join(PRECISIONS)} are accepted; choose one, or leave it out")
    folder = open_folder(path, trust_pickle=trust_pickle)
    weights = stored(folder.path, trust_pickle=trust_pickle)
    made = blueprint(folder, weights)
    fill(made.system, made.names, weights, unread=made.unread, dtype=PRECISIONS.get(precision), device=device)
    made.ready()
    made.system.manners = made.manners
    made.system.origin = {"recipe": "tessera.hub:load_published", "arguments": arguments(path, precision, trust_pickle)}
    return made.system.to(device).eval()


def arguments(path: str | Path, precision: str, trust_pickle: bool) -> dict[str, Any]:
    """How to load the same again, from wherever."""
    place = str(Path(path).resolve()) if Path(path).is_dir() else str(path)
    return {"path": place, "precision": precision, "trust_pickle": trust_pickle}


def blueprint(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """The system that a folder describes, without weights. Raises ValueError for kinds of models that are not known here."""
    kind = folder.config.get("model_type", "")
    if kind not in KINDS:
        raise ValueError(f"hub: {folder.path} is of model_type {kind!r}; there are {', '.join(KINDS)}; choose a model of these")
    with weightless():
        return KINDS[kind](folder, weights)
