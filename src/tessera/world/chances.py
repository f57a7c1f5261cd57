"""How likely kinds are to be in a scene, alone and together: exactly, from the level and the bias.

These are the chances of a scene to learn from as it is drawn, before its program's hash gives it to a split. A split deviates
from them by the luck of the hash, which is small: programs are many, but those of a single thing are not.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from math import factorial, prod

from tessera.world.bias import Bias
from tessera.world.heldout import held_kinds, held_pairs, numbers
from tessera.world.sampling import ALIKE, DIGITS
from tessera.world.scene import Colour, Kind, Level

Kinds = tuple[Kind, ...]


@dataclass(frozen=True)
class Chances:
    """How likely each multiset of kinds is for a number of things drawn one by one, and each kind for things all alike."""

    groups: dict[Kinds, float]
    alike: dict[Kind, float]


def chances(level: Level, bias: Bias, held_out: str | None, things: int) -> Chances:
    """The chances for so many things. The cost grows with the number of multisets: a second for 12 kinds and 6 things."""
    kinds = (*level.kinds, Kind.DIGIT) if level.digits else level.kinds
    free = {kind: sum(colours(level, bias, held_out, kind, whole=False).values()) for kind in kinds}
    digits = DIGITS if level.digits else 0.0
    topics = [
        (share, {Kind.DIGIT: digits} | {kind: (1 - digits) * p * free[kind] for kind, p in zip(level.kinds, shares, strict=True)})
        for share, shares in bias.topics(level)
    ]
    groups = {
        group: ways(group) * sum(share * prod(one[kind] for kind in group) for share, one in topics)
        for group in combinations_with_replacement(kinds, things)
        if not (held_out == "topic" and any(frozenset(pair) in held_kinds(level) for pair in combinations(set(group), 2)))
    }
    alike = {kind: sum(share * one[kind] for share, one in topics) for kind in kinds}
    return Chances(_whole(groups), _whole(alike))


def ways(group: Kinds) -> int:
    """In how many orders a multiset of kinds can be drawn."""
    return factorial(len(group)) // prod(map(factorial, Counter(group).values()))


def colours(level: Level, bias: Bias, held_out: str | None, kind: Kind, whole: bool = True) -> dict[Colour, float]:
    """How likely each colour is for a kind, without those held out; as shares of what is left where `whole`."""
    every = zip(level.colours, bias.colours(level, kind), strict=True)
    free = {colour: p for colour, p in every if held_out != "pairs" or (kind, colour) not in held_pairs(level)}
    return _whole(free) if whole else free


def popularity(level: Level, bias: Bias, held_out: str | None = None) -> dict[Kind, float]:
    """The probability that a scene shows each kind of the level (not digits, which have no name of their own)."""
    shown = _shown(level, bias, held_out)
    return {kind: sum(p for kinds, p in shown if kind in kinds) for kind in level.kinds}


def cooccurrence(level: Level, bias: Bias, held_out: str | None = None) -> dict[Kind, dict[Kind, float]]:
    """The probability that a scene shows both kinds, whatever their numbers. Of a kind with itself it is the popularity."""
    shown = _shown(level, bias, held_out)
    return {one: {other: sum(p for kinds, p in shown if {one, other} <= kinds) for other in level.kinds} for one in level.kinds}


def _shown(level: Level, bias: Bias, held_out: str | None) -> list[tuple[frozenset[Kind], float]]:
    """Sets of kinds that scenes show, and how likely each is; a set may come several times."""
    return list(_sets(level, bias, held_out))


def _sets(level: Level, bias: Bias, held_out: str | None) -> Iterator[tuple[frozenset[Kind], float]]:
    possible = numbers(level, held_out, "train")
    for things in possible:
        found = chances(level, bias, held_out, things)
        yield from ((frozenset((kind,)), ALIKE * p / len(possible)) for kind, p in found.alike.items())
        yield from ((frozenset(group), (1 - ALIKE) * p / len(possible)) for group, p in found.groups.items())


def _whole(shares: dict) -> dict:
    total = sum(shares.values())
    return {key: share / total for key, share in shares.items()}
