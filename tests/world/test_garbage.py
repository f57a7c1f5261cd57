import pytest
import torch

from tessera.world.certify import Readers, rendered, sample_shown
from tessera.world.garbage import DISFIGURED, FAR, GARBAGE, cut_in_two, flat, mean_scene, other_hues, outlines, shuffle
from tessera.world.render import render
from tessera.world.scene import BACKGROUND, EASY, LEVELS, Colour, Kind, Scene, Size, Thing

# The least share of things disfigured that are unreadable, and that are not read as what they were, and the greatest that is surely read as
# some scene: some points off what was measured of 500.
UNREADABLE, REFUSED, SURE = 0.8, 0.95, 0.1


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def square() -> torch.Tensor:
    scene = Scene((Thing(Kind.SQUARE, Colour.RED, Size.MEDIUM, 0, 0, 10.0, 10.0),))
    return torch.from_numpy(render(scene, EASY))[None]


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_garbage_is_unreadable(level):
    readers, shown = Readers(level), [sample_shown(level, 2, index) for index in range(48)]
    pictures = rendered(shown, level)
    for name, make in GARBAGE.items():
        row = readers.garbage_row(name, shown, make(pictures, rng()))
        assert not row.disfigured and row.unreadable.hits >= 47, name
        assert row.refused.hits == 48 and row.confirmed.hits == 0, name


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_things_disfigured_are_seldom_readable_and_hardly_ever_surely_or_what_they_were(level):
    readers, shown = Readers(level), [sample_shown(level, 2, index) for index in range(48)]
    pictures = rendered(shown, level)
    for name, make in DISFIGURED.items():
        row = readers.garbage_row(name, shown, make(pictures, rng()))
        assert row.disfigured and row.sure.share <= SURE, name
        assert row.unreadable.share >= UNREADABLE and row.refused.share >= REFUSED, name
        assert max(row.sure.hits, row.confirmed.hits) <= row.plausible.hits <= row.unreadable.of - row.unreadable.hits


@pytest.mark.parametrize(("name", "make"), (GARBAGE | DISFIGURED).items(), ids=GARBAGE | DISFIGURED)
def test_garbage_keeps_shape_and_type_and_follows_the_generator(name, make):
    pictures = rendered([sample_shown(EASY, 1, index) for index in range(3)], EASY)
    one, other = (make(pictures, rng()) for _ in range(2))
    assert one.shape == pictures.shape and one.dtype == torch.uint8
    assert torch.equal(one, other)
    assert not any(map(torch.equal, one, pictures))


def test_shuffling_keeps_the_parts():
    pictures = square()
    for parts in ((8, 4), (8, 8)):
        assert torch.equal(
            shuffle(pictures, rng(), rows=parts[0], columns=parts[1]).flatten(2).sort(2).values, pictures.flatten(2).sort(2).values
        )


def test_every_thing_is_cut_in_two():
    things = tuple(Thing(Kind.SQUARE, colour, Size.MEDIUM, 0, 0, x, 10.0) for colour, x in ((Colour.RED, 9.0), (Colour.BLUE, 24.0)))
    whole = torch.from_numpy(render(Scene(things), EASY))[None]
    apart = lambda seen: (seen.float() - BACKGROUND[0]).abs().sum((0, 1, 2))
    left, all_of_it = apart(cut_in_two(whole, rng())), apart(whole)
    for side in (slice(0, 16), slice(16, 32)):
        assert 0.3 < left[side].sum() / all_of_it[side].sum() < 0.51  # corners too faint to be the thing stay


def test_outlines_stand_around_what_is_emptied():
    rim = outlines(square(), rng())
    assert rim[0, :, 10, 10].tolist() == list(BACKGROUND)
    stands_out = (square() - torch.tensor(BACKGROUND)[:, None, None]).abs().sum(1) > 60
    coloured = (rim != torch.tensor(BACKGROUND)[:, None, None]).any(1)
    assert coloured.sum() > 30 and not (coloured & stands_out).any()
    assert rim[0][:, coloured[0]].unique(dim=1).T.tolist() == [list(Colour.RED.value)]


def test_other_hues_are_no_colour_of_a_thing():
    colours = torch.tensor([colour.value for colour in Colour], dtype=torch.uint8)
    turned = other_hues(colours[:, :, None, None], rng())[..., 0, 0]
    assert torch.cdist(turned.float(), colours.float()).min() > 60


def test_the_mean_of_one_scene_is_the_scene_and_flat_is_flat():
    assert torch.equal(mean_scene(square(), rng()), square())
    one_colour = flat(square().expand(500, -1, -1, -1), rng()).flatten(2)
    assert (one_colour.float().std(2) == 0).all()
    away = (one_colour[:, 0, 0].int() - BACKGROUND[0]).abs()
    assert away.min() >= FAR and len(away.unique()) > 80
