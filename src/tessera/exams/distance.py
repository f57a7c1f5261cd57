"""Distance: how far a set of pictures is from a set of others, by the measures of the field."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tessera.document import Image, Text
from tessera.exams.base import Case, Report
from tessera.exams.extractors import INCEPTION, Extractor
from tessera.exams.likeness import beside
from tessera.exams.pictures import Drawings, PictureSet, resized, told_size
from tessera.scoring.distances import nearest
from tessera.scoring.sets import densities, distances, least, measures, shares
from tessera.world import Tile

USUAL = 500  # pictures of a set without end, where nothing says how many
TOGETHER = 64  # pictures that are opened at once
SHOWN, SHOWN_PIXELS = 24, 64  # pictures on the sheet, and the side of larger ones there

Tick = Callable[[str, int, int], None]  # what is measured, how many are done, of how many


class Numbers(NamedTuple):
    """How many pictures are compared: of each set, and of each half of the reference (0 where it has too few for halves)."""

    made: int
    real: int
    half: int


class Distance:
    """A set of pictures against a set of real ones, in the features of an extractor. Those of `Drawings` are asked for as an exam does.

    `distance.frechet` and `distance.kid` are FID and KID where the features are Inception's; `distance.precision`, `.recall`,
    `.density` and `.coverage` are shares of pictures: see `scoring.sets` for all six and their intervals. The reference
    `ceiling` is what two halves of the real set get, each of as many pictures as are judged, or, where there are not
    twice as many, of half of them. A Fréchet distance falls with the number of pictures: only like numbers can be compared.

    Raises ValueError where the sets do not fit each other or the features, or have too few pictures.
    """

    name, want = "distance", Image

    def __init__(self, extractor: Extractor, made: PictureSet, real: PictureSet, n: int | None = None, *, tick: Tick = lambda *_: None):
        fit(extractor, made, real)
        self.extractor, self.made, self.real, self.tick = extractor, made, real, tick
        self.numbers = numbers(extractor, made, real, n)
        self.prompts = list(made.prompts[: self.numbers.made]) if isinstance(made, Drawings) else []
        self.cases = [Case((Text(prompt),), str(i)) for i, prompt in enumerate(self.prompts)]

    def report(self, answers: Sequence[Tensor] = ()) -> Report:
        """From one uint8 picture per case; from none where both sets are there already."""
        if isinstance(self.made, Drawings):
            self.made.pictures = answers
        made, real = self.vectors(self.made, self.numbers.made), self.vectors(self.real, max(self.numbers.real, 2 * self.numbers.half))
        of = real[: self.numbers.real]
        found = distances(made, of) | shares(made, of) | densities(made, of)
        half = self.numbers.half
        best = measures(real[:half], real[half : 2 * half]) if half else {}
        return Report(
            {f"distance.{name}": score for name, score in found.items()},
            {f"distance.{name}": {"ceiling": value} for name, value in best.items()},
            tiles={"distance": self._tiles(made[:SHOWN], of)},
        )

    def vectors(self, pictures: PictureSet, n: int) -> Tensor:
        """The features of the first n, a row for each; pictures are opened as they are needed."""
        rows = []
        for start in range(0, n, TOGETHER):
            some = range(start, min(start + TOGETHER, n))
            rows.append(self.extractor.vectors(torch.stack([pictures.picture(i) for i in some])))
            self.tick(f"features of {pictures.name}", some.stop, n)
        return torch.cat(rows)

    def _tiles(self, made: Tensor, real: Tensor) -> list[Tile]:
        """Some pictures, each beside the real one that is nearest to it in the features."""
        small = lambda picture: resized(picture, tuple(min(side, SHOWN_PIXELS) for side in picture.shape[1:]))
        return [
            Tile(
                beside(small(self.made.picture(i)), small(self.real.picture(other))),
                (self.made.told(i), f"nearest: {self.real.told(other)}"),
            )
            for i, other in enumerate(nearest(made, real).tolist())
        ]


def fit(extractor: Extractor, made: PictureSet, real: PictureSet) -> None:
    """Raises ValueError unless both sets have one size, and one that the extractor sees."""
    sees = extractor.sees
    for one in (made, real):
        if sees and one.size != (sees, sees):
            raise ValueError(
                f"distance: pictures of {one.name} have {told_size(one.size)} pixels; features {extractor.name!r} see {sees} x {sees}; "
                f"scale and crop all pictures with --pixels {sees}, or choose --features {next(iter(INCEPTION))}"
            )
    if made.size != real.size:
        raise ValueError(
            f"distance: pictures of {made.name} have {told_size(made.size)} pixels, those of {real.name} {told_size(real.size)}; "
            f"one size is accepted; scale and crop all pictures with --pixels {min(*made.size, *real.size)} or the like"
        )


def numbers(extractor: Extractor, made: PictureSet, real: PictureSet, n: int | None) -> Numbers:
    """How many pictures to compare: `n` of each set, or all there are, and of a set without end as many as of the other."""
    enough, usual = least(extractor.dim), made.count or real.count or USUAL
    chosen = []
    for one in (made, real):
        number = n or one.count or usual
        if one.count is not None and one.count < number:
            raise ValueError(f"distance: {number} pictures of {one.name} were asked for; it has {one.count}; lower --n")
        if number < enough:
            fewer = ", or choose features of fewer dimensions" if extractor.dim > min(INCEPTION.values()) else ""
            raise ValueError(
                f"distance: {number} pictures of {one.name}; features {extractor.name!r} have {extractor.dim} dimensions, and need "
                f"{enough} pictures of each set; bring more{fewer}"
            )
        chosen.append(number)
    judged, against = chosen
    half = judged if real.count is None else min(judged, real.count // 2)
    return Numbers(judged, against, half if half >= enough else 0)
