"""Questions about a scene with one short answer; what the answer shall be is chosen before the scene."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import permutations, product

from tessera.world.description import Described, clear_sides, described, sized
from tessera.world.dice import Dice
from tessera.world.referring import nameable, only, refer
from tessera.world.scene import Kind, Level, Scene, Size, Thing
from tessera.world.wording.language import Language


class QuestionKind(Enum):
    """What a question asks for."""

    EXIST = "exist"
    COUNT = "count"
    COLOUR = "colour"
    SHAPE = "shape"
    POSITION = "position"
    SIZE = "size"
    RELATION = "relation"
    DIGIT = "digit"
    COMPARE = "compare"


class Form(Enum):
    """The forms of the kinds that have several."""

    PLAIN = "plain"
    AT = "at"
    ALL = "all"
    MORE = "more"
    SAME_COLOUR = "same colour"
    LARGER = "larger"


@dataclass(frozen=True)
class Question:
    """A question, its answer (one word or a short phrase), and what it asks for."""

    text: str
    answer: str
    kind: QuestionKind


@dataclass(frozen=True)
class Aim:
    """What is asked before any scene is looked at: the kind, its form, the attributes it names, and the answer.

    `answer` is whether (for yes or no), how many, which size or place, or None where scenes make all answers as likely by
    themselves: large things fit less often than small ones, and the middle less often than corners, but colours are fair.
    """

    kind: QuestionKind
    form: Form = Form.PLAIN
    said: tuple[str, ...] = ()
    answer: bool | int | Size | tuple[int, int] | None = None

    def scenes(self, level: Level, dice: Dice) -> tuple[int | None, bool | None]:
        """How many things, and whether all alike, the scenes should have that are likely to fit: for `sample_scene`."""
        if self.kind is QuestionKind.COMPARE:
            return level.most, False
        if self.kind is not QuestionKind.COUNT or not isinstance(self.answer, int) or self.answer == 0:
            return None, None
        if self.form is Form.ALL:
            return self.answer, None
        rare = self.answer == level.most or len(self.said) > 1
        if self.answer > 1 and (rare or dice.uniform() < 0.5):
            return self.answer, True
        return max(self.answer, level.most - dice.below(2)), False


def question_kinds(level: Level) -> tuple[QuestionKind, ...]:
    """The kinds of question this level knows."""
    missing = set()
    if not sized(level):
        missing.add(QuestionKind.SIZE)
    if not level.relations:
        missing |= {QuestionKind.RELATION, QuestionKind.COMPARE}
    if not level.digits:
        missing.add(QuestionKind.DIGIT)
    return tuple(kind for kind in QuestionKind if kind not in missing)


def aim(level: Level, dice: Dice, kind: QuestionKind | None = None) -> Aim:
    """What to ask, each kind and then each answer as likely."""
    kind = kind or dice.choose(question_kinds(level))
    yes = dice.uniform() < 0.5
    names = [("kind",), ("colour",), ("kind", "colour")]
    if kind is QuestionKind.EXIST:
        sizes = [("kind", "size"), ("kind", "colour", "size")] if sized(level) else []
        form = dice.weighted((Form.PLAIN, Form.AT), (3.0, 1.0))
        return Aim(kind, form, dice.choose([*names, ("kind", "colour"), *sizes]), yes)
    if kind is QuestionKind.COUNT:
        form = dice.weighted((Form.PLAIN, Form.ALL), (4.0, 1.0))
        least = 1 if form is Form.ALL else 0
        return Aim(kind, form, dice.choose(names), least + dice.below(level.most + 1 - least))
    if kind is QuestionKind.COMPARE:
        form = dice.choose((Form.MORE, Form.SAME_COLOUR, Form.LARGER))
        return Aim(kind, form, dice.choose([("kind",), ("colour",)]), yes)
    if kind is QuestionKind.SIZE:
        return Aim(kind, answer=dice.choose(tuple(level.radius)))
    if kind is QuestionKind.POSITION:
        return Aim(kind, answer=(dice.below(level.grid), dice.below(level.grid)))
    return Aim(kind, answer=yes if kind is QuestionKind.RELATION else None)


def ask(scene: Scene, level: Level, language: Language, dice: Dice, aimed: Aim | None = None) -> Question | None:
    """A question about the scene as aimed at, or None where the scene cannot be asked so.

    Without an aim, one is drawn until it fits; only the first way, with a scene sought for the aim, balances the answers.
    Whatever a question names, it names uniquely, and never by what it asks for.
    """
    if aimed is None:
        question = None
        while question is None:
            question = ask(scene, level, language, dice, aim(level, dice))
        return question
    filled = _ASKERS[aimed.kind](aimed, scene, level, language, dice)
    if filled is None:
        return None
    phrasings, slots, answer = filled
    return Question(dice.choose(phrasings).format(**slots), answer, aimed.kind)


Filled = tuple[tuple[str, ...], dict[str, str], str] | None  # phrasings, what fills their slots, the answer


def _truth(language: Language, yes: object) -> str:
    return language.yes if yes else language.no


def _exist(aimed: Aim, scene: Scene, level: Level, language: Language, dice: Dice) -> Filled:
    said = (*aimed.said, "place") if aimed.form is Form.AT else aimed.said
    things = nameable(scene) if "kind" in said else scene.things
    if not things:
        return None
    what = only(described(dice.choose(things), level), said)
    if not aimed.answer:
        what = _near_miss(what, said, scene, level, dice)
    slots = {"a": language.a(what), "the": language.bare(what)}
    if what.place is None:
        return language.questions.exist, slots, _truth(language, aimed.answer)
    return language.questions.exist_at, slots | {"at": language.at_place(what.place, level.grid)}, _truth(language, aimed.answer)


def _near_miss(what: Described, said: tuple[str, ...], scene: Scene, level: Level, dice: Dice) -> Described:
    """A description one attribute off that nothing fits; half of the time, where it can, made of what the scene holds."""
    every = {
        "kind": level.kinds,
        "colour": level.colours,
        "size": tuple(level.radius),
        "place": tuple(product(range(level.grid), repeat=2)),
    }
    seen = [described(thing, level) for thing in scene.things]
    misses, tempting = [], []
    for name in said:
        here = {getattr(one, name) for one in seen}
        for value in every[name]:
            changed = Described(**{one: getattr(what, one) for one in said} | {name: value})
            if not any(map(changed.fits, scene.things)):
                misses.append(changed)
                if value in here:
                    tempting.append(changed)
    return dice.choose(tempting if tempting and dice.uniform() < 0.5 else misses)


def _count(aimed: Aim, scene: Scene, level: Level, language: Language, dice: Dice) -> Filled:
    assert isinstance(aimed.answer, int)
    answer = language.numbers[aimed.answer]
    if aimed.form is Form.ALL:
        fits = len(scene.things) == aimed.answer
        return (language.questions.count, {"many": language.many(Described())}, answer) if fits else None
    kinds = level.kinds if "kind" in aimed.said else (None,)
    colours = level.colours if "colour" in aimed.said else (None,)
    here = Counter(only(described(thing, level), aimed.said) for thing in nameable(scene))
    every = [Described(kind, colour) for kind, colour in product(kinds, colours)]
    found = [what for what in every if _number(what, here, scene) == aimed.answer]
    if aimed.answer == 0:
        near = [what for what in found if any(what.kind is one.kind or what.colour is one.colour for one in scene.things)]
        found = near if near and dice.uniform() < 0.5 else found
    return (language.questions.count, {"many": language.many(dice.choose(found))}, answer) if found else None


def _number(what: Described, here: Counter[Described], scene: Scene) -> int:
    """How many things fit: counted once by name, or one by one where a digit may share the colour."""
    return here[what] if what.kind else sum(map(what.fits, scene.things))


def _asking(attribute: str, phrasings: Callable, answer: Callable) -> Callable[..., Filled]:
    """One who asks for an attribute of a thing, named by the others."""
    names = tuple(name for name in ("kind", "colour", "size", "place") if name != attribute)

    def asker(aimed: Aim, scene: Scene, level: Level, language: Language, dice: Dice) -> Filled:
        things = nameable(scene) if attribute == "kind" else scene.things
        things = [thing for thing in things if aimed.answer in (None, getattr(described(thing, level), attribute))]
        if not things:
            return None
        thing = dice.choose(things)
        what = refer(thing, scene, level, names, dice)
        if what is None:
            return None
        return phrasings(language.questions), {"the": language.one(what, level.grid)}, answer(language, thing, level)

    return asker


def _digit(aimed: Aim, scene: Scene, level: Level, language: Language, dice: Dice) -> Filled:
    digits = [thing for thing in scene.things if thing.kind is Kind.DIGIT]
    if not digits:
        return None
    thing = dice.choose(digits)
    what = refer(thing, Scene(tuple(digits)), level, ("colour", "size", "place"), dice)
    assert what is not None
    what = Described(Kind.DIGIT, what.colour, what.size, what.place)
    return language.questions.digit, {"the": language.one(what, level.grid)}, thing.digit


def _relation(aimed: Aim, scene: Scene, level: Level, language: Language, dice: Dice) -> Filled:
    found = _pair(scene, level, ("kind", "colour", "size"), dice, lambda a, b: bool(clear_sides(a, b, level)))
    if found is None:
        return None
    (a, the), (b, other) = found
    side = dice.choose(clear_sides(a, b, level))
    slots = {"the": language.one(the, level.grid), "other": language.one(other, level.grid)}
    slots["side"] = language.sides[side if aimed.answer else side.opposite]
    return language.questions.relation, slots, _truth(language, aimed.answer)


def _compare(aimed: Aim, scene: Scene, level: Level, language: Language, dice: Dice) -> Filled:
    answer = _truth(language, aimed.answer)
    if aimed.form is Form.MORE:
        unequal = _unequal(aimed, scene, level, dice)
        if unequal is None:
            return None
        return language.questions.more, {"many": language.many(unequal[0]), "others": language.many(unequal[1])}, answer
    if aimed.form is Form.SAME_COLOUR:
        names, phrasings = ("kind", "size", "place"), language.questions.same_colour
        found = _pair(scene, level, names, dice, lambda a, b: (a.colour is b.colour) is aimed.answer)
    else:
        names, larger = ("kind", "colour", "place"), dice.uniform() < 0.5
        phrasings = language.questions.larger if larger else language.questions.smaller
        first = Size.LARGE if larger is aimed.answer else Size.SMALL
        found = _pair(scene, level, names, dice, lambda a, b: a.size is first and b.size is not first)
    if found is None:
        return None
    (_, the), (_, other) = found
    return phrasings, {"the": language.one(the, level.grid), "other": language.one(other, level.grid)}, answer


def _unequal(aimed: Aim, scene: Scene, level: Level, dice: Dice) -> tuple[Described, Described] | None:
    """Two kinds, or two colours, that are there in different numbers, in the order that makes the answer true."""
    things = nameable(scene) if "kind" in aimed.said else scene.things
    here = Counter(only(described(thing, level), aimed.said) for thing in things)
    pairs = [(a, b) for a, b in permutations(here, 2) if here[a] != here[b] and (here[a] > here[b]) is aimed.answer]
    return dice.choose(pairs) if pairs else None


Named = tuple[Thing, Described]


def _pair(scene: Scene, level: Level, names: tuple[str, ...], dice: Dice, suits: Callable) -> tuple[Named, Named] | None:
    """Two things that suit, in random order, each with a name that fits it alone."""
    pairs = [pair for pair in permutations(scene.things, 2) if suits(*pair)]
    if not pairs:
        return None
    a, b = dice.choose(pairs)
    the, other = refer(a, scene, level, names, dice), refer(b, scene, level, names, dice)
    return ((a, the), (b, other)) if the and other else None


_ASKERS: dict[QuestionKind, Callable[..., Filled]] = {
    QuestionKind.EXIST: _exist,
    QuestionKind.COUNT: _count,
    QuestionKind.COLOUR: _asking("colour", lambda q: q.colour, lambda language, thing, level: language.colours[thing.colour]),
    QuestionKind.SHAPE: _asking("kind", lambda q: q.shape, lambda language, thing, level: language.kinds[thing.kind].one),
    QuestionKind.POSITION: _asking(
        "place", lambda q: q.position, lambda language, thing, level: language.place((thing.row, thing.column), level.grid)
    ),
    QuestionKind.SIZE: _asking("size", lambda q: q.size, lambda language, thing, level: language.sizes[thing.size]),
    QuestionKind.RELATION: _relation,
    QuestionKind.DIGIT: _digit,
    QuestionKind.COMPARE: _compare,
}
