"""How much there is to know: exact probabilities and entropies of scenes and of captions, the floors of what models pay."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations, product
from math import log, prod

import numpy as np

from tessera.world.bias import NEUTRAL, Bias
from tessera.world.chances import Chances, chances, colours, ways
from tessera.world.description import Described
from tessera.world.heldout import numbers
from tessera.world.sampling import ALIKE, MARGIN, coordinates
from tessera.world.scene import Colour, Kind, Level, Scene, Size
from tessera.world.wording.grammar import write
from tessera.world.wording.language import Language

Spot = tuple[int, Size]  # a place, counted row by row, and the size of the thing in it
Look = tuple[Kind, Colour, str]


@dataclass(frozen=True)
class Entropy:
    """In nats. `scene` is that of a scene's program as drawn, before it is kept for a split (see `SceneLaw`).

    `caption` is that of the text of a caption to learn from, given its scene: the mean loss of the best model that sees the
    picture. Open are only the wording, the order of things and, where both are told, the language.
    """

    scene: float
    caption: float


@dataclass(frozen=True)
class SceneLaw:
    """The exact distribution of programs (what a scene shows, without jitter and drawing order) as scenes to learn from are drawn.

    It is that of all splits together. Which programs train keeps, nine in ten, is up to their hash, so train scenes have some
    log(10 / 9) = 0.105 nats less, as nearly as the hash is even.
    The cost grows with places ** things: a fifth of a second for level standard.
    """

    level: Level
    bias: Bias = NEUTRAL
    held_out: str | None = None

    def log_probability(self, scene: Scene) -> float:
        """Of the scene's program, in nats; minus infinity where no such scene is drawn."""
        things = sorted(scene.things, key=lambda thing: (thing.row, thing.column))
        if len(things) not in self._numbers:
            return -np.inf
        spots = tuple((thing.row * self.level.grid + thing.column, thing.size) for thing in things)
        looks = [(thing.kind, thing.colour, thing.digit) for thing in things]
        p = self._layouts[len(things)].get(spots, 0.0) * self._looks(looks) / len(self._numbers)
        return log(p) if p else -np.inf

    def entropy(self) -> float:
        """The mean of minus the log probability, in nats; no sampling."""
        parts = [_entropy(self._layouts[n].values()) + self._entropy_of_looks(n) for n in self._numbers]
        return log(len(parts)) + sum(parts) / len(parts)

    @cached_property
    def _numbers(self) -> range:
        return numbers(self.level, self.held_out, "train")

    @cached_property
    def _chances(self) -> dict[int, Chances]:
        return {n: chances(self.level, self.bias, self.held_out, n) for n in self._numbers}

    @cached_property
    def _layouts(self) -> dict[int, dict[tuple[Spot, ...], float]]:
        return {n: layouts(self.level, n) for n in self._numbers}

    @cached_property
    def _details(self) -> dict[Kind, dict[tuple[Colour, str], float]]:
        """How likely each colour, and digit, is for a thing of each kind."""
        every = {}
        for kind in self._chances[1].alike:
            digits = self.level.digits if kind is Kind.DIGIT else ("",)
            shares = colours(self.level, self.bias, self.held_out, kind)
            every[kind] = {(colour, digit): p / len(digits) for (colour, p), digit in product(shares.items(), digits)}
        return every

    def _looks(self, looks: Sequence[Look]) -> float:
        """The probability that things in given places look so: all alike, or each drawn alone."""
        details = [self._details[kind].get((colour, digit), 0.0) for kind, colour, digit in looks]
        found, kind = self._chances[len(looks)], looks[0][0]
        order = list(found.alike)
        group = tuple(sorted((look[0] for look in looks), key=order.index))
        alone = found.groups.get(group, 0.0) / ways(group) * prod(details)
        same = found.alike[kind] * details[0] if len(set(looks)) == 1 else 0.0
        return ALIKE * same + (1 - ALIKE) * alone

    def _entropy_of_looks(self, things: int) -> float:
        """As if all were drawn alone, by multisets of kinds; then rows of equal looks are taken out and put in as they are."""
        found = self._chances[things]
        detail = {kind: _entropy(shares.values()) for kind, shares in self._details.items()}
        kinds = sum(p * (sum(map(detail.__getitem__, group)) - log(p / ways(group))) for group, p in found.groups.items() if p)
        total = (1 - ALIKE) * (kinds - log(1 - ALIKE))
        for kind, shares in self._details.items():
            alone, same = found.groups[(kind,) * things], found.alike[kind]
            for p in shares.values():
                one = (1 - ALIKE) * alone * p**things
                total += _entropy([one + ALIKE * same * p]) - _entropy([one])
        return total


def layouts(level: Level, things: int) -> dict[tuple[Spot, ...], float]:
    """How likely each choice of places and sizes is, places in rising order, among those in which things stand apart."""
    spots = list(product(range(level.grid**2), level.radius))
    apart = {pair: _apart(level, *pair) for pair in product(spots, spots)}
    free = {}
    for places in combinations(range(level.grid**2), things):
        for sizes in product(level.radius, repeat=things):
            row = tuple(zip(places, sizes, strict=True))
            fits = np.ones((len(apart[spots[0], spots[0]]),) * things, dtype=bool)
            for a, b in combinations(range(things), 2):
                shape = [len(fits) if axis in (a, b) else 1 for axis in range(things)]
                fits &= apart[row[a], row[b]].reshape(shape)
            free[row] = int(fits.sum())
    total = sum(free.values())
    return {row: ways_to_jitter / total for row, ways_to_jitter in free.items() if ways_to_jitter}


def _apart(level: Level, one: Spot, other: Spot) -> np.ndarray:
    """Whether two things stand apart, for each jitter of the one and of the other."""
    (x, y), (u, v) = (np.array(list(_points(level, *spot))).T for spot in (one, other))
    reach = level.radius[one[1]] + level.radius[other[1]] + MARGIN
    return (x[:, None] - u) ** 2 + (y[:, None] - v) ** 2 >= reach**2


def _points(level: Level, place: int, size: Size) -> Iterator[tuple[float, float]]:
    row, column = divmod(place, level.grid)
    return product(coordinates(level, column, level.radius[size]), coordinates(level, row, level.radius[size]))


def caption_chances(things: Sequence[Described], language: Language, grid: int, canonical: float) -> dict[str, float]:
    """How likely each text is that a caption of these things (in reading order) can be.

    The plain one with probability `canonical`, otherwise any listing and any order of things; what several of these write
    the same is one text.
    """
    chosen = {write(things, language.captions[0], language, grid): canonical}
    orders = list(permutations(things))
    for listing, order in product(language.captions, orders):
        text = write(order, listing, language, grid)
        chosen[text] = chosen.get(text, 0.0) + (1 - canonical) / len(language.captions) / len(orders)
    return chosen


def caption_entropy(level: Level, most: range, languages: Sequence[Language], canonical: float) -> float:
    """Of a caption given its scene, in nats: `most` are the numbers of things, each as likely, and so are the languages.

    Things of a scene differ by their places, so only their number matters; cost and memory grow with its factorial.
    """
    total = 0.0
    for language, things in product(languages, most):
        row = [Described(level.kinds[0], level.colours[0], place=divmod(place, level.grid)) for place in range(things)]
        total += _entropy(caption_chances(row, language, level.grid, canonical).values())
    return log(len(languages)) + total / len(languages) / len(most)


def _entropy(shares: Iterable[float]) -> float:
    return -sum(p * log(p) for p in shares if p > 0)
