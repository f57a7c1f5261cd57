"""Folders of published models: one on this machine, or one that the hub gives."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

DESCRIBED = ("*.json", "*.jinja", "tokenizer.model")
NUMBERS = ("*.safetensors",)
SAID = ("config.json", "model_index.json")  # of a model, and of a pipeline of diffusers, whose models stand in folders inside
PICKLES = ("*.bin", "*.pt", "*.pth")


@dataclass(frozen=True)
class Folder:
    """A published model: where it lies, and what its config.json says.

    `fetched` are the patterns of the files that the hub gave, where it comes from there; `trusts` says whether its pickles are opened,
    `numbers` whether its tensors are looked at at all.
    """

    path: Path
    config: Mapping[str, Any]
    fetched: Sequence[str] = ()
    trusts: bool = False
    numbers: bool = True

    @property
    def said(self) -> str:
        """The file that its configuration is from."""
        return next((name for name in SAID if (self.path / name).is_file()), SAID[0])

    @property
    def pipeline(self) -> bool:
        """Whether all its tensors are those of models in folders inside."""
        return self.said == SAID[1]

    def file(self, name: str) -> Path:
        """A file that must be there. Raises ValueError where it is not."""
        found = self.path / name
        if not found.is_file():
            raise ValueError(f"hub: {self.path} holds no {name}, which is needed; a whole folder is accepted; fetch it, or check the path")
        return found

    def read(self, name: str) -> dict[str, Any]:
        """What a JSON file says; nothing where there is none."""
        return _json(self.path / name) if (self.path / name).is_file() else {}

    def apart(self, published: str, *, within: str = "", numbers: bool = True) -> "Folder":
        """A model that this one needs and that is published apart, as owner/name or owner/name/folder, with its `numbers` or without.

        It is the folder `within` this one (called as it was published, if nothing else is said), or one beside this one that is called as
        it was published, or else, where this one came from the hub, what the hub has under that id. Its config.json may be missing.
        Raises ValueError where there is none.
        """
        owner, called, *inside = published.split("/")
        name, beside = within or called, self.path.resolve().parent / called
        places = [place for place in (self.path / name, beside.joinpath(*inside), beside) if place.is_dir()]
        place = next((place for place in places if (place / "config.json").is_file()), places[0] if places else None)
        if place is None and self.fetched:
            patterns = self.fetched if numbers else DESCRIBED
            place = _fetched(f"{owner}/{called}", ["/".join([*inside, pattern]) for pattern in patterns]).joinpath(*inside)
        if place is None:
            raise ValueError(
                f"hub: {self.path} holds no folder {name}, and beside it is none called {'/'.join([called, *inside])}; {published} in one "
                "of both places is accepted; fetch it"
            )
        made = Folder(place, {}, fetched=self.fetched, trusts=self.trusts, numbers=self.numbers and numbers)
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


def bare(published: str) -> str:
    """What a published model is called without its owner."""
    return published.split("/")[1]


def open_folder(path: str | Path, *, trust_pickle: bool = False, numbers: bool = True) -> Folder:
    """The folder of this path, or the one that the hub keeps under this id, fetched where it is not here yet: all of it, or no `numbers`.

    Raises ValueError where there is neither, and where it has no config.json, and no model_index.json in its stead.
    """
    place, patterns = Path(path), ()
    if not place.is_dir():
        patterns = (*DESCRIBED, *(NUMBERS if numbers else ()), *(PICKLES if trust_pickle else ()))
        place = _fetched(str(path), patterns)
    folder = Folder(place, {}, fetched=patterns, trusts=trust_pickle, numbers=numbers)
    return replace(folder, config=_json(folder.file(folder.said)))


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
    except (ValueError, RecursionError) as fault:
        raise ValueError(f"hub: {file}: {fault}; JSON is accepted; fetch it again") from fault
    if not isinstance(said, dict):
        raise ValueError(f"hub: {file} holds {type(said).__name__}; an object is accepted; fetch it again")
    return said
