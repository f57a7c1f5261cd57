import pytest

from tessera.world.description import Described, Side, clear_sides, described, in_reading_order, sides
from tessera.world.scene import EASY, STANDARD, Colour, Kind, Scene, Size, Thing


def thing(x, y, size=Size.LARGE, kind=Kind.CIRCLE, digit=""):
    return Thing(kind, Colour.RED, size, int(y * 3 / 32), int(x * 3 / 32), float(x), float(y), digit)


@pytest.mark.parametrize(
    ("dx", "dy", "expected"),
    [
        (-10, 0, {Side.LEFT}),
        (10, 0, {Side.RIGHT}),
        (0, -10, {Side.ABOVE}),
        (0, 10, {Side.BELOW}),
        (-10, -10, {Side.LEFT, Side.ABOVE}),  # (10 - 2.24) / 14.14 = .549
        (-9, -11, {Side.ABOVE}),  # (9 - 2.24) / 14.21 = .476 and (11 - 2.24) / 14.21 = .616
        (2, 0, set()),  # within the margin of 2.24
        (0, 0, set()),
    ],
)
def test_sides_follow_genevals_arithmetic(dx, dy, expected):
    a, b = thing(16 + dx, 16 + dy), thing(16, 16)
    assert sides(a, b, STANDARD) == expected
    assert sides(b, a, STANDARD) == {side.opposite for side in expected}


def test_small_things_have_smaller_margins():
    assert sides(thing(12, 16, Size.SMALL), thing(16, 16, Size.SMALL), STANDARD) == {Side.LEFT}  # (4 - 1.6) / 4 = .6
    assert sides(thing(12, 16), thing(16, 16), STANDARD) == set()  # (4 - 2.24) / 4 = .44


def test_text_states_only_sides_that_are_clear():
    small = thing(16, 16, Size.SMALL)
    assert clear_sides(thing(12, 16, Size.SMALL), small, STANDARD) == []  # 4 of 32 pixels is less than 15 %
    assert clear_sides(thing(11, 16, Size.SMALL), small, STANDARD) == [Side.LEFT]


def test_a_description_fits_what_it_says_and_leaves_the_rest_open():
    star = Thing(Kind.STAR, Colour.BLUE, Size.SMALL, 0, 2, 27.0, 5.0)
    assert Described().fits(star)
    assert Described(Kind.STAR, Colour.BLUE, Size.SMALL, (0, 2)).fits(star)
    for wrong in (
        Described(Kind.RING),
        Described(colour=Colour.RED),
        Described(size=Size.LARGE),
        Described(place=(2, 0)),
        Described(digit="4"),
    ):
        assert not wrong.fits(star)


def test_one_size_is_never_mentioned():
    ring = Thing(Kind.RING, Colour.RED, Size.MEDIUM, 1, 0, 8.0, 24.0)
    assert described(ring, EASY) == Described(Kind.RING, Colour.RED, None, (1, 0))


def test_reading_order_goes_by_rows():
    a, b, c = thing(26, 5), thing(5, 16), thing(16, 5)
    assert in_reading_order(Scene((b, a, c))) == [c, a, b]
