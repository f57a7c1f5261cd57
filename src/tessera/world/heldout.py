"""What a world can hold out of training, so that a split of its own tests whether what was learned carries over."""

from dataclasses import fields, replace
from functools import cache
from itertools import combinations

from tessera.world.description import Described
from tessera.world.scene import Colour, Kind, Level, Scene
from tessera.world.wording.language import Language, QuestionPhrases

HELD_OUT = ("pairs", "count", "template", "topic")
WORDINGS = 2  # captions that are held out


def held_pairs(level: Level) -> frozenset[tuple[Kind, Colour]]:
    """`pairs`: one colour of each kind, of no two kinds the same (an eighth of all), never a kind's favourite."""
    colours = level.colours
    return frozenset((kind, colours[(k + 1) % len(colours)]) for k, kind in enumerate(level.kinds))


def held_kinds(level: Level) -> frozenset[frozenset[Kind]]:
    """`topic`: pairs of kinds that share no community, each kind in one pair: a common one with a rare one."""
    half = len(level.kinds) // 2
    return frozenset(frozenset((level.kinds[half + t], level.kinds[(t + 2) % half])) for t in range(half))


def holds(scene: Scene, level: Level, held_out: str | None) -> bool:
    """Whether the scene shows something that is held out: a pair, the greatest number, or two kinds together.

    What `template` holds out are words, so no scene shows it.
    """
    match held_out:
        case "pairs":
            return any((thing.kind, thing.colour) in held_pairs(level) for thing in scene.things)
        case "count":
            return len(scene.things) == level.most
        case "topic":
            shown = {thing.kind for thing in scene.things}
            return any(frozenset(pair) in held_kinds(level) for pair in combinations(shown, 2))
    return False


def numbers(level: Level, held_out: str | None, split: str) -> range:
    """How many things scenes of the split have."""
    if held_out == "count":
        return range(level.most, level.most + 1) if split == "count" else range(1, level.most)
    return range(2 if split == held_out == "topic" else 1, level.most + 1)


def words(language: Language, held_out: str | None, split: str) -> Language:
    """The language as the split speaks it. `template` holds out the last two captions and the last way to ask each question."""
    return _parted(language, split == "template") if held_out == "template" else language


def names_pair(text: str, level: Level, language: Language) -> bool:
    """Whether the text names a kind in the colour that `pairs` holds out, if only to say that there is none."""
    names = (Described(kind, colour) for kind, colour in held_pairs(level))
    return any(language.bare(name) in text or language.many(name) in text for name in names)


@cache
def _parted(language: Language, held: bool) -> Language:
    part = slice(-WORDINGS, None) if held else slice(-WORDINGS)
    last = slice(-1, None) if held else slice(-1)
    asked = {field.name: getattr(language.questions, field.name)[last] for field in fields(QuestionPhrases)}
    return replace(language, captions=language.captions[part], questions=QuestionPhrases(**asked))
