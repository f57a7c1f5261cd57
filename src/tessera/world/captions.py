"""Captions: every thing of a scene in words, and words read back and scored."""

import functools
from collections import Counter
from dataclasses import dataclass

from tessera.world.description import Described, described, in_reading_order, sized
from tessera.world.dice import Dice
from tessera.world.scene import Kind, Level, Scene
from tessera.world.wording.grammar import read, write
from tessera.world.wording.language import Language


def caption(scene: Scene, level: Level, language: Language, dice: Dice | None = None) -> str:
    """Every thing with all its attributes. Without dice the canonical caption: plain, in reading order.

    With dice one of the language's listings (the canonical among them), the things in any order.
    """
    things = [described(thing, level) for thing in in_reading_order(scene)]
    if dice is None:
        return write(things, language.captions[0], language, level.grid)
    return write(dice.sample(things, len(things)), dice.choose(language.captions), language, level.grid)


def parse_caption(text: str, level: Level, language: Language) -> tuple[Described, ...] | None:
    """The things a caption names, in its order; None unless the whole text is a caption of this level.

    All or nothing: a cut-off or garbled text is None, so that scores need no rule for half-understood text. A caption that
    contradicts itself (two things at one place, more things than the level allows) is still a caption.
    """
    for listing in language.captions:
        things = read(text, listing, language, level.grid)
        if things is not None and all(_sayable(what, level) for what in things):
            return things
    return None


def _sayable(what: Described, level: Level) -> bool:
    if what.kind is Kind.DIGIT:
        known = what.digit != "" and what.digit in level.digits
    else:
        known = what.kind in level.kinds and what.digit == ""
    return known and (what.size in level.radius if sized(level) else what.size is None)


ATTRIBUTES = ("kind", "colour", "size", "place")


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
    """`parsed`: it is a caption. `exact`: it names the scene's things and nothing else. `counts` by attribute."""

    parsed: bool
    exact: bool
    counts: dict[str, Counts]


def caption_score(text: str, scene: Scene, level: Level, language: Language) -> CaptionScore:
    """Compare a caption with the scene it should describe.

    Named things are paired with true ones so that as many attributes as possible agree; an attribute is matched within its
    pair only. A text that is no caption predicts nothing. Of a digit, kind means also which digit.
    """
    true = [described(thing, level) for thing in scene.things]
    things = parse_caption(text, level, language)
    said = list(things or ())
    pairs = _pair(said, true)
    counts = {
        name: Counts(
            sum(_agree(name, a, b) for a, b in pairs),
            sum(getattr(what, name) is not None for what in said),
            sum(getattr(what, name) is not None for what in true),
        )
        for name in ATTRIBUTES
    }
    return CaptionScore(things is not None, Counter(said) == Counter(true), counts)


def _agree(attribute: str, a: Described, b: Described) -> bool:
    same = getattr(a, attribute) == getattr(b, attribute) is not None
    return same and (attribute != "kind" or a.digit == b.digit)


def _pair(said: list[Described], true: list[Described]) -> list[tuple[Described, Described]]:
    """The pairs with most agreement; the cost grows with 2 to the number of true things, not with what was said."""

    @functools.cache
    def best(i: int, free: frozenset[int]) -> tuple[int, tuple[tuple[int, int], ...]]:
        if i == len(said) or not free:
            return 0, ()
        choices = [best(i + 1, free)]
        for j in sorted(free):
            rest, pairs = best(i + 1, free - {j})
            choices.append((rest + sum(_agree(name, said[i], true[j]) for name in ATTRIBUTES), ((i, j), *pairs)))
        return max(choices, key=lambda choice: choice[0])

    return [(said[i], true[j]) for i, j in best(0, frozenset(range(len(true))))[1]]
