"""Folders of published models: one on this machine, or one that the hub gives."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

DESCRIBED = ("*.json", "*.jinja", "tokenizer.model")
NUMBERS = ("*.safetensors",)
PICKLES = ("*.bin", "*.pt", "*.pth")


@dataclass(frozen=True)
class Folder:
    """A published model: where it lies, and what its config.json says; whether the hub gave it, and whether its pickles are trusted."""

    path: Path
    config: Mapping[str, Any]
    fetched: bool = False
    trusts: bool = False

    def file(self, name: str) -> Path:
        """A file that must be there. Raises ValueError where it is not."""
        found = self.path / name
        if not found.is_file():
            raise ValueError(f"hub: {self.path} holds no {name}, which is needed; a whole folder is accepted; fetch it, or check the path")
        return found

    def read(self, name: str) -> dict[str, Any]:
        """What a JSON file says; nothing where there is none."""
        return _json(self.path / name) if (self.path / name).is_file() else {}

    def beside(self, id: str, *, numbers: bool) -> "Folder":
        """The folder of another model that this one needs, with its `numbers` or without; its config.json may be missing.

        It lies inside this one or beside it, under the last part of its id; or the hub gives it, where it gave this one. Raises
        ValueError where it is nowhere.
        """
        name = id.rpartition("/")[2]
        place = next((place for place in (self.path / name, self.path.parent / name) if place.is_dir()), None)
        if place is None and self.fetched:
            place = _fetched(id, patterns(numbers, self.trusts))
        if place is None:
            raise ValueError(f"hub: {self.path} needs {id}; a folder {name} inside or beside it is accepted; fetch it there")
        made = Folder(place, {}, self.fetched, self.trusts)
        return replace(made, config=made.read("config.json"))


@dataclass(frozen=True)
class Settings:
    """A part of a config.json, and what it says where it says nothing: published files leave out what is usual."""

    said: Mapping[str, Any]
    usual: Mapping[str, Any] = field(default_factory=dict)
    where: str = "config.json"

    def __getitem__(self, name: str) -> Any:
        found = self.said.get(name)
        found = self.usual.get(name) if found is None else found
        if found is None and name not in self.usual:
            raise ValueError(f"hub: {self.where} says nothing of {name}; a whole configuration is accepted; fetch it again")
        return found

    def part(self, name: str, usual: Mapping[str, Any]) -> "Settings":
        """What stands under a name, all usual where nothing does."""
        return Settings(self.said.get(name) or {}, usual, f"{self.where}, {name},")

    def refuse(self, accepted: Mapping[str, Any]) -> None:
        """Raises ValueError where a setting is another than the one that is built here; what is not said is taken as such."""
        for name, value in accepted.items():
            found = self.said.get(name)
            if found is not None and found != value:
                raise ValueError(f"hub: {self.where} asks for {name} {found!r}; {value!r} is accepted; load it with another library")


def open_folder(path: str | Path, *, trust_pickle: bool = False, numbers: bool = True) -> Folder:
    """The folder of this path, or the one that the hub keeps under this id, fetched where it is not here yet: all of it, or no `numbers`.

    Raises ValueError where there is neither, and where it has no config.json.
    """
    place = Path(path)
    fetched = not place.is_dir()
    if fetched:
        place = _fetched(str(path), patterns(numbers, trust_pickle))
    folder = Folder(place, {}, fetched, trust_pickle)
    return replace(folder, config=_json(folder.file("config.json")))


def patterns(numbers: bool, trust_pickle: bool) -> tuple[str, ...]:
    """Which files of a model are fetched."""
    return (*DESCRIBED, *(NUMBERS if numbers else ()), *(PICKLES if trust_pickle else ()))


def _fetched(id: str, patterns: Sequence[str]) -> Path:
    owner, _, name = id.partition("/")
    if not owner or not name or "/" in name or owner in (".", "..", "~"):
        raise ValueError(f"hub: {id} is no folder; a folder, or an id owner/name is accepted; check the path")
    try:
        import huggingface_hub
    except ImportError as fault:
        raise ValueError(
            f"hub: {id} is no folder here, and to fetch it huggingface_hub is missing; install it: pip install 'tessera-multimodal[hub]'"
        ) from fault
    try:
        return Path(huggingface_hub.snapshot_download(id, allow_patterns=list(patterns)))
    except Exception as fault:  # whatever goes wrong on the way has its own class: offline, refused, unknown
        raise ValueError(
            f"hub: {id} is no folder here, and could not be fetched ({type(fault).__name__}: {fault}); a folder, or the id of a model "
            "that can be reached is accepted; check name, access and network"
        ) from fault


def _json(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_text())
    except ValueError as fault:
        raise ValueError(f"hub: {file}: {fault}; JSON is accepted; fetch it again") from fault
    if not isinstance(said, dict):
        raise ValueError(f"hub: {file} holds {type(said).__name__}; an object is accepted; fetch it again")
    return said
