"""The auditor: a second reader of the world, built unlike the oracle, so that the two can be asked whether they agree.

It fits nothing to the pixels. It cuts a picture into parts that stand out from the background, measures each part
(its hue, area, middle, and moments up to the fourth order), and gives it the look whose own measures are nearest, under
the scatter that they have in blur and noise. It shares with the oracle only the level's palette and figures.
"""

from dataclasses import dataclass
from itertools import cycle, product

import numpy as np
import torch
from jaxtyping import UInt8
from scipy import ndimage
from torch import Tensor

from tessera.world.corruptions import blur
from tessera.world.reading import Reading, SeenThing
from tessera.world.render import render
from tessera.world.scene import BACKGROUND, Kind, Level, Scene, Size, Thing

# How parts are found: pixels above a share of their colour's full contrast, connected; what is too wide for one thing
# is cut again, higher. Around a part, REACH pixels still belong to it.
CUTS = (0.35, 0.5, 0.65, 0.8)
LEAST_PIXELS = 4
REACH = 2

# Orders (p, q) of the complex moments, the means of z ** p * conj(z) ** q. Those with p = q are real.
ORDERS = ((1, 1), (2, 0), (3, 0), (2, 1), (4, 0), (3, 1), (2, 2))

# A look's measures are learned at every pair of these shifts (pixels), in each of these states (blur in pixels, noise
# of 255). POOLED of a look's scatter is the mean of all looks'.
SHIFTS = (0.0, 0.25, 0.5, 0.75)
STATES = ((0.3, 0.0), (0.8, 0.0), *((0.3, 12.0), (0.8, 12.0)) * 3)
POOLED = 0.2

# What is readable: a part whose squared distance from its look is at most MOST_DISTANCE (clean pictures have
# 2 to 10, noisy ones 20 to 110) and whose hue is near (a cosine), in a picture of which the parts leave little over.
MOST_DISTANCE = 150.0
LEAST_HUE = 0.95
LEAST_R2 = 0.7
MOST_RMS = 20.0
GAINS = (0.75, 1.33)


@dataclass(frozen=True, eq=False)
class Part:
    """What is measured of one part: which of the level's colours, how near to its hue, its middle of mass, and the rest."""

    colour: int
    hue: float
    x: float
    y: float
    measures: np.ndarray


class Auditor:
    """Reads pictures of one level, a millisecond or two each. Building one takes a second or two."""

    def __init__(self, level: Level):
        self.level = level
        self._palette = np.array([colour.value for colour in level.colours], dtype=float)
        self._widest = 2 * max(level.radius.values()) + 2
        shapes = [(kind, "") for kind in level.kinds] + [(Kind.DIGIT, digit) for digit in level.digits]
        self._looks = [(kind, digit, size) for kind, digit in shapes for size in level.radius]
        rng = torch.Generator().manual_seed(0)
        offsets, learned = zip(*(self._examples(look, rng) for look in self._looks), strict=True)
        scatters = [np.cov(measures.T) for measures in learned]
        scatters = [(1 - POOLED) * scatter + POOLED * np.mean(scatters, 0) for scatter in scatters]
        self._offsets = [offset.tolist() for offset in offsets]
        self._means = np.stack([measures.mean(0) for measures in learned])
        self._precisions = np.linalg.inv(scatters)
        self._volumes = np.linalg.slogdet(scatters).logabsdet

    def read(self, pictures: UInt8[Tensor, "batch 3 height wide"]) -> list[Reading]:
        """What each picture shows. A thing's quality is 1 where its measures are its look's own, and .5 at the limit."""
        size = self.level.pixels
        if pictures.dtype != torch.uint8 or pictures.shape[1:] != (3, size, size):
            raise ValueError(
                f"auditor: pictures are {pictures.dtype} {list(pictures.shape)}; "
                f"the level {self.level.name!r} has uint8 [n, 3, {size}, {size}]"
            )
        return [self._read(picture) for picture in pictures.numpy().astype(float)]

    def _read(self, picture: np.ndarray) -> Reading:
        ground = np.median(_border(picture), 1)
        gain = ground / BACKGROUND
        apart = picture - ground[:, None, None]
        parts, drawn = self._parts(apart, self._contrasts(ground))
        smooth, left = (ndimage.uniform_filter(seen, (0, 3, 3)) for seen in (apart, apart - drawn))
        r2 = 1 - float((left**2).sum() / max((smooth**2).sum(), 1.0 * smooth.size))
        rms = float(np.sqrt(((apart - drawn) ** 2).mean()))
        known = bool(((gain >= GAINS[0]) & (gain <= GAINS[1])).all())
        explained = (not parts or r2 >= LEAST_R2) and rms <= MOST_RMS
        return Reading(known and explained, tuple(map(self._thing, parts)), r2, rms)

    def _contrasts(self, ground: np.ndarray) -> np.ndarray:
        """The colours minus the background [colour, 3], under the gain that the known background underwent."""
        return np.minimum(self._palette * np.clip(ground / BACKGROUND, *GAINS), 255) - ground

    def _parts(self, apart: np.ndarray, contrasts: np.ndarray) -> tuple[list[Part], np.ndarray]:
        """What stands out, part by part, and all of it as their colours alone would draw it: [3, height, width]."""
        full = np.linalg.norm(contrasts, axis=1)
        units = contrasts / full[:, None]
        along = np.tensordot(units, apart, 1)
        cores = self._cores(along.max(0) / full[along.argmax(0)])
        marks = sum((index * core for index, core in enumerate(cores, 1)), np.zeros(apart.shape[1:], int))
        distance, nearest = ndimage.distance_transform_edt(marks == 0, return_indices=True)
        owner = np.where(distance <= REACH, marks[tuple(nearest)], 0) if cores else marks
        parts, drawn = [], np.zeros_like(apart)
        for index in range(1, len(cores) + 1):
            rows, columns = (owner == index).nonzero()
            seen = apart[:, rows, columns]
            total = seen.sum(1)
            hues = units @ total / max(np.linalg.norm(total), 1e-9)
            colour = int(hues.argmax())
            cover = units[colour] @ seen / full[colour]
            drawn[:, rows, columns] = contrasts[colour][:, None] * cover.clip(0, 1)
            parts.append(Part(colour, float(hues[colour]), *_measured(cover, rows, columns)))
        return parts, drawn

    def _cores(self, cover: np.ndarray, cuts: tuple[float, ...] = CUTS) -> list[np.ndarray]:
        """Masks of the connected areas of enough cover, none wider than a thing as long as there are higher cuts."""
        labels, _ = ndimage.label(cover > cuts[0])
        cores = []
        for index, box in enumerate(ndimage.find_objects(labels), 1):
            core = labels == index
            if len(cuts) > 1 and max(side.stop - side.start for side in box) > self._widest:
                cores += self._cores(np.where(core, cover, 0.0), cuts[1:])
            elif core.sum() >= LEAST_PIXELS:
                cores.append(core)
        return cores

    def _thing(self, part: Part) -> SeenThing:
        """The part as a thing of the look that most likely gives such measures."""
        off = part.measures - self._means
        distances = np.einsum("lm,lmn,ln->l", off, self._precisions, off)
        look = int((distances + self._volumes).argmin())
        kind, digit, size = self._looks[look]
        quality = float(1 / (1 + distances[look] / MOST_DISTANCE))
        x, y = part.x - self._offsets[look][0], part.y - self._offsets[look][1]
        colour, row, column = self.level.colours[part.colour], self.level.place(y), self.level.place(x)
        readable = quality >= 0.5 and part.hue >= LEAST_HUE
        return SeenThing(kind, colour, size, digit, row, column, x, y, quality, readable)

    def _examples(self, look: tuple[Kind, str, Size], rng: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
        """How far (x, y) a look's middle of mass is off its centre, and its measures [example, measure].

        It is drawn alone, in every shift and state and all colours in turn.
        """
        (kind, digit, size), middle, colours = look, self.level.pixels // 2, cycle(self.level.colours)
        things = [Thing(kind, next(colours), size, 0, 0, middle + x, middle + y, digit) for x, y in product(SHIFTS, SHIFTS)]
        clean = torch.from_numpy(np.stack([render(Scene((thing,)), self.level) for thing in things]))
        seen = torch.cat([blur(clean, rng, width=width, noise=noise) for width, noise in STATES]).numpy().astype(float)
        ground = np.array(BACKGROUND, dtype=float)
        found = [self._parts(picture - ground[:, None, None], self._contrasts(ground))[0] for picture in seen]
        parts = [max(several, key=lambda part: part.measures[0]) for several in found]
        offsets = [(part.x - thing.x, part.y - thing.y) for part, thing in zip(parts, cycle(things), strict=False)]
        return np.mean(offsets, 0), np.stack([part.measures for part in parts])


def _measured(cover: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[float, float, np.ndarray]:
    """The middle of mass (x, y) of some cover; and the root of its area, the cover in the middle, and complex moments.

    Moments are about the middle and in units of the root of the area, so they tell shape and not size.
    """
    area = max(float(cover.sum()), 1.0)
    x, y = float(cover @ (columns + 0.5) / area), float(cover @ (rows + 0.5) / area)
    z = columns + 0.5 - x + 1j * (rows + 0.5 - y)
    middle = float(cover @ np.exp(-0.5 * np.abs(z) ** 2) / (2 * np.pi))
    z = z / np.sqrt(area)
    moments = [cover @ (z**p * z.conj() ** q) / area for p, q in ORDERS]
    shape = [part for (p, q), moment in zip(ORDERS, moments, strict=True) for part in (moment.real, moment.imag)[: 1 + (p != q)]]
    return x, y, np.array([np.sqrt(area), middle, *shape])


def _border(picture: np.ndarray) -> np.ndarray:
    """The outermost pixels: [3, pixel]."""
    return np.concatenate((picture[:, 0], picture[:, -1], picture[:, 1:-1, 0], picture[:, 1:-1, -1]), 1)
