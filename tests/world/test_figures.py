import numpy as np
import pytest

from tessera.world.figures import FULL, coverage, fine_map, inside
from tessera.world.scene import STANDARD, Kind

shapes = pytest.mark.parametrize(
    "kind, digit", [(kind, "") for kind in STANDARD.kinds] + [(Kind.DIGIT, digit) for digit in STANDARD.digits]
)


@shapes
def test_nothing_leaves_the_unit_disc(kind, digit):
    steps = np.linspace(-1.3, 1.3, 401)
    x, y = steps[None, :], steps[:, None]
    within = inside(kind, digit, x, y)
    assert within.any()
    assert np.sqrt(x * x + y * y)[within].max() <= 1.0


@shapes
def test_a_whole_pixel_and_a_fraction_make_the_same_mask_moved(kind, digit):
    here = fine_map(kind, digit, 4.0, 6)
    moved = fine_map(kind, digit, 4.0, 6, x=0.25, y=0.5)
    np.testing.assert_array_equal(moved[4:, 2:], here[:-4, :-2])


@pytest.mark.parametrize(
    "kind, area",
    [(Kind.CIRCLE, np.pi), (Kind.RING, np.pi * (1 - 0.55**2)), (Kind.SQUARE, 2.0), (Kind.TRIANGLE, 1.299), (Kind.DIAMOND, 1.24)],
)
def test_coverage_sums_to_the_area(kind, area):
    cover = coverage(kind, "", 5.6, 0.0, 0.0)
    assert cover.min() == 0 and cover.max() == FULL
    assert cover.sum() / FULL == pytest.approx(area * 5.6**2, rel=0.025)


def test_shapes_differ_clearly_even_when_small():
    masks = [coverage(kind, "", 4.0, 0.0, 0.0) for kind in STANDARD.kinds]
    masks += [coverage(Kind.DIGIT, digit, 4.0, 0.0, 0.0) for digit in STANDARD.digits]
    for index, one in enumerate(masks):
        for other in masks[:index]:
            assert np.abs(one - other).sum() / FULL > 0.25 * max(one.sum(), other.sum()) / FULL
