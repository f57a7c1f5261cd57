from collections import Counter

import pytest
import torch
from exams.players import FEW, Truth, nonsense, taken, values

from tessera.document import Image, Text
from tessera.exams import Drawing
from tessera.exams import drawing as module
from tessera.exams.drawing import GENEVAL, atoms, audited, told
from tessera.scoring import wilson
from tessera.world import Aspect, Atom, Colour, Kind, Result, Scene, Size, Thing, Verdict, World, skills
from tessera.world.corruptions import blur
from tessera.world.oracle import Oracle
from tessera.world.rates import Rate

EASY = World.easy()
SKILLS = skills(EASY.level)


@pytest.fixture(scope="module")
def exam():
    """Two prompts of every skill."""
    return Drawing(EASY, FEW["drawing"])


def test_every_skill_is_asked_for_in_plain_words(exam):
    assert exam.want is Image and len(exam.cases) == 2 * len(SKILLS)
    prompts = [EASY.prompt(skill, i, "test").text for skill in SKILLS for i in range(2)]
    assert [case.prompt[0].content for case in exam.cases] == prompts
    assert all(len(case.prompt) == 1 and isinstance(case.prompt[0], Text) for case in exam.cases)
    assert len({case.scene for case in exam.cases}) == len(exam.cases)


def test_the_truth_scores_one(exam, truth):
    found = taken(exam, truth)
    assert found.scores.keys() == {
        f"drawing.{name}"
        for name in (*(skill.value for skill in SKILLS), "overall", "geneval", "readable", "atoms", "audited", "confirmed", "same_scene")
    }
    assert set(values(found).values()) == {1.0}
    assert {name: beside["ceiling"] for name, beside in found.references.items()} == {
        name: 1.0 for name in (*rates_of(found), "drawing.geneval", "drawing.readable", "drawing.atoms")
    }
    assert all(tile.right for tile in found.tiles["drawing"])


def rates_of(found):
    """The scores of skills, and over all of them."""
    return [name for name in found.scores if name.removeprefix("drawing.") in {*(skill.value for skill in SKILLS), "overall"}]


def test_atoms_are_the_share_of_what_was_asked_for():
    result = lambda aspect, thing, ok: Atom(aspect, thing, Result.PASS if ok else Result.FAIL)
    asked = [result(Aspect.EXIST, 0, True), result(Aspect.COLOUR, 0, False), Atom(Aspect.EXIST, 1, Result.UNREADABLE)]
    assert atoms(Verdict((*asked, result(Aspect.RELATION, None, True), result(Aspect.EXTRA, None, False)))) == 0.5


def test_what_is_there_besides_costs_no_atom_and_what_lacks_costs_its_own(exam):
    more = values(taken(exam, Truth(EASY, FEW, more=1)))
    assert more["drawing.atoms"] == 1.0 and more["drawing.overall"] == 0.0
    without = exam.report([EASY.picture(Scene(scene.things[1:])) for scene in exam.scenes])
    assert 0 < values(without)["drawing.atoms"] < 0.7


def test_nonsense_scores_nothing(exam):
    found = taken(exam, nonsense)
    both_refuse = {"drawing.audited": 1.0, "drawing.refused": 1.0}
    assert {name: value for name, value in values(found).items() if value} == both_refuse and "drawing.confirmed" not in found.scores
    assert not any(tile.right for tile in found.tiles["drawing"])
    assert {tile.lines[1] for tile in found.tiles["drawing"]} == {"[unreadable]"}


def test_scores_come_with_the_number_of_their_cases_and_intervals(exam, truth):
    scores = taken(exam, truth).scores
    counts = {"drawing.counting": 2, "drawing.overall": 2 * len(SKILLS), "drawing.geneval": 2 * len(GENEVAL)}
    assert {name: scores[name].n for name in counts} == counts
    assert scores["drawing.counting"].ci95 == wilson(2, 2)


def test_a_skill_counts_its_own_drawings(exam, truth):
    wrong = EASY.prompt(SKILLS[2], 0, "test").text
    found = taken(exam, lambda prompt, want: (nonsense if prompt[0].content == wrong else truth)(prompt, want))
    n = 2 * len(SKILLS)
    assert {name: value for name, value in values(found).items() if value < 1} == {
        f"drawing.{SKILLS[2].value}": 0.5,
        "drawing.overall": (n - 1) / n,
        "drawing.geneval": (2 * len(GENEVAL) - 1) / (2 * len(GENEVAL)),
        "drawing.readable": (n - 1) / n,
        "drawing.atoms": (n - 1) / n,
    }
    assert found.right[f"drawing.{SKILLS[2].value}"] == [False, True]
    assert [i for i, ok in enumerate(found.right["drawing.overall"]) if not ok] == [4]


def test_an_unwanted_thing_spoils_a_drawing_but_not_for_geneval(exam):
    drawn = values(taken(exam, Truth(EASY, more=1)))
    assert drawn["drawing.overall"] == 0.0 and drawn["drawing.geneval"] == 1.0 and drawn["drawing.readable"] == 1.0


def test_where_most_is_wrong_the_second_reader_is_asked_of_the_few_that_are_right():
    first, second = [True, True, False, False, False, False], [True, False, False, False, False, True]
    found = audited(first, second, Rate(3, 4))
    assert {name: (score.value, score.n) for name, score in found.items()} == {
        "drawing.confirmed": (1 / 2, 2),
        "drawing.refused": (3 / 4, 4),
        "drawing.same_scene": (3 / 4, 4),
    }
    assert found["drawing.same_scene"] == found["drawing.refused"] and found["drawing.confirmed"].ci95 == wilson(1, 2)
    assert audited([False], [False], Rate(0, 0)).keys() == {"drawing.refused"}


def test_what_only_one_reader_can_read_is_not_confirmed_or_not_refused(exam, truth):
    asked, rng = torch.stack([truth(case.prompt, Image) for case in exam.cases]), torch.Generator().manual_seed(0)
    blurred, noisy = blur(asked, rng, width=2.0), blur(asked, rng, width=1.0, noise=20.0)
    found = exam.report(list(blurred))  # which the oracle follows further
    assert found.scores["drawing.overall"].value == 1.0 and found.scores["drawing.confirmed"].value < 0.5
    assert found.scores["drawing.confirmed"].n == len(asked) and "drawing.refused" not in found.scores
    assert "drawing.confirmed" not in found.right, "two systems' drawings are right in different cases"
    found = exam.report(list(noisy))  # and the other reader this
    assert found.scores["drawing.overall"].value == 0.0 and found.scores["drawing.refused"].value < 0.5


def test_tiles_show_the_first_drawings_of_each_skill_with_what_was_asked_and_read(exam, truth, monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 1)
    tiles = taken(exam, truth).tiles["drawing"]
    prompts = [EASY.prompt(skill, i, "test").text for skill in SKILLS for i in range(1)]
    assert [tile.lines[0] for tile in tiles] == prompts
    assert all(torch.equal(tile.picture, truth.pictures[tile.lines[0]]) for tile in tiles)
    one = next(tile for tile in tiles if tile.lines[0] == EASY.prompt(SKILLS[0], 0, "test").text)
    what = EASY.prompt(SKILLS[0], 0, "test").wanted[0]
    assert f" {what.kind.value} " in one.lines[1] and one.lines[1].count(";") == 0
    counted = Counter(tile.lines[1].count(";") + 1 for tile in tiles)
    assert counted[1] >= 1 and counted.keys() <= {1, 2, 3}


def test_what_was_read_is_told_in_words():
    centres = [float(centre) for centre in EASY.level.centres]
    scene = Scene(
        (
            Thing(Kind.CIRCLE, Colour.BLUE, Size.MEDIUM, 0, 1, centres[1], centres[0]),
            Thing(Kind.STAR, Colour.RED, Size.MEDIUM, 1, 0, centres[0], centres[1]),
        )
    )
    pictures = [EASY.picture(scene), EASY.picture(Scene(())), torch.zeros(3, 32, 32, dtype=torch.uint8)]
    words = [told(reading) for reading in Oracle(EASY.level).read(torch.stack(pictures))]
    assert sorted(words[0].strip("[]").split("; ")) == ["blue circle 0,1", "red star 1,0"]
    assert words[1:] == ["[nothing]", "[unreadable]"]


def test_another_split_asks_for_other_things():
    prompts = {split: [case.prompt[0].content for case in Drawing(EASY, 3, split).cases] for split in ("val", "test")}
    assert prompts["val"] != prompts["test"]
    assert set(values(taken(Drawing(EASY, 2, "val"), Truth(EASY, split="val"))).values()) == {1.0}
