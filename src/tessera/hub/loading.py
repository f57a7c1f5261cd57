"""Published checkpoints as systems: what a folder's config.json describes is built without weights, and filled with its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tessera.hub.blueprint import Blueprint
from tessera.hub.chameleon import chameleon
from tessera.hub.d_dit import d_dit
from tessera.hub.emu3 import emu3
from tessera.hub.filling import fill, own
from tessera.hub.finetuning import adapt, finetune
from tessera.hub.folder import Folder, open_folder
from tessera.hub.janus import janus
from tessera.hub.janusflow import janusflow
from tessera.hub.language import USUAL
from tessera.hub.llama import llama
from tessera.hub.llava import llava, llava_next
from tessera.hub.metamorph import metamorph
from tessera.hub.monoformer import monoformer
from tessera.hub.names import table
from tessera.hub.omnimamba import omnimamba
from tessera.hub.orthus import orthus
from tessera.hub.show_o import show_o
from tessera.hub.tensors import Stored, tensors
from tessera.system import System
from tessera.weightless import allot, weightless

KINDS: Mapping[str, Callable[[Folder, Mapping[str, Stored]], Blueprint]] = {
    **dict.fromkeys(USUAL, llama),
    "DualDiffSD3Pipeline": d_dit,
    "MonoFormerForCausalLM": monoformer,
    "chameleon": chameleon,
    "emu3": emu3,
    "janus": janus,
    "janusflow": janusflow,
    "llava": llava,
    "llava_next": llava_next,
    "metamorph_llama": metamorph,
    "multi_modality": janus,
    "omnimamba": omnimamba,
    "OrthusForConditionalGeneration": orthus,
    "Showo": show_o,
}
ORIGIN = "tessera.hub:load_published"  # the recipe of whatever is loaded here
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_published(path: str | Path, *, precision: str = "", device: str = "cpu", trust_pickle: bool = False, lora: int = 0) -> System:
    """The system that a published folder, or a model of the hub (owner/name), holds.

    `precision` (float32, bfloat16, float16) is by default that of the file. Numbers are read straight to their places, one after
    another. Its one stage is `finetune`; `lora` is the rank of adapters that this trains beside the trunk's layers, in place of all.
    Raises ValueError, and loads nothing, where a tensor is missing, is of another shape, or has no place, where a file is cut off, and for
    pickles unless `trust_pickle`.
    """
    check(precision, lora, device)
    folder = open_folder(path, trust_pickle=trust_pickle)
    weights = tensors(folder)
    made = blueprint(folder, weights)
    fill(made.system, made.names, {**weights, **made.beside}, unread=made.unread, dtype=PRECISIONS.get(precision), device=device)
    made.ready()
    system = prepared(made, lora)
    system.origin = {"recipe": ORIGIN, "arguments": arguments(path, precision, trust_pickle, lora)}
    return system.to(device).eval()


def outline_published(path: str | Path, *, precision: str = "", lora: int = 0) -> System:
    """The same without a number, on `meta`: of the folder only what describes the model is looked at, and fetched.

    `precision` is by default the one that its config.json states.
    """
    check(precision, lora)
    folder = open_folder(path, numbers=False)
    made = blueprint(folder, {})
    stated = precision or folder.config.get("dtype") or folder.config.get("torch_dtype") or "float32"
    allot(made.system, PRECISIONS.get(stated, torch.float32), "meta")
    return prepared(made, lora)


def check(precision: str, lora: int, device: str = "cpu") -> None:
    """Raises ValueError for settings that nobody has."""
    if precision and precision not in PRECISIONS:
        raise ValueError(f"hub: precision {precision!r}; {', '.join(PRECISIONS)} are accepted; choose one, or leave it out")
    if lora < 0:
        raise ValueError(f"hub: adapters of rank {lora}; ranks from 1 on, and 0 for none, are accepted; choose one")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"hub: device {device!r}, which this machine has not; cpu is accepted; choose it")


def prepared(made: Blueprint, lora: int) -> System:
    """The system with its manners and its stage, and adapters where it has a rank for them."""
    system = made.system
    adapters = adapt(system, table(own(system), made.names), made.within, rank=lora) if lora else []
    system.manners, system.stages = made.manners, (finetune(system, adapters, made.tasks),)
    return system


def arguments(path: str | Path, precision: str, trust_pickle: bool, lora: int) -> dict[str, Any]:
    """How to load the same again, from wherever."""
    place = str(Path(path).resolve()) if Path(path).is_dir() else str(path)
    return {"path": place, "precision": precision, "trust_pickle": trust_pickle, "lora": lora}


def blueprint(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """The system that a folder describes, without weights. Raises ValueError for kinds of models that are not known here."""
    kind = kind_of(folder)
    if kind not in KINDS:
        raise ValueError(f"hub: {folder.path} is of model_type {kind!r}; there are {', '.join(KINDS)}; choose a model of these")
    if "quantization_config" in folder.config:
        raise ValueError(
            f"hub: {folder.path} holds quantized weights (quantization_config in config.json); plain ones are accepted; choose the model "
            "that they were made of"
        )
    try:
        with weightless():
            return KINDS[kind](folder, weights)
    except (TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError) as fault:  # sizes that are words, or 0, or not there
        raise ValueError(
            f"hub: {folder.path}: no model can be built of what its configuration says ({type(fault).__name__}: {fault}); one that its "
            "makers wrote is accepted; fetch it again"
        ) from fault


def kind_of(folder: Folder) -> str:
    """What kind of model a folder describes: its class, where that is known here, or its model_type.

    JanusFlow has Janus' own, and parts that Janus has not.
    """
    if "vision_gen_enc_config" in folder.config:
        return "janusflow"
    classes = (folder.config.get("_class_name"), *(folder.config.get("architectures") or ()))
    return next((name for name in classes if name in KINDS), str(folder.config.get("model_type", "")))
