"""What tests of models that denoise share: latents painted small, noise that fixtures keep, and what may be wrong about a tensor."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from hub.official import said
from hub.oracle import redrawn
from torch import Tensor

from tessera.codecs.patches import patchify, unpatchify
from tessera.document import Text
from tessera.paths import DDIM


def latents(*, stride: int, channels: int = 4, depth: int = 1, **changes: Any) -> Any:
    """diffusers' AutoencoderKL made small, its weights drawn anew."""
    from diffusers import AutoencoderKL

    levels = stride.bit_length()
    kinds = {"down_block_types": ["DownEncoderBlock2D"] * levels, "up_block_types": ["UpDecoderBlock2D"] * levels}
    widths = {"block_out_channels": [32, *[64] * (levels - 1)], "latent_channels": channels, "layers_per_block": depth}
    return redrawn(AutoencoderKL(**kinds, **widths, **changes))


class FromNoise:
    """A solver that begins with a fixture's noise, and adds that of its steps."""

    passes, closes = 1, False

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


def text(*ids: int, learn: bool = False) -> Text:
    """A text of these ids."""
    return Text(said(ids), learn=learn)


@torch.no_grad()
def painted(theirs: Any, clean: Tensor, patch: int, columns: int) -> Tensor:
    """The picture that diffusers' class paints of our clean elements."""
    inside = theirs.config
    found = cells(clean, patch, columns)[None] / inside.scaling_factor + (inside.shift_factor or 0.0)
    return ((theirs.decode(found).sample[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


CHANGES: Mapping[str, Callable[[dict[str, Tensor], str], Any]] = {
    "missing": lambda tensors, name: tensors.pop(name),
    "have no place": lambda tensors, name: tensors.update({f"{name}.more": torch.ones(2)}),
    "have another shape": lambda tensors, name: tensors.update({name: tensors[name][:-1].clone()}),
}
"""What may be wrong about one tensor of a file, by what is said of it."""
