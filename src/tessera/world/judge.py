"""Whether a picture, as the oracle reads it, shows what a prompt asks for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product

from tessera.world.description import Described, sides
from tessera.world.prompts import Prompt, Skill
from tessera.world.reading import Reading, SeenThing


class Result(Enum):
    """Of one atom. UNREADABLE counts as failed in every headline."""

    PASS = "pass"
    FAIL = "fail"
    UNREADABLE = "unreadable"


class Aspect(Enum):
    """What an atom is about: a wanted thing, one of its attributes, or the picture as a whole."""

    EXIST = "exist"
    COLOUR = "colour"
    SIZE = "size"
    PLACE = "place"
    DIGIT = "digit"
    COUNT = "count"
    RELATION = "relation"
    EXTRA = "extra"


@dataclass(frozen=True)
class Atom:
    """One thing asked for and how it went; `thing` is its index among the wanted, None for the picture as a whole."""

    aspect: Aspect
    thing: int | None
    result: Result


@dataclass(frozen=True)
class Verdict:
    """The atoms of one prompt. EXTRA asks that nothing but the wanted is there."""

    atoms: tuple[Atom, ...]

    @property
    def strict(self) -> bool:
        """Everything passes, and nothing unwanted is there: the headline."""
        return all(atom.result is Result.PASS for atom in self.atoms)

    @property
    def geneval(self) -> bool:
        """As GenEval counts: unwanted things pass, except more of the counted kind."""
        return all(atom.result is Result.PASS for atom in self.atoms if atom.aspect is not Aspect.EXTRA)

    @property
    def readable(self) -> bool:
        """Nothing is unreadable."""
        return all(atom.result is not Result.UNREADABLE for atom in self.atoms)


Pairing = tuple[int | None, ...]  # for each wanted thing, the index of a seen one


def judge(prompt: Prompt, reading: Reading) -> Verdict:
    """Every atom of the prompt, under the pairing of wanted with seen things that passes most atoms.

    A wanted thing is paired with one of its kind, with one that is unreadable (its atoms are then unreadable), or with none
    (its atoms then fail: the attributes of a missing thing are missing). No seen thing is paired twice.
    The relation follows GenEval's rule, see `description.sides`. Of an unreadable picture every atom is unreadable.
    """
    if not reading.readable:
        atoms = _atoms(prompt, (None,) * len(prompt.wanted), reading.things)
        return Verdict(tuple(Atom(atom.aspect, atom.thing, Result.UNREADABLE) for atom in atoms))
    return max((Verdict(_atoms(prompt, pairing, reading.things)) for pairing in _pairings(prompt, reading.things)), key=_worth)


def _worth(verdict: Verdict) -> tuple[int, int]:
    results = [atom.result for atom in verdict.atoms]
    return results.count(Result.PASS), results.count(Result.UNREADABLE)


def _pairings(prompt: Prompt, seen: Sequence[SeenThing]) -> Iterator[Pairing]:
    """Every way to pair wanted things with seen ones that could be them."""
    choices: list[list[int | None]] = []
    for what in prompt.wanted:
        could_be = [i for i, thing in enumerate(seen) if not thing.readable or what.kind in (None, thing.kind)]
        choices.append([*could_be, None])
    for pairing in product(*choices):
        taken = [i for i in pairing if i is not None]
        if len(set(taken)) == len(taken):
            yield pairing


def _atoms(prompt: Prompt, pairing: Pairing, seen: Sequence[SeenThing]) -> tuple[Atom, ...]:
    paired = [None if i is None else seen[i] for i in pairing]
    atoms = [atom for i, what in enumerate(prompt.wanted) for atom in _thing_atoms(i, what, paired[i])]
    if prompt.skill is Skill.COUNTING:
        atoms.append(Atom(Aspect.COUNT, None, _count(prompt, seen)))
    if prompt.relation is not None:
        atoms.append(Atom(Aspect.RELATION, None, _relation(prompt, paired)))
    left = [thing for i, thing in enumerate(seen) if i not in pairing]
    atoms.append(Atom(Aspect.EXTRA, None, _extra(left)))
    return tuple(atoms)


def _thing_atoms(index: int, what: Described, seen: SeenThing | None) -> list[Atom]:
    asked = [
        (Aspect.EXIST, True, True),
        (Aspect.COLOUR, what.colour, seen and seen.colour),
        (Aspect.SIZE, what.size, seen and seen.size),
        (Aspect.PLACE, what.place, seen and (seen.row, seen.column)),
        (Aspect.DIGIT, what.digit or None, seen and seen.digit),
    ]
    return [Atom(aspect, index, _result(seen, value == found)) for aspect, value, found in asked if value is not None]


def _result(seen: SeenThing | None, true: bool) -> Result:
    if seen is None:
        return Result.FAIL
    if not seen.readable:
        return Result.UNREADABLE
    return Result.PASS if true else Result.FAIL


def _count(prompt: Prompt, seen: Sequence[SeenThing]) -> Result:
    """Exactly so many of the counted kind; things that cannot be read may or may not be of it."""
    wanted = len(prompt.wanted)
    certain = sum(thing.readable and thing.kind is prompt.wanted[0].kind for thing in seen)
    doubtful = sum(not thing.readable for thing in seen)
    if doubtful and certain <= wanted <= certain + doubtful:
        return Result.UNREADABLE
    return Result.PASS if certain == wanted else Result.FAIL


def _relation(prompt: Prompt, paired: Sequence[SeenThing | None]) -> Result:
    first, second = paired
    if first is None or second is None:
        return Result.FAIL
    if not (first.readable and second.readable):
        return Result.UNREADABLE
    return Result.PASS if prompt.relation in sides(first, second, prompt.level) else Result.FAIL


def _extra(left: Sequence[SeenThing]) -> Result:
    if any(thing.readable for thing in left):
        return Result.FAIL
    return Result.UNREADABLE if left else Result.PASS
