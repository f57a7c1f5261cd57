"""Captions: every thing of a scene in words, and words read back."""

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
