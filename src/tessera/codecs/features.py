"""Pictures as what an eye sees of them: features as clean elements, and a learned decoder that paints pictures by them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Encoded, Losses, bytes_of, floats
from tessera.codecs.painting import Painter
from tessera.codecs.patches import kept_patches, patchify
from tessera.document import Document
from tessera.draws import Draw, normal_like
from tessera.paths import DDIM, Ends, Flow, Path, Predicts, noised, resolve

Seen = Float[Tensor, "batch element feature"]
Picture = Float[Tensor, "3 height wide"]


@runtime_checkable
class Eye(Protocol):
    """Squares of pixels to `elements` vectors of `width` numbers, in a grid of `columns` columns."""

    pixels: int
    patch: int
    width: int
    elements: int
    columns: int

    def __call__(self, squares: Float[Tensor, "batch element feature"]) -> Float[Tensor, "batch element width"]: ...


@runtime_checkable
class Former(Protocol):
    """What an eye sees to a row of `elements` vectors of `features` numbers."""

    elements: int
    features: int

    def __call__(self, seen: Float[Tensor, "batch ... width"]) -> Seen: ...


class Painting(NamedTuple):
    """Pictures to learn to paint: what the eye sees of them, a time of the path, and noise for pixels and for features."""

    pixels: Float[Tensor, "batch 3 height wide"]
    seen: Seen
    time: Float[Tensor, "batch"]
    noise: Float[Tensor, "batch 3 height wide"]
    error: Seen


class Features(nn.Module):
    """Pictures <-> features of a frozen eye; a painter walks from noise to a picture by them.

    The eye's grid is resampled to `columns` columns, where that is asked for (bilinear, with antialiasing), or read by a
    `former` that makes a row of it; with `unit` each element has length 1. Every element has seen the whole picture, those
    that are kept of a partly given one too.
    Its own stage (`losses_of`) teaches the painter to say the clean picture at every time of `path`, given features under
    Gaussian noise of a strength between 0 and `noise` (times their own): so it paints by features that are not quite right.
    Features fix nearly all of a picture; a net that said the velocity had to pass all the noise through, and on the world's
    easy level left much of it in the picture. `decode` takes noise from each draw, without draws the same for all, and goes
    to the clean picture as it looks now in `steps` steps. Without a painter, which published files leave out,
    pictures are read and not painted; one may be put there later.
    Source: MetaMorph (Tong et al. 2024, arXiv:2412.14164) and Emu (Sun et al. 2023, arXiv:2307.05222), who condition Stable
    Diffusion on features.
    """

    eye: Eye
    former: Former | None
    painter: Painter | None

    def __init__(
        self,
        eye: Eye,
        painter: Painter | None,
        *,
        former: Former | None = None,
        columns: int = 0,
        unit: bool = False,
        noise: float = 0.5,
        path: Path = Flow(),
        steps: int = 10,
    ):
        super().__init__()
        if columns and (former or not eye.columns):
            raise ValueError(f"Features: {columns} columns of a row of features; only a grid is resampled; leave columns out")
        self.eye, self.former, self.painter, self.unit, self.noise = eye, former, painter, unit, noise
        self.path, self.steps, self.pixels = path, steps, eye.pixels
        self.columns = 0 if former else columns or eye.columns
        self.elements, self.features = (former.elements, former.features) if former else (self.columns**2, eye.width)

    def see(self, pixels: Float[Tensor, "batch 3 height wide"]) -> Float[Tensor, "batch ... width"]:
        """What the eye sees of pictures from -1 to 1."""
        return self.eye(patchify(pixels, self.eye.patch))

    def form(self, seen: Float[Tensor, "batch ... width"]) -> Seen:
        """The elements of it."""
        if self.former is not None:
            seen = self.former(seen)
        elif self.columns != self.eye.columns:
            grid = seen.mT.unflatten(2, (self.eye.columns, self.eye.columns))
            seen = F.interpolate(grid, (self.columns, self.columns), mode="bilinear", antialias=True).flatten(2).mT
        return F.normalize(seen, dim=-1) if self.unit else seen

    # ------------------------------------------------------------------ learning to paint

    @property
    def paints(self) -> bool:
        """Whether it has a painter."""
        return self.painter is not None

    @property
    def _painter(self) -> nn.Module:
        if self.painter is None:
            raise ValueError("Features: a picture is to be painted, and there is no painter; put one there (`painter`), or ask for text")
        return self.painter

    @torch.no_grad()
    def arrange(self, documents: Sequence[Document], draws: Sequence[Draw]) -> Painting:
        """All pictures of the documents, whoever gave them, each at a time of the path."""
        like = next(self._painter.parameters())
        pairs = [(picture, draw) for document, draw in zip(documents, draws, strict=True) for picture in document.pictures]
        if not pairs:
            pixels, error = like.new_zeros(0, 3, self.pixels, self.pixels), like.new_zeros(0, self.elements, self.features)
            return Painting(pixels, like.new_zeros(0, self.eye.elements, self.eye.width), like.new_zeros(0), pixels, error)
        pixels = floats([picture for picture, _ in pairs], like, self.pixels)
        times, noises, errors = [], [], []
        for (_, draw), picture in zip(pairs, pixels, strict=True):
            times.append(self.path.sample(draw.rng, 1).to(like))
            noises.append(normal_like(picture, draw.rng))
            strength = self.noise * torch.rand((), generator=draw.rng).to(like)
            errors.append(strength * normal_like(like.new_zeros(self.elements, self.features), draw.rng))
        return Painting(pixels, self.see(pixels), torch.cat(times), torch.stack(noises), torch.stack(errors))

    def losses_of(self, painting: Painting) -> Losses:
        """The squared error per pixel, summed over pictures."""
        pixels, seen, time, noise, error = painting
        if not len(pixels):
            return {"pixels": (next(self._painter.parameters())[:0].sum(), 0)}
        features = self.form(seen)
        features = features + error * features.square().mean(-1, keepdim=True).sqrt()
        said = self._painter(noised(self.path, Ends(pixels, noise), time[:, None, None, None]), self.path.clock(time), features)
        return {"pixels": ((said.to(pixels.dtype) - pixels).square().mean((1, 2, 3)).sum(), len(pixels))}

    # ------------------------------------------------------------------ the codec

    @torch.no_grad()
    def encode(self, raws: Sequence[Tensor], draws: Sequence[Draw] = ()) -> Encoded:
        """Features of each uint8 picture."""
        like = next((self.painter or self).parameters())
        return Encoded(self.form(self.see(floats(raws, like, self.pixels))))

    @torch.no_grad()
    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Tensor:
        """uint8 pictures, clipped, painted from the noise of each draw; without draws from one noise, the same for all."""
        like = next(self._painter.parameters())
        features = torch.stack(tuple(cleans)).to(like)
        rngs = [draw.rng for draw in draws] or [Draw(0).rng for _ in cleans]
        blank = like.new_zeros(3, self.pixels, self.pixels)
        start = torch.stack([normal_like(blank, rng) for rng in rngs])
        walk = DDIM()(self.path, start, self.path.grid(self.steps), lambda: start)
        value, time = next(walk)
        while True:
            said = self._painter(value, self.path.clock(time).expand(len(value)), features)
            try:
                value, time = walk.send(resolve(self.path, Predicts.CLEAN, value, said, time))
            except StopIteration as finished:
                return bytes_of(finished.value).cpu()

    def keep(self, mask: Bool[Tensor, "height wide"]) -> Bool[Tensor, "element"]:
        """Features whose square of the grid lies wholly inside the mask. Features in a row are given together, or not at all."""
        if self.columns:
            return kept_patches(mask, self.pixels // self.columns)
        if mask.any() and not mask.all():
            raise ValueError(
                f"Features: {self.elements} features in a row, of a picture of which {mask.float().mean():.0%} is given; such a picture "
                "is given or learned as a whole; leave keep out"
            )
        return mask.all().expand(self.elements).clone()

    def blank(self, length: int | None = None) -> Float[Tensor, "element feature"]:
        """Zeros."""
        return torch.zeros(self.elements, self.features)
