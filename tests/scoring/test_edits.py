from math import sqrt

import pytest
import torch

from tessera.scoring.edits import edit_score, untouched_pixels


def thing(name: str, colour: str, place: float = 0.0) -> dict:
    return {(name, "kind"): name, (name, "colour"): colour, (name, "place"): place}


SOURCE = thing("star", "red") | thing("moon", "blue", 5.0) | thing("cup", "green", 9.0)
RECOLOURED = SOURCE | {("star", "colour"): "blue"}


def test_a_right_edit():
    score = edit_score(SOURCE, RECOLOURED, RECOLOURED)
    assert (score.done, score.kept, score.overall) == (1.0, 1.0, 1.0)


def test_identity_has_done_nothing():
    score = edit_score(SOURCE, RECOLOURED, SOURCE)
    assert (score.done, score.kept, score.overall) == (0.0, 1.0, 0.0)


def test_repainting_everything_has_kept_nothing():
    repainted = {slot: "other" for slot in SOURCE} | {("star", "colour"): "blue"}
    score = edit_score(SOURCE, RECOLOURED, repainted)
    assert (score.done, score.kept, score.overall) == (1.0, 0.0, 0.0)


def test_shares_by_hand():
    found = RECOLOURED | {("moon", "colour"): "red", ("star", "kind"): "cup"}  # the star's kind is not of the delta, nor untouched
    score = edit_score(SOURCE, RECOLOURED, found)
    assert (score.done, score.kept) == (1.0, 5 / 6) and score.overall == pytest.approx(sqrt(5 / 6))


def test_adding_and_removing():
    without = thing("moon", "blue", 5.0) | thing("cup", "green", 9.0)
    assert edit_score(SOURCE, without, without).overall == 1.0
    assert edit_score(SOURCE, without, SOURCE).done == 0.0
    assert edit_score(without, SOURCE, without | thing("star", "green")).done == pytest.approx(2 / 3)
    assert edit_score(SOURCE, without, {}).kept == 0.0


def test_places_may_shift_a_little():
    moved = RECOLOURED | {("moon", "place"): 5.4}
    near = lambda slot, a, b: a == b or (slot[1] == "place" and None not in (a, b) and abs(a - b) < 0.5)
    assert edit_score(SOURCE, RECOLOURED, moved).kept == 5 / 6
    assert edit_score(SOURCE, RECOLOURED, moved, same=near).kept == 1.0


def test_an_edit_asks_for_something():
    with pytest.raises(ValueError, match="wanted equals the source"):
        edit_score(SOURCE, SOURCE, SOURCE)


def test_pixels_outside():
    source, touched = torch.zeros(3, 8, 8), torch.zeros(8, 8, dtype=torch.bool)
    touched[2:4, 2:4] = True
    inside, outside = source.clone(), source.clone()
    inside[:, 1:5, 1:5] = 1.0  # the mask grown by one pixel
    outside[:, 0, :] = 0.5  # 8 of the 48 pixels left
    assert untouched_pixels(source, inside, touched) == 1.0
    assert untouched_pixels(source, inside, touched, margin=0) == pytest.approx(1 - 12 / 60)
    assert untouched_pixels(source, outside, touched) == pytest.approx(1 - 0.5 * 8 / 48)


def test_something_lies_outside():
    with pytest.raises(ValueError, match="covers all 64 pixels"):
        untouched_pixels(torch.zeros(3, 8, 8), torch.zeros(3, 8, 8), torch.ones(8, 8, dtype=torch.bool))
