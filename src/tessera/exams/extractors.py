"""Extractors: networks that turn pictures into features, for distances between sets of pictures."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from pickle import UnpicklingError

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from tessera.exams.features import DIM, PIXELS, features

INCEPTION = {"inception": 2048, "inception-768": 768, "inception-192": 192, "inception-64": 64}  # features of a layer, the last first
NAMES = ("world", *INCEPTION)
TOGETHER = 32  # pictures that pass Inception at once, each enlarged to 299 x 299

Pictures = UInt8[Tensor, "batch 3 height wide"]
Vectors = Float[Tensor, "batch feature"]


@dataclass(frozen=True, eq=False)
class Extractor:
    """A network that gives `dim` features of each picture, a row for each on the CPU.

    `sees` is the side in pixels of the pictures that it accepts; None where it takes any, as long as all are of one size.
    `package` is what it comes from, with its version.
    """

    name: str
    dim: int
    sees: int | None
    network: nn.Module
    vectors: Callable[[Pictures], Vectors]
    package: str = ""


def extractor(name: str, device: str = "cpu") -> Extractor:
    """The extractor of this name: `world` comes with the library and has learned the world; the others are layers of Inception-v3.

    FID, KID, precision and recall of the literature are those of `inception`. Raises ValueError where it cannot be had.
    """
    if name == "world":
        own = deepcopy(features()).to(device)
        return Extractor(name, DIM, PIXELS, own, lambda pictures: own.vectors(pictures).cpu())
    if name not in INCEPTION:
        raise ValueError(f"features: {name!r} was asked for; there are {', '.join(NAMES)}; choose one")
    network = inception(name).to(device)

    @torch.no_grad()
    def vectors(pictures: Tensor) -> Tensor:
        return torch.cat([network(part.to(device))[0].flatten(1).cpu() for part in pictures.split(TOGETHER)])

    return Extractor(name, INCEPTION[name], None, network, vectors, f"torch-fidelity {version('torch-fidelity')}")


def inception(name: str) -> nn.Module:
    """Inception-v3 with the weights that FID is measured with: from uint8 pictures of any size, a tuple of one layer's features.

    It enlarges pictures to 299 x 299 as FID's first code did (without antialiasing), so its FID is that of torch-fidelity and
    pytorch-fid, and not that of a library which resizes in another way. The weights are downloaded once, by torch-fidelity.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import (  # type: ignore[import-not-found]
            URL_INCEPTION_V3,
            FeatureExtractorInceptionV3,
        )
    except (ImportError, RuntimeError) as fault:  # a torchvision that does not belong to this torch raises the latter
        raise ValueError(
            f"features: {name!r} is Inception-v3 as the package torch-fidelity has it, which cannot be imported ({fault}); "
            "'world' needs no other package; pip install 'tessera-multimodal[fid]', or choose --features world"
        ) from fault
    try:
        return FeatureExtractorInceptionV3("inception-v3-compat", [str(INCEPTION[name])]).eval()
    except (OSError, RuntimeError, EOFError, UnpicklingError) as fault:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise ValueError(
            f"features: {name!r} needs Inception's weights, which cannot be had ({fault}); torch-fidelity downloads "
            f"{URL_INCEPTION_V3} once into {folder}; connect, or put an intact copy of the file there"
        ) from fault
