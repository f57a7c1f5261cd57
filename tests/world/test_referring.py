from collections import Counter

from tessera.world.description import Described
from tessera.world.dice import Dice
from tessera.world.referring import nameable, only, refer, unique
from tessera.world.sampling import sample_scene
from tessera.world.scene import EASY, STANDARD, Colour, Kind, Scene, Size, Thing

EVERY = ("kind", "colour", "size", "place")


def test_names_fit_one_thing_alone():
    for index in range(300):
        scene = sample_scene(STANDARD, "train", index)
        for i, thing in enumerate(scene.things):
            name = refer(thing, scene, STANDARD, EVERY, Dice("name", index, i))
            assert unique(name, scene) and name.fits(thing)


def test_a_name_says_only_what_it_may():
    red = Thing(Kind.STAR, Colour.RED, Size.MEDIUM, 0, 0, 8.0, 8.0)
    blue = Thing(Kind.STAR, Colour.BLUE, Size.MEDIUM, 1, 1, 24.0, 24.0)
    scene = Scene((red, blue))
    assert refer(red, scene, EASY, ("kind",), Dice(0)) is None
    names = Counter(refer(red, scene, EASY, ("kind", "colour"), Dice(i)) for i in range(50))
    assert set(names) == {Described(colour=Colour.RED), Described(Kind.STAR, Colour.RED)}


def test_a_digit_is_named_with_its_kind():
    four = Described(Kind.DIGIT, Colour.RED, Size.SMALL, (0, 0), "4")
    assert only(four, ("kind", "size")) == Described(Kind.DIGIT, size=Size.SMALL, digit="4")
    assert only(four, ("colour",)) == Described(colour=Colour.RED)


def test_digits_are_no_shapes():
    scene = Scene(
        (Thing(Kind.DIGIT, Colour.RED, Size.SMALL, 0, 0, 5.0, 5.0, "4"), Thing(Kind.RING, Colour.RED, Size.SMALL, 2, 2, 27.0, 27.0))
    )
    assert nameable(scene) == [scene.things[1]]
