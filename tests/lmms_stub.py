"""What stands in the place of lmms-eval where it is not installed: what of it a model of ours touches, and as strict.

Written from lmms-eval 0.7.3: `api/model.py` (which methods are abstract, what a model is made with and holds), `api/instance.py`
(what a request gives), `models/registry_v2.py` (what a manifest is, and that a class must say of itself what it was registered as).
"""

import abc
import importlib
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any


class lmms(abc.ABC):
    """A model, by the methods that its subclasses must have."""

    is_simple: bool = True

    def __init__(self) -> None:
        self.task_dict: dict = {}
        self.cache_hook: Any = None
        self._rank, self._world_size = 0, 1

    @abc.abstractmethod
    def loglikelihood(self, requests): ...

    @abc.abstractmethod
    def generate_until(self, requests): ...

    @abc.abstractmethod
    def generate_until_multi_round(self, requests): ...

    @classmethod
    def create_from_arg_string(cls, arg_string, additional_config=None):
        """A model from k=v,k=v, numbers read as such, and from what else the harness sets (batch_size, device)."""
        number = lambda text: int(text) if text.isdecimal() else text
        words = dict(pair.split("=", 1) for pair in arg_string.split(",") if pair)
        more = {name: value for name, value in (additional_config or {}).items() if value is not None}
        return cls(**{name: number(text) for name, text in words.items()}, **more)


@dataclass
class Instance:
    """A request."""

    request_type: str
    arguments: tuple
    idx: int
    metadata: dict = field(default_factory=dict)

    @property
    def args(self) -> tuple:
        return self.arguments


@dataclass(frozen=True)
class ModelManifest:
    """Where the classes of a model are."""

    model_id: str
    simple_class_path: str | None = None
    chat_class_path: str | None = None
    aliases: tuple[str, ...] = ()


class ModelRegistryV2:
    """Models by their names."""

    def __init__(self) -> None:
        self.manifests: dict[str, ModelManifest] = {}

    def register_manifest(self, manifest: ModelManifest) -> None:
        self.manifests[manifest.model_id] = manifest

    def get_model_class(self, model_name: str, force_simple: bool = False) -> type:
        """The class that tasks of messages use, or those of one context; one that says otherwise of itself is refused."""
        manifest = self.manifests[model_name]
        path = manifest.simple_class_path if force_simple else manifest.chat_class_path
        module, _, name = path.rpartition(".")
        found = getattr(importlib.import_module(module), name)
        if not issubclass(found, lmms) or found.is_simple is not force_simple:
            raise TypeError(f"{path}: no subclass of lmms, or registered as what it is not")
        return found


def install(monkeypatch) -> None:
    """Put the stub where the harness would be, for one test."""
    parts = {"api.model": (lmms,), "api.instance": (Instance,), "models.registry_v2": (ModelManifest, ModelRegistryV2)}
    for name in ("lmms_eval", "lmms_eval.api", "lmms_eval.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, things in parts.items():
        module = ModuleType(f"lmms_eval.{name}")
        for thing in things:
            setattr(module, thing.__name__, thing)
        monkeypatch.setitem(sys.modules, module.__name__, module)
