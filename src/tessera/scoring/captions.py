"""Captions: how much of what is there was said, and nothing else, thing by thing and attribute by attribute."""

import functools
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

Attributes = Mapping[str, Hashable]  # of one thing, by name; None where it has none or none was said


@dataclass(frozen=True)
class Counts:
    """How often an attribute was right, said, and there. Sums over captions give precision, recall and F1."""

    matched: int = 0
    predicted: int = 0
    true: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.matched + other.matched, self.predicted + other.predicted, self.true + other.true)

    @property
    def f1(self) -> float:
        """1 where there was nothing to say and nothing was said."""
        matched, total = self.share
        return matched / total if total else 1.0

    @property
    def share(self) -> tuple[int, int]:
        """The two numbers that F1 is the quotient of; sums of each over captions give F1 over all."""
        return 2 * self.matched, self.predicted + self.true


@dataclass(frozen=True)
class CaptionScore:
    """`parsed`: it is a caption. `exact`: it names the things that are there and nothing else. `counts` by attribute."""

    parsed: bool
    exact: bool
    counts: dict[str, Counts]


def caption_score(said: Sequence[Attributes] | None, true: Sequence[Attributes]) -> CaptionScore:
    """Compare the things that a caption names with those that are there; all have the same attributes.

    They are paired so that as many attributes as possible agree, and an attribute is matched within its pair only: swapped colours are
    wrong colours. What is no caption (None) predicts nothing. Source: SPICE (Anderson et al. 2016, arXiv:1607.08822, section 3.3), which is
    F1 over all that a caption says. Differs: by attribute, within pairs of things, without synonyms.
    """
    named = list(said or ())
    pairs = _pairs(named, true)
    counts = {
        name: Counts(
            sum(_agree(name, a, b) for a, b in pairs),
            sum(thing[name] is not None for thing in named),
            sum(thing[name] is not None for thing in true),
        )
        for name in dict.fromkeys(name for thing in (*true, *named) for name in thing)
    }
    return CaptionScore(said is not None, _counted(named) == _counted(true), counts)


def _counted(things: Sequence[Attributes]) -> Counter[frozenset[tuple[str, Hashable]]]:
    return Counter(frozenset(thing.items()) for thing in things)


def _agree(name: str, a: Attributes, b: Attributes) -> bool:
    return a[name] == b[name] is not None


def _pairs(said: Sequence[Attributes], true: Sequence[Attributes]) -> list[tuple[Attributes, Attributes]]:
    """The pairs with most agreement; the cost grows with 2 to the number of true things, not with what was said."""

    @functools.cache
    def best(i: int, free: frozenset[int]) -> tuple[int, tuple[tuple[int, int], ...]]:
        if i == len(said) or not free:
            return 0, ()
        choices = [best(i + 1, free)]
        for j in sorted(free):
            rest, pairs = best(i + 1, free - {j})
            choices.append((rest + sum(_agree(name, said[i], true[j]) for name in true[j]), ((i, j), *pairs)))
        return max(choices, key=lambda choice: choice[0])

    return [(said[i], true[j]) for i, j in best(0, frozenset(range(len(true))))[1]]
