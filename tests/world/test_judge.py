from dataclasses import replace

import pytest

from tessera.world.description import Described, Side
from tessera.world.dice import Dice
from tessera.world.judge import Aspect, Result, judge
from tessera.world.prompts import Prompt, Skill, fitting, prompt
from tessera.world.reading import Reading, SeenThing
from tessera.world.sampling import sample_scene
from tessera.world.scene import EASY, LEVELS, STANDARD, Colour, Kind, Scene, Size, Thing
from tessera.world.wording import ENGLISH

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
PASS, FAIL, UNREADABLE = Result.PASS, Result.FAIL, Result.UNREADABLE


def seen(kind, colour=Colour.RED, place=(0, 0), size=Size.MEDIUM, readable=True, digit=""):
    row, column = place
    return SeenThing(kind, colour, size, digit, row, column, 8.0 + 16 * column, 8.0 + 16 * row, 1.0, readable)


def read(*things, readable=True):
    return Reading(readable, things, 1.0, 0.0)


def perfect(scene: Scene) -> Reading:
    facts = ("kind", "colour", "size", "digit", "row", "column", "x", "y")
    return read(*(SeenThing(**{name: getattr(thing, name) for name in facts}, quality=1.0, readable=True) for thing in scene.things))


def wants(*wanted, skill=Skill.COLOUR_BINDING, relation=None, level=EASY):
    return Prompt("", skill, wanted, relation, level=level)


def results(verdict):
    return [(atom.aspect, atom.thing, atom.result) for atom in verdict.atoms]


RED_CIRCLE = Described(Kind.CIRCLE, Colour.RED)
BLUE_STAR = Described(Kind.STAR, Colour.BLUE)


def test_everything_there():
    verdict = judge(wants(RED_CIRCLE, BLUE_STAR), read(seen(Kind.STAR, Colour.BLUE), seen(Kind.CIRCLE)))
    assert verdict.strict and verdict.geneval and verdict.readable
    assert results(verdict) == [
        (Aspect.EXIST, 0, PASS),
        (Aspect.COLOUR, 0, PASS),
        (Aspect.EXIST, 1, PASS),
        (Aspect.COLOUR, 1, PASS),
        (Aspect.EXTRA, None, PASS),
    ]


def test_a_wrong_colour_fails_alone_and_a_missing_thing_with_all_it_has():
    verdict = judge(wants(RED_CIRCLE, BLUE_STAR), read(seen(Kind.CIRCLE, Colour.GREEN)))
    assert [atom.result for atom in verdict.atoms] == [PASS, FAIL, FAIL, FAIL, PASS]
    assert not verdict.geneval and not verdict.strict


def test_swapped_colours_fail():
    verdict = judge(wants(RED_CIRCLE, BLUE_STAR), read(seen(Kind.CIRCLE, Colour.BLUE), seen(Kind.STAR, Colour.RED)))
    assert [atom.result for atom in verdict.atoms] == [PASS, FAIL, PASS, FAIL, PASS]


def test_extras_fail_strictly_and_pass_as_in_geneval():
    verdict = judge(wants(RED_CIRCLE), read(seen(Kind.CIRCLE), seen(Kind.CIRCLE)))
    assert verdict.geneval and not verdict.strict and verdict.readable
    assert verdict.atoms[-1].result is FAIL


def test_one_seen_thing_is_not_two():
    verdict = judge(wants(Described(Kind.CIRCLE), Described(Kind.CIRCLE)), read(seen(Kind.CIRCLE)))
    assert [atom.result for atom in verdict.atoms] == [PASS, FAIL, PASS]


def test_pairing_is_the_best_for_all_together():
    """Whoever takes the first red circle greedily leaves nothing for the placed one."""
    wanted = wants(Described(Kind.CIRCLE), Described(Kind.CIRCLE, place=(0, 0)))
    assert judge(wanted, read(seen(Kind.CIRCLE, place=(0, 0)), seen(Kind.CIRCLE, place=(1, 1)))).strict


@pytest.mark.parametrize(
    ("number", "others", "strict", "geneval"),
    [(1, 0, False, False), (2, 0, True, True), (2, 1, False, True), (3, 0, False, False)],
)
def test_counting_excludes_more_of_the_kind(number, others, strict, geneval):
    verdict = judge(wants(RED_CIRCLE, RED_CIRCLE, skill=Skill.COUNTING), read(*[seen(Kind.CIRCLE)] * number, *[seen(Kind.RING)] * others))
    assert (verdict.strict, verdict.geneval) == (strict, geneval)


def test_relation_needs_the_side():
    asked = wants(Described(Kind.STAR), Described(Kind.RING), skill=Skill.RELATION, relation=Side.LEFT)
    left, right = seen(Kind.STAR, place=(0, 0)), seen(Kind.RING, place=(0, 1))
    assert judge(asked, read(left, right)).strict
    mirrored = judge(asked, read(seen(Kind.STAR, place=(0, 1)), seen(Kind.RING, place=(0, 0))))
    assert [atom.result for atom in mirrored.atoms] == [PASS, PASS, FAIL, PASS]
    assert judge(asked, read(left)).atoms[2].result is FAIL


def test_relation_may_hold_for_any_of_several():
    asked = wants(Described(Kind.STAR), Described(Kind.RING), skill=Skill.RELATION, relation=Side.LEFT)
    rings = seen(Kind.RING, place=(0, 0)), seen(Kind.RING, place=(1, 1))
    assert judge(asked, read(*rings, seen(Kind.STAR, place=(1, 0)))).geneval


def test_digits_must_be_the_digit():
    four = wants(Described(Kind.DIGIT, digit="4"), skill=Skill.DIGIT, level=STANDARD)
    assert judge(four, read(seen(Kind.DIGIT, size=Size.SMALL, digit="4"))).strict
    verdict = judge(four, read(seen(Kind.DIGIT, size=Size.SMALL, digit="7")))
    assert results(verdict)[:2] == [(Aspect.EXIST, 0, PASS), (Aspect.DIGIT, 0, FAIL)]


def test_an_unreadable_picture_makes_every_atom_unreadable():
    verdict = judge(wants(RED_CIRCLE), read(seen(Kind.CIRCLE), readable=False))
    assert {atom.result for atom in verdict.atoms} == {UNREADABLE}
    assert not verdict.strict and not verdict.geneval and not verdict.readable


def test_an_unreadable_thing_may_be_what_is_missing():
    verdict = judge(wants(RED_CIRCLE, BLUE_STAR), read(seen(Kind.CIRCLE), seen(Kind.RING, readable=False)))
    assert [atom.result for atom in verdict.atoms] == [PASS, PASS, UNREADABLE, UNREADABLE, PASS]


def test_an_unreadable_thing_is_a_doubtful_extra_and_a_doubtful_count():
    blurred = seen(Kind.CIRCLE, readable=False)
    assert judge(wants(RED_CIRCLE), read(seen(Kind.CIRCLE), blurred)).atoms[-1].result is UNREADABLE
    pair = wants(RED_CIRCLE, RED_CIRCLE, skill=Skill.COUNTING)
    assert judge(pair, read(seen(Kind.CIRCLE), blurred)).atoms[-2].result is UNREADABLE
    assert judge(pair, read(*[seen(Kind.CIRCLE)] * 3, blurred)).atoms[-2].result is FAIL


@levels
def test_every_prompt_passes_on_its_own_scene(level):
    for index in range(500):
        scene = sample_scene(level, "train", index)
        for skill in fitting(scene, level):
            asked = prompt(scene, level, ENGLISH, skill, Dice("own", index))
            verdict = judge(asked, perfect(scene))
            assert verdict.strict and verdict.geneval


def near_misses(asked: Prompt, scene: Scene, level):
    """The scene with one asked-for attribute of one thing changed to what no other wanted thing could stand for."""
    for i, thing in enumerate(scene.things):
        what = next(what for what in asked.wanted if what.fits(thing))
        changed = [replace(thing, kind=kind, digit="") for kind in level.kinds if kind is not thing.kind][:2]
        if what.colour:
            changed += [replace(thing, colour=colour) for colour in level.colours if colour is not thing.colour][:2]
        if what.size:
            changed += [replace(thing, size=size) for size in level.radius if size is not thing.size]
        if what.place:
            changed.append(replace(thing, row=(thing.row + 1) % level.grid))
        if what.digit:
            changed += [replace(thing, digit=digit) for digit in level.digits if digit != thing.digit]
        for new in changed:
            yield Scene(tuple(new if j == i else other for j, other in enumerate(scene.things)))


@levels
def test_every_near_miss_fails(level):
    tried = 0
    for index in range(150):
        scene = sample_scene(level, "train", index)
        for skill in fitting(scene, level):
            asked = prompt(scene, level, ENGLISH, skill, Dice("miss", index))
            for missed in near_misses(asked, scene, level):
                assert not judge(asked, perfect(missed)).strict, (asked, missed)
                tried += 1
            fewer, more = Scene(scene.things[1:]), Scene((*scene.things, _extra(level)))
            assert not judge(asked, perfect(fewer)).geneval
            assert not judge(asked, perfect(more)).strict
    assert tried > 1500


def _extra(level):
    return Thing(level.kinds[0], Colour.RED, next(iter(level.radius)), 0, 0, 5.0, 5.0)


@levels
def test_what_a_prompt_leaves_open_may_be_anything(level):
    for index in range(150):
        scene = sample_scene(level, "train", index)
        moved = Scene(tuple(replace(thing, colour=Colour.BLACK, row=0, column=0) for thing in scene.things))
        for skill in set(fitting(scene, level)) & {Skill.SINGLE_OBJECT, Skill.TWO_OBJECTS, Skill.SIZE}:
            assert judge(prompt(scene, level, ENGLISH, skill, Dice("open", index)), perfect(moved)).strict
