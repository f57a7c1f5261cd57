"""Folders under official names: weights of a fixture, a configuration of its sizes, and a tokenizer in which an id is a word."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor

from tessera.hub import load_published
from tessera.hub.filling import own
from tessera.hub.folder import open_folder
from tessera.hub.loading import blueprint
from tessera.hub.names import table


def write(folder: Path, weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> Path:
    """A folder with these tensors, each in memory of its own, and this configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    alone = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()}
    save_file(alone, folder / "model.safetensors")
    return folder


def write_words(
    folder: Path, size: int, *, special: Mapping[str, int], begin: str = "", end: str = "", pad: str = "", opens: bool = False
) -> None:
    """A tokenizer of so many words between spaces: number 7 is w07, unless it is special. `opens`: texts begin with what begins them."""
    named = {id: name for name, id in special.items()}
    words = [named.get(i, f"w{i:02}") for i in range(size)]
    unknown = next(word for word in words if word not in special)
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=unknown))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(list(special))
    if opens:
        made.post_processor = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, special[begin])])
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": begin, "eos_token": end} | ({"pad_token": pad} if pad else {})))


def said(ids: Sequence[int], special: Mapping[str, int] = MappingProxyType({})) -> str:
    """The text that has these ids."""
    named = {id: name for name, id in special.items()}
    return " ".join(named.get(id, f"w{id:02}") for id in ids)


def without(name: str):
    """A change: this tensor is missing."""
    return lambda tensors: tensors.pop(name) is None, rf"1 tensors are missing: .*{name}; nothing"


def with_more(name: str):
    """A change: this tensor is there, too."""
    return lambda tensors: tensors.update({name: torch.ones(3)}), rf"1 tensors have no place: .*{name}; nothing"


def misshapen(name: str):
    """A change: this tensor has one row more."""
    wider = lambda tensors: tensors.update({name: torch.cat([tensors[name], tensors[name][:1]])})
    return wider, rf"1 tensors have another shape: .*{name} "


def altered(file: Path, how: Callable[[dict[str, Tensor]], Any]) -> None:
    """A weights file with its tensors changed."""
    tensors = load_file(file)
    how(tensors)
    save_file(tensors, file)


def refuses(folder: Path, place: Path, change) -> None:
    """Fails unless the folder is refused, with the reason, once `change` has been made to the tensors in `place`."""
    alter, reason = change
    altered(place / "model.safetensors", alter)
    with pytest.raises(ValueError, match=reason):
        load_published(folder)


def lacking(folder: Path, there: Mapping[str, Tensor], *, seed: int = 5) -> dict[str, Tensor]:
    """Random numbers for every published tensor that the folder's model is made of and that is not `there`, of equal parts."""
    made = blueprint(open_folder(folder), {})
    mine, rng = own(made.system), torch.Generator().manual_seed(seed)
    wanted = {}
    for name, row in table(mine, made.names).items():
        parts = [part.name for part in row.parts if part.rows is None]
        sizes = (mine[name].shape[0] // max(len(parts), 1), *mine[name].shape[1:])
        wanted |= {part: 0.2 * torch.randn(sizes, generator=rng) + (mine[name].ndim == 1) for part in parts}
    return {name: tensor for name, tensor in wanted.items() if name not in there}
