"""Edits by whoever knows them, by who changes too much, and by who changes nothing."""

from dataclasses import replace

import pytest
import torch
from exams.players import values

from tessera.exams import Editing
from tessera.exams.editing import elsewhere
from tessera.world import Colour, Scene, World

EASY = World.easy()
MEANS = ("done", "kept", "balance", "pixels")


@pytest.fixture(scope="module")
def exam():
    return Editing(EASY, 3)


def means(found) -> dict[str, float]:
    return {name: values(found)[f"editing.{name}"] for name in MEANS}


def test_who_does_just_what_is_asked_has_all(exam):
    found = exam.report([EASY.picture(one.after) for one in exam.edits])
    assert set(values(found).values()) == {1.0}
    assert found.scores["editing.overall"].n == 3 * 5 == len(exam.cases)


def test_who_gives_the_picture_back_has_kept_all_and_done_nothing(exam):
    found = exam.report(exam.sources)
    assert means(found) == {"done": 0.0, "kept": 1.0, "balance": 0.0, "pixels": 1.0} and values(found)["editing.overall"] == 0.0


def test_who_does_it_and_recolours_a_thing_beside_has_not_kept_that(exam):
    """Of the slots of a thing beside (kind, colour, size, digit) one is another."""
    drawn, kept = [], []
    for one in exam.edits:
        beside = [thing for thing in one.after.things if thing in one.before.things]
        other = next((colour for colour in Colour if beside and colour is not beside[0].colour), None)
        changed = [replace(thing, colour=other) if thing in beside[:1] else thing for thing in one.after.things]
        drawn.append(EASY.picture(Scene(tuple(changed))))
        kept.append(1 - bool(beside) / (4 * max(1, len(beside))))
    found = exam.report(drawn)
    assert means(found)["done"] == 1.0 and means(found)["kept"] == pytest.approx(sum(kept) / len(kept)) and means(found)["kept"] < 1
    assert 0.95 < means(found)["pixels"] < 1.0


def test_pixels_are_those_where_nothing_was_to_change():
    before = torch.zeros(3, 8, 8, dtype=torch.uint8)
    after, found = before.clone(), before.clone()
    after[:, 2:4, 2:4] = 200
    found[:, 1:5, 1:5] = 255  # what was to change, and a pixel around it
    assert elsewhere(before, after, found) == 1.0
    found[:, 7, :] = 51
    assert elsewhere(before, after, found) == pytest.approx(1 - 0.2 * 8 / 48)
