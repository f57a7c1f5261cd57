"""Tensors in files: what they hold is known from their heads alone, and numbers are read straight to where they belong."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from tessera.hub.folder import PICKLES, Folder

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
HEAD = 8  # bytes that say how long the head is
ALONE = ("model.safetensors", "diffusion_pytorch_model.safetensors")  # of transformers and of diffusers
INDEX = tuple(f"{name}.index.json" for name in ALONE)
PICKLE = "pytorch_model.bin"


@runtime_checkable
class Stored(Protocol):
    """A tensor that lies somewhere. `at` is where; what lies side by side is best read so."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def at(self) -> tuple[str, int]: ...

    def into(self, target: Tensor, rows: Tensor | slice | None = None) -> None:
        """Its numbers, or those of some rows, in the precision of `target`, which has as many."""
        ...


@dataclass(frozen=True)
class InFile:
    """A tensor in a safetensors file, `begin` bytes behind its first."""

    file: Path
    begin: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def at(self) -> tuple[str, int]:
        """File and place."""
        return str(self.file), self.begin

    def into(self, target: Tensor, rows: Tensor | slice | None = None) -> None:
        """Straight into its memory where that is alike: a mapped file would stand in memory beside what is made of it."""
        alike = rows is None and target.dtype == self.dtype and target.is_contiguous() and target.device.type == "cpu"
        buffer = target if alike else torch.empty(self.shape, dtype=self.dtype)
        if buffer.numel():
            with self.file.open("rb", buffering=0) as file:
                file.seek(self.begin)
                unread = memoryview(buffer.detach().reshape(-1).view(torch.uint8).numpy().data)
                while len(unread):  # a system may give less than was asked for
                    if not (count := file.readinto(unread)):
                        raise ValueError(f"hub: {self.file} ends inside of a tensor; a whole file is accepted; fetch it again")
                    unread = unread[count:]
        if not alike:
            target.copy_((buffer if rows is None else buffer[rows]).view(target.shape))


@dataclass(frozen=True)
class InMemory:
    """A tensor that is there already."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Its axes."""
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Its precision."""
        return self.tensor.dtype

    @property
    def at(self) -> tuple[str, int]:
        """Anywhere."""
        return "", 0

    def into(self, target: Tensor, rows: Tensor | slice | None = None) -> None:
        """Copied."""
        target.copy_((self.tensor if rows is None else self.tensor[rows]).reshape(target.shape))


def head(file: Path) -> dict[str, InFile]:
    """What a safetensors file holds. Raises ValueError where it is none, or shorter than its head says."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(HEAD), "little")
            if length > size:
                raise ValueError(f"a head of {length} bytes in a file of {size}")
            said = json.loads(opened.read(length))
        said.pop("__metadata__", None)
        found = {name: _in_file(file, HEAD + length, about) for name, about in said.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise ValueError(f"hub: {file}: {fault!r}; a safetensors file is accepted; fetch it again") from fault
    end = HEAD + length
    for name, one in sorted(found.items(), key=lambda item: (item[1].begin, _bytes(item[1]))):
        if one.begin != end:
            raise ValueError(
                f"hub: {file}: {name} begins at byte {one.begin:,}; {end:,}, where the last one ends, is accepted; fetch it again"
            )
        end += _bytes(one)
    if end != size:
        raise ValueError(f"hub: {file} has {size:,} bytes where its head speaks of {end:,}; a whole file is accepted; fetch it again")
    return found


def _in_file(file: Path, begin: int, about: Mapping[str, Any]) -> InFile:
    first, last = about["data_offsets"]
    if about["dtype"] not in DTYPES:
        raise ValueError(f"a tensor of {about['dtype']}, where {', '.join(DTYPES)} can be read")
    one = InFile(file, begin + first, tuple(about["shape"]), DTYPES[about["dtype"]])
    if _bytes(one) != last - first:
        raise ValueError(f"a tensor of {one.shape} in {last - first} bytes")
    return one


def _bytes(one: InFile) -> int:
    return torch.Size(one.shape).numel() * one.dtype.itemsize


def stored(folder: Path, *, trust_pickle: bool = False) -> dict[str, Stored]:
    """The tensors of a folder: of one file, or else of those that its index names. Nothing but heads is read.

    Raises ValueError where there are none, where the index and the files disagree, and for pickles that nobody trusts.
    """
    for index, alone in zip(INDEX, ALONE, strict=True):
        if (folder / alone).is_file():
            return dict(head(folder / alone))
        if (folder / index).is_file():
            return _indexed(folder, folder / index)
    pickles = _pickles(folder)
    if not pickles:
        raise ValueError(
            f"hub: {folder} holds no {ALONE[0]} and no {INDEX[0]}; a folder with one of them is accepted; check the path"
            + ("" if trust_pickle else " (pickles are not fetched from the hub without --trust-pickle)")
        )
    if not trust_pickle:
        raise ValueError(
            f"hub: {folder} holds its weights as pickles ({', '.join(file.name for file in pickles)}), which may run code when they are "
            "opened; safetensors are accepted; convert them, or say --trust-pickle if you trust who made them"
        )
    found: dict[str, Stored] = {}
    for file in pickles:
        inside = _unpickled(file)
        if twice := sorted(found.keys() & inside.keys()):
            raise ValueError(
                f"hub: {file} holds {', '.join(twice)}, which another pickle holds too; one of each is accepted; take one away"
            )
        found |= {name: InMemory(tensor) for name, tensor in inside.items()}
    return found


def _pickles(folder: Path) -> list[Path]:
    """The weights among a folder's pickles: trainings keep optimizers and settings beside them."""
    if (folder / PICKLE).is_file():
        return [folder / PICKLE]
    shards = sorted(folder.glob(f"{PICKLE.removesuffix('.bin')}-*.bin"))
    return shards or sorted(file for pattern in PICKLES for file in folder.glob(pattern))


def tensors(folder: Folder, prefix: str = "") -> dict[str, Stored]:
    """The tensors of a model, a prefix in front of their names where it belongs to a larger one; none where nobody looks at them."""
    if folder.pipeline or not folder.numbers:
        return {}
    front = f"{prefix}." if prefix else ""
    return {front + name: one for name, one in stored(folder.path, trust_pickle=folder.trusts).items()}


def _indexed(folder: Path, index: Path) -> dict[str, Stored]:
    try:
        said: dict[str, str] = json.loads(index.read_text())["weight_map"]
        if not isinstance(said, dict) or not all(isinstance(file, str) for file in said.values()):
            raise TypeError("weight_map names no file for each tensor")
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise ValueError(f"hub: {index}: {fault!r}; an index with a weight_map is accepted; fetch it again") from fault
    files = sorted(set(said.values()))
    there = [file for file in files if (folder / file).is_file() and "/" not in file]
    if there != files:
        lacking = ", ".join(file for file in files if file not in there)
        raise ValueError(f"hub: {folder} lacks {lacking}, which {index.name} names; all shards are needed; fetch them")
    found = {(name, file): one for file in files for name, one in head(folder / file).items()}
    if found.keys() != said.items():
        wrong = sorted({name for name, _ in found.keys() ^ said.items()})
        raise ValueError(
            f"hub: {index} and its files disagree about {', '.join(wrong)}; an index of these files is accepted; fetch both again"
        )
    return {name: one for (name, _), one in found.items()}


def _unpickled(file: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except Exception as fault:  # zip, pickle and torch each have their own
        raise ValueError(f"hub: {file}: {fault}; a pickle of tensors by name is accepted; fetch it again, or convert it") from fault
    while isinstance(found, dict) and set(found) & {"model", "state_dict"}:  # checkpoints of a training keep more than weights
        found = found.get("state_dict", found.get("model"))
    if not isinstance(found, dict) or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise ValueError(f"hub: {file} holds {type(found).__name__}; a pickle of tensors by name is accepted; convert it")
    return found
