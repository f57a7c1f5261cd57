"""Parts: what a stage trains apart from its system is trained once, whatever recipe asks for it, and kept."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from tessera.stages import Learner, Stage
from tessera.system import System
from tessera.verbs.packing import pack
from tessera.verbs.runs import plain
from tessera.verbs.weights import PARTS as SHIPPED
from tessera.verbs.whole import whole

PLAIN = (bool, int, float, str)


def cache() -> Path:
    """Where parts are kept that did not come with the library: $TESSERA_CACHE, or .cache/tessera at home."""
    return Path(os.environ.get("TESSERA_CACHE", Path.home() / ".cache" / "tessera")) / "parts"


def is_part(stage: Stage) -> bool:
    """Whether a stage trains a part that others may take: not its system, nor another system, which its trunk goes through first."""
    return stage.learner is not None and not isinstance(stage.learner, System)


def key(stage: Stage, before: Sequence[Stage], data: str) -> str:
    """A short name for all that decides what a part becomes: how it is built, its stage's numbers, the data's name.

    So do the stages `before` it that trained something inside it. Seeds, precision and device make another of the same.
    """
    assert stage.learner is not None
    digest = hashlib.sha256(json.dumps([plain(stage), data], sort_keys=True).encode())
    for name, module in stage.learner.named_modules():
        digest.update(f"{name}:{type(module).__qualname__}:{_built(module)}".encode())
    for name, tensor in sorted(stage.learner.state_dict().items()):
        digest.update(f"{name}:{tuple(tensor.shape)}".encode())
    inside = {module for _, module in stage.learner.named_modules()}
    for i, earlier in enumerate(before):
        if earlier.learner is not None and any(module in inside for top in earlier.train for module in top.modules()):
            digest.update(key(earlier, before[:i], data).encode())
    return digest.hexdigest()[:12]


def _built(module: nn.Module) -> list[tuple[str, Any]]:
    """The plain values that a module was built with, and tables of whole numbers."""
    values = [(name, value) for name, value in vars(module).items() if isinstance(value, PLAIN) and name != "training"]
    tables = [(name, table.tolist()) for name, table in module.named_buffers(recurse=False) if not table.is_floating_point()]
    return sorted(values) + sorted(tables)


@dataclass(frozen=True)
class Part:
    """A trained part in a file: its name, its tensors, and what it cost (documents, seconds), when and on what."""

    path: Path

    @property
    def name(self) -> str:
        """The stage, and the key."""
        return self.path.stem

    @property
    def facts(self) -> dict[str, Any]:
        """How it was trained."""
        with safe_open(self.path, "pt") as file:
            return json.loads(file.metadata()["facts"])

    def put_into(self, learner: Learner) -> None:
        """Fill the learner; its own precision stays."""
        learner.load_state_dict(load_file(self.path))


@dataclass(frozen=True)
class Parts:
    """All parts there are for one set of data: those that came with the library, and those that were kept since.

    `data` names what parts are trained on (`World.hash`); what is trained now is kept in `folder`.
    """

    data: str
    folder: Path = field(default_factory=cache)

    def name(self, stage: Stage, before: Sequence[Stage] = ()) -> str:
        """What the part that this stage trains, behind those `before` it, is called."""
        return f"{stage.name}-{key(stage, before, self.data)}"

    def find(self, stage: Stage, before: Sequence[Stage] = ()) -> Part | None:
        """The part that this stage would train, if somebody has."""
        file = f"{self.name(stage, before)}.safetensors"
        return next((Part(folder / file) for folder in (self.folder, SHIPPED, cache()) if (folder / file).is_file()), None)

    def keep(self, stage: Stage, before: Sequence[Stage], facts: Mapping[str, Any]) -> Part:
        """Store what the stage has trained, in 16 bits a number, for whoever asks next."""
        assert stage.learner is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        final = self.folder / f"{self.name(stage, before)}.safetensors"
        tensors = pack({name: tensor.cpu().contiguous() for name, tensor in stage.learner.state_dict().items()}, 16)
        about = {"facts": json.dumps({**plain(stage), "data": self.data, **facts})}
        whole(final, lambda file: save_file(tensors, file, about))
        return Part(final)
