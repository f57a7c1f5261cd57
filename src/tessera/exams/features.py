"""Features: a small network that has learned to name what stands where in the world, and sees what else a picture is like."""

import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tessera.codecs.base import floats
from tessera.draws import generator, seed_of
from tessera.world import STANDARD, Kind, Scene, World

SHIPPED = Path(__file__).parent.parent / "weights" / "features-32px.safetensors"
PIXELS, DIM = 32, 64
LAYERS = ((32, 4, 2), (DIM, 3, 2), (DIM, 3, 1))  # channels, side and stride of the convolutions: 16, 8 and 8 cells a side
TOGETHER = 256  # pictures that pass at once

LOOKS = (*(kind for kind in STANDARD.kinds if kind is not Kind.DIGIT), *STANDARD.digits)
COLOURS, SIZES = STANDARD.colours, tuple(STANDARD.radius)
HEADS = (1 + len(LOOKS), len(COLOURS), len(SIZES))  # look 0 is nothing
NOTHING = -100  # what cross-entropy leaves out: nothing has no colour

Pictures = UInt8[Tensor, "batch 3 height wide"]
Labels = Int[Tensor, "batch element 3"]


class Named(NamedTuple):
    """How often, on unseen scenes, all is right: of the places where something stands, of all places, of whole pictures."""

    things: float
    places: float
    pictures: float


class Features(nn.Module):
    """Three convolutions, and a head that names look, colour and size of what stands at each of 3 x 3 places.

    `vectors` are the means of the last layer over the picture: one of 64 dimensions each, for distances between sets of pictures.
    `maps` are the layers themselves, for distances between two pictures. Pictures are uint8 [3, 32, 32], of any world.
    """

    def __init__(self) -> None:
        super().__init__()
        before = (3, *(width for width, _, _ in LAYERS))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(seen, width, side, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            for seen, (width, side, stride) in zip(before, LAYERS, strict=False)
        )
        self.head = nn.Sequential(nn.Linear(DIM, 2 * DIM), nn.ReLU(), nn.Linear(2 * DIM, sum(HEADS)))

    def forward(self, pixels: Float[Tensor, "batch 3 height wide"]) -> list[Float[Tensor, "batch ..."]]:
        """All layers, from pictures between -1 and 1."""
        found = []
        for layer in self.layers:
            pixels = layer(pixels)
            found.append(pixels)
        return found

    def named(self, pixels: Float[Tensor, "batch 3 height wide"]) -> tuple[Float[Tensor, "batch element ..."], ...]:
        """Logits of look, colour and size at each place, in reading order."""
        places = F.adaptive_avg_pool2d(self(pixels)[-1], STANDARD.grid).flatten(2).transpose(1, 2)
        return self.head(places).split(HEADS, -1)

    @torch.no_grad()
    def vectors(self, pictures: Pictures) -> Float[Tensor, "batch feature"]:
        """A row for each picture."""
        return torch.cat([self(part)[-1].mean((2, 3)) for part in self._parts(pictures)])

    @torch.no_grad()
    def maps(self, pictures: Pictures) -> list[Float[Tensor, "batch ..."]]:
        """A tensor for each layer, with a row for each picture."""
        return [torch.cat(layer) for layer in zip(*(self(part) for part in self._parts(pictures)), strict=True)]

    def _parts(self, pictures: Pictures) -> Iterator[Tensor]:
        like = next(self.parameters())
        return (floats(list(pictures[i : i + TOGETHER]), like, PIXELS) for i in range(0, len(pictures), TOGETHER))


@cache
def features() -> Features:
    """The network that comes with the library: every score that needs it is made with the same one."""
    network = Features()
    network.load_state_dict(load_file(SHIPPED))
    return network.float().eval().requires_grad_(False)


def about_features(path: Path = SHIPPED) -> dict[str, Any]:
    """How a file of features was made: steps, seed, world, commit, and what it names rightly."""
    with safe_open(path, "pt") as file:
        return {key: json.loads(value) for key, value in file.metadata().items()}


def save_features(network: Features, path: Path, facts: Mapping[str, Any]) -> None:
    """Weights in half precision, and how they were made."""
    tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in network.state_dict().items()}
    save_file(tensors, path, {key: json.dumps(value) for key, value in facts.items()})
    os.chmod(path, 0o644)  # as it comes with the library, everybody may read it


# ------------------------------------------------------------------ learning


def train_features(*, steps: int = 1200, batch: int = 64, seed: int = 0, pictures: int = 20_000, lr: float = 4e-3) -> Features:
    """Learned anew, on scenes to learn from of level standard; the same on the same machine with as many threads.

    Two minutes on one thread.
    """
    pixels, labels = labelled(World.standard(), pictures, "train")
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(seed))
        network = Features().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.01)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    rng = generator(seed)
    like = next(network.parameters())
    for _ in range(steps):
        chosen = torch.randint(0, pictures, (batch,), generator=rng)
        logits = network.named(floats(list(pixels[chosen]), like, PIXELS))
        losses = [F.cross_entropy(found.flatten(0, 1), labels[chosen, :, i].flatten()) for i, found in enumerate(logits)]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
        rates.step()
    return network.eval().requires_grad_(False)


def accuracy(network: Features, scenes: int = 2000, split: str = "test") -> Named:
    """What the network names rightly of scenes it has not seen: look, colour and size all three."""
    pixels, labels = labelled(World.standard(), scenes, split)
    with torch.no_grad():
        said = [network.named(part) for part in network._parts(pixels)]
    best = torch.stack([torch.cat([found[i] for found in said]).argmax(-1) for i in range(len(HEADS))], -1)
    right = ((best == labels) | (labels == NOTHING)).all(-1)
    things = labels[..., 0] > 0
    return Named(float(right[things].float().mean()), float(right.float().mean()), float(right.all(1).float().mean()))


def labelled(world: World, n: int, split: str) -> tuple[Tensor, Labels]:
    """Pictures of the first n scenes, and what stands at each place."""
    scenes = [world.scene(i, split) for i in range(n)]
    return torch.stack([world.picture(scene) for scene in scenes]), torch.stack([_labels(scene) for scene in scenes])


def _labels(scene: Scene) -> Int[Tensor, "element 3"]:
    found = torch.full((STANDARD.grid**2, 3), NOTHING)
    found[:, 0] = 0
    for thing in scene.things:
        look = 1 + LOOKS.index(thing.digit or thing.kind)
        found[thing.row * STANDARD.grid + thing.column] = torch.tensor([look, COLOURS.index(thing.colour), SIZES.index(thing.size)])
    return found
