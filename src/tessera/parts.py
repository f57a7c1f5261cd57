"""Parts that several systems share, each with the stage that trains it: once for all of them, by `tessera parts --make`."""

from collections.abc import Callable

from torch import nn

from tessera.codecs import BPE, VAE, Autoencoder, CausalFormer, Features, Painter, square_vae
from tessera.codecs.quantizers import Quantizer
from tessera.contrast import Pair, TextEncoder
from tessera.document import Task
from tessera.stages import Stage
from tessera.vision import ViT, siglip

MIX = {Task.DRAW: 0.4, Task.CAPTION: 0.2, Task.QUESTION: 0.3, Task.TEXT: 0.1}  # the world's own


def codes(quantizer: Quantizer, *, channels: int = 64, pixels: int = 32, stride: int = 8) -> tuple[Autoencoder, Stage]:
    """Pictures as codes of squares. At the default sizes trained in about 3 minutes on one core."""
    codec = Autoencoder(quantizer=quantizer, pixels=pixels, stride=stride, channels=channels)
    return codec, Stage("codec", learner=codec, train=(codec,), documents=210_000, mix=MIX, lr=2e-3, weight_decay=0.0)


def latents(*, pixels: int = 32, stride: int = 8, patch: int = 1, features: int = 16, channels: int = 64) -> tuple[VAE, Stage]:
    """Pictures as latents of squares, `patch` x `patch` of them to an element."""
    vae = square_vae(pixels=pixels, stride=stride, patch=patch, features=features, channels=channels)
    weights = {"divergence": 1e-5}
    return vae, Stage("latents", learner=vae, train=(vae,), documents=120_000, mix=MIX, lr=2e-3, weight_decay=0.0, weights=weights)


def eye(
    *, pixels: int = 32, patch: int = 8, width: int = 128, depth: int = 3, heads: int = 4, shape: Callable[..., ViT] = siglip
) -> tuple[ViT, Stage]:
    """An eye, in the shape of SigLIP's or of CLIP's (`vision.clip`), that learns what is said of pictures.

    At the default sizes trained in about 3 minutes on one core.
    """
    look, batch = shape(pixels=pixels, patch=patch, width=width, depth=depth, heads=heads), 128
    pair = Pair(look, TextEncoder(BPE(), width), batch=batch)
    mix = {Task.CAPTION: 0.65, Task.DRAW: 0.3, Task.QUESTION: 0.05}  # prompts say less, and it learns more with them
    return look, Stage("eye", learner=pair, train=(pair,), documents=120_000, mix=mix, batch=batch)


def features(eye: ViT, *, columns: int = 0, unit: bool = True, channels: int = 64) -> tuple[Features, Stage]:
    """Pictures as what an eye sees of them, in a grid, and the stage of the picture decoder; the eye has learned before."""
    across = columns or eye.columns
    sizes = {"pixels": eye.pixels, "patch": eye.patch // 2, "channels": channels}
    painter = Painter(features=eye.width, elements=across**2, columns=across, **sizes)
    codec = Features(eye, painter, columns=columns, unit=unit)
    return codec, _painted(codec, "painter", painter)


def row(eye: ViT, former: CausalFormer, *, channels: int = 64) -> tuple[Features, Stage, Stage]:
    """Pictures as the row that a former makes of what an eye sees, the former's stage, and that of the picture decoder alone.

    The former learns by having pictures painted from what it says: its decoder learns beside it, and goes on when it stands.
    """
    sizes = {"pixels": eye.pixels, "patch": eye.patch // 2, "channels": channels}
    painter = Painter(features=former.features, elements=former.elements, **sizes)
    codec = Features(eye, painter, former=former)
    return codec, _painted(codec, "former", former, painter), _painted(codec, "painter", painter)


def _painted(codec: Features, name: str, *train: nn.Module) -> Stage:
    return Stage(name, learner=codec, train=train, documents=100_000, mix=MIX, lr=2e-3, weight_decay=0.0)
