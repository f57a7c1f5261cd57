"""Drawing prompts: text, and what exactly the picture must show."""

from dataclasses import dataclass, field
from enum import Enum

from tessera.world.captions import caption
from tessera.world.description import Described, Side, clear_sides, described, in_reading_order, sized
from tessera.world.dice import Dice
from tessera.world.referring import only
from tessera.world.scene import Kind, Level, Scene
from tessera.world.wording.grammar import write
from tessera.world.wording.language import Language

PLAIN = 0.6  # share of prompts that are the bare description, without "draw" or the like


class Skill(Enum):
    """What a prompt tests. The first six are GenEval's (its position is a relation here); CAPTION leaves nothing open."""

    SINGLE_OBJECT = "single_object"
    TWO_OBJECTS = "two_objects"
    COUNTING = "counting"
    COLOURS = "colours"
    POSITION = "position"
    COLOUR_BINDING = "colour_binding"
    RELATION = "relation"
    SIZE = "size"
    DIGIT = "digit"
    CAPTION = "caption"


SAID = {
    Skill.SINGLE_OBJECT: ("kind",),
    Skill.TWO_OBJECTS: ("kind",),
    Skill.COLOURS: ("kind", "colour"),
    Skill.POSITION: ("kind", "place"),
    Skill.COLOUR_BINDING: ("kind", "colour"),
    Skill.SIZE: ("kind", "size"),
    Skill.DIGIT: ("kind",),
}


@dataclass(frozen=True)
class Prompt:
    """A text to draw by. `wanted` describes every thing of the picture; what it leaves open may be anything.

    `relation` is the side of the second wanted thing on which the first must lie.
    """

    text: str
    skill: Skill
    wanted: tuple[Described, ...]
    relation: Side | None = None
    level: Level = field(kw_only=True, repr=False, hash=False)


def skills(level: Level) -> tuple[Skill, ...]:
    """The skills that prompts of this level test."""
    missing = set()
    if not level.relations:
        missing.add(Skill.RELATION)
    if not sized(level):
        missing.add(Skill.SIZE)
    if not level.digits:
        missing.add(Skill.DIGIT)
    return tuple(skill for skill in Skill if skill not in missing)


def scenes_for(skill: Skill, level: Level, dice: Dice, wide: bool = False) -> tuple[int | None, bool | None]:
    """How many things, and whether all alike, scenes have that a skill is asked on: for `sample_scene`.

    As in GenEval these are one or two, or those to count; `wide` lets the skills that can have more of them.
    """
    if skill in (Skill.SINGLE_OBJECT, Skill.COLOURS):
        return 1, False
    if skill is Skill.COUNTING:
        return 2 + dice.below(level.most - 1), True
    if skill in (Skill.TWO_OBJECTS, Skill.RELATION) or (skill is Skill.COLOUR_BINDING and not wide):
        return 2, False
    if skill is Skill.SIZE or (skill in (Skill.POSITION, Skill.DIGIT) and not wide):
        return 1 + dice.below(2), False
    return None, None


def fitting(scene: Scene, level: Level) -> tuple[Skill, ...]:
    """The skills that a prompt for this scene can test, in the order of `Skill`; CAPTION always fits."""
    things = scene.things
    shapes = all(thing.kind is not Kind.DIGIT for thing in things)
    kinds = {thing.kind for thing in things}
    colours = {thing.colour for thing in things}
    fits = {
        Skill.SINGLE_OBJECT: shapes and len(things) == 1,
        Skill.TWO_OBJECTS: shapes and len(things) == len(kinds) == 2,
        Skill.COUNTING: shapes and len(things) >= 2 and len(kinds) == 1,
        Skill.COLOURS: shapes and len(things) == 1,
        Skill.POSITION: shapes,
        Skill.COLOUR_BINDING: shapes and len(kinds) >= 2 and len(colours) >= 2 and _distinct(scene, level, Skill.COLOUR_BINDING),
        Skill.RELATION: shapes and len(things) == len(kinds) == 2 and bool(clear_sides(*things, level)),
        Skill.SIZE: shapes and len(things) <= 2 and _distinct(scene, level, Skill.SIZE),
        Skill.DIGIT: not shapes and _distinct(scene, level, Skill.DIGIT),
        Skill.CAPTION: True,
    }
    return tuple(skill for skill in skills(level) if fits[skill])


def _distinct(scene: Scene, level: Level, skill: Skill) -> bool:
    said = [only(described(thing, level), SAID[skill]) for thing in scene.things]
    return len(set(said)) == len(said)


def prompt(scene: Scene, level: Level, language: Language, skill: Skill, dice: Dice, plain: bool = False) -> Prompt:
    """A prompt that the scene answers, for a skill among those `fitting` it.

    The order of things without places is left to the dice, so that it tells nothing. `plain` leaves out paraphrases.
    """
    assert skill in fitting(scene, level)
    if skill is Skill.CAPTION:
        return _full(scene, level, language, dice, plain)
    things = [described(thing, level) for thing in in_reading_order(scene)]
    if skill is not Skill.POSITION:
        things = dice.sample(things, len(things))
    said = _said(skill, things, dice)
    wanted = tuple(only(what, said) for what in things)
    side = None
    if skill is Skill.COUNTING:
        text = language.count(len(wanted), wanted[0])
    elif skill is Skill.RELATION:
        first, second = (next(thing for thing in scene.things if what.fits(thing)) for what in wanted)
        side = dice.choose(clear_sides(first, second, level))
        a, b = map(language.a, wanted)
        text = language.relation.format(a=a, side=language.sides[side], b=b)
    else:
        text = write(wanted, language.captions[0] if skill is Skill.POSITION else language.listing, language, level.grid)
    return Prompt(_framed(text, language, dice, plain), skill, wanted, side, level=level)


def _full(scene: Scene, level: Level, language: Language, dice: Dice, plain: bool) -> Prompt:
    wanted = tuple(described(thing, level) for thing in in_reading_order(scene))
    if plain or dice.uniform() < 0.5:
        text = _framed(caption(scene, level, language), language, dice, plain)
    else:
        text = caption(scene, level, language, dice)
    return Prompt(text, Skill.CAPTION, wanted, level=level)


def _said(skill: Skill, things: list[Described], dice: Dice) -> tuple[str, ...]:
    """The attributes a prompt says: counted, related and digit things get their colours half of the time, where they can."""
    if skill in SAID and skill is not Skill.DIGIT:
        return SAID[skill]
    one_colour = len({what.colour for what in things}) == 1
    colours = dice.uniform() < 0.5 and (one_colour or skill is not Skill.COUNTING)
    return ("kind", "colour") if colours else ("kind",)


def _framed(text: str, language: Language, dice: Dice, plain: bool) -> str:
    if plain or dice.uniform() < PLAIN:
        return text
    return dice.choose(language.prompts[1:]).format(list=text)
