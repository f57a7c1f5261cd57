"""Folders as official code publishes them, of what fixtures keep: their weights, a configuration of their sizes, a tokenizer."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hub.oracle import redrawn
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor

from tessera.codecs.patches import patchify, unpatchify
from tessera.document import Text
from tessera.paths import DDIM


def words(*ids: int) -> str:
    """A text that the tokenizer of `write_words` reads as these ids."""
    return " ".join(f"w{id}" for id in ids)


def write_words(folder: Path, size: int, *, special: Mapping[str, int], begin: str, end: str) -> None:
    """A tokenizer of `size` words, one for each id; some ids are special tokens, one of which stands in front of every text."""
    called = {id: name for name, id in special.items()}
    vocabulary = {called.get(id, f"w{id}"): id for id in range(size)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="w3"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(list(special))
    made.post_processor = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, special[begin])])
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": begin, "eos_token": end, "pad_token": "<pad>"}))


def write_weights(folder: Path, weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Weights and configuration."""
    folder.mkdir(exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def latents(*, stride: int, channels: int = 4, depth: int = 1, **changes: Any) -> Any:
    """diffusers' AutoencoderKL made small, its weights drawn anew."""
    from diffusers import AutoencoderKL

    levels = stride.bit_length()
    kinds = {"down_block_types": ["DownEncoderBlock2D"] * levels, "up_block_types": ["UpDecoderBlock2D"] * levels}
    widths = {"block_out_channels": [32, *[64] * (levels - 1)], "latent_channels": channels, "layers_per_block": depth}
    return redrawn(AutoencoderKL(**kinds, **widths, **changes))


class FromNoise:
    """A solver that begins with a fixture's noise, and adds that of its steps."""

    passes = 1

    def __init__(self, begin: Tensor, fresh: Sequence[Tensor] = (), eta: float = 0.0):
        self.begin, self.fresh, self.adds, self.inner = begin, fresh, bool(len(fresh)), DDIM(eta=eta)

    def __call__(self, path, x, grid, fresh) -> Iterator:
        steps = iter(self.fresh)
        return self.inner(path, self.begin.to(x), grid, lambda: next(steps).to(x))


def elements(cells: Tensor, patch: int) -> Tensor:
    """Our clean elements of one picture's latents."""
    return patchify(cells[None], patch)[0]


def cells(elements: Tensor, patch: int, columns: int) -> Tensor:
    """The inverse of `elements`."""
    return unpatchify(elements[None], patch, columns)[0]


def said(*ids: int, learn: bool = False) -> Text:
    """A text of these ids."""
    return Text(words(*ids), learn=learn)


@torch.no_grad()
def painted(theirs: Any, clean: Tensor, patch: int, columns: int) -> Tensor:
    """The picture that diffusers' class paints of our clean elements."""
    inside = theirs.config
    found = cells(clean, patch, columns)[None] / inside.scaling_factor + (inside.shift_factor or 0.0)
    return ((theirs.decode(found).sample[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def change(file: Path, how: Callable[[dict[str, Tensor]], Any]) -> None:
    """A weights file with its tensors changed."""
    tensors = load_file(file)
    how(tensors)
    save_file(tensors, file)


CHANGES: Mapping[str, Callable[[dict[str, Tensor], str], Any]] = {
    "missing": lambda tensors, name: tensors.pop(name),
    "have no place": lambda tensors, name: tensors.update({f"{name}.more": torch.ones(2)}),
    "have another shape": lambda tensors, name: tensors.update({name: tensors[name][:-1].clone()}),
}
"""What may be wrong about one tensor of a file, by what is said of it."""
