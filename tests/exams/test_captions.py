import pytest
import torch
from exams.players import FEW, Truth, name, nonsense, taken, values

from tessera.document import Text
from tessera.exams import Captions
from tessera.exams import captions as module
from tessera.exams.captions import score_of
from tessera.world import LANGUAGES, Colour, Kind, Scene, Size, Thing, World, caption

EASY = World.easy()
EACH = FEW["captions"]
PERFECT = [f"captions.{what}" for what in ("exact", "parsed", "kind_f1", "colour_f1", "place_f1")]


@pytest.fixture(scope="module")
def exam():
    """Four pictures to be described."""
    return Captions(EASY, EACH)


def test_pictures_are_shown_and_nothing_is_said_of_them(exam):
    assert exam.want is Text and all(len(case.prompt) == 1 for case in exam.cases)
    for i, case in enumerate(exam.cases):
        assert torch.equal(case.prompt[0].content, EASY.picture(EASY.scene(i, "test")))


def test_the_truth_scores_one(exam, truth):
    found = taken(exam, truth)
    assert {values(found)[score] for score in PERFECT} == {1.0}
    assert all(tile.right for tile in found.tiles["captions"])
    assert not any("size" in score for score in found.scores), "things of this level have one size, which nobody says"


def test_nonsense_scores_nothing(exam):
    found = taken(exam, nonsense)
    assert {values(found)[score] for score in PERFECT} == {0.0}
    assert not any(tile.right for tile in found.tiles["captions"])


def test_scores_come_with_the_number_of_their_cases_and_intervals(exam, truth):
    found = taken(exam, truth)
    assert {found.scores[score].n for score in PERFECT} == {EACH}
    low, high = found.scores["captions.kind_f1"].ci95
    assert low < 1.0 == high and found.scores["captions.kind_f1"].method.startswith("bootstrap/")


def test_white_space_around_a_caption_is_no_mistake_and_anything_else_is(exam, truth):
    around = lambda left, right: values(taken(exam, lambda *asked: f"{left}{truth(*asked)}{right}"))["captions.exact"]
    assert around(" ", "\n") == 1.0 and around("", " really") == 0.0


def test_a_caption_that_leaves_a_thing_out_is_no_exact_one(exam):
    scenes = [EASY.scene(i, "test") for i in range(EACH)]
    short = {name(EASY.picture(s)): caption(Scene(s.things[:1]), EASY.level, LANGUAGES["en"]) for s in scenes}
    found = taken(exam, lambda prompt, want: short[name(prompt[0].content)])
    true = sum(len(scene.things) for scene in scenes)
    assert values(found)["captions.parsed"] == 1.0
    assert values(found)["captions.exact"] == sum(len(scene.things) == 1 for scene in scenes) / len(scenes) < 1
    assert values(found)["captions.kind_f1"] == pytest.approx(2 * len(scenes) / (len(scenes) + true))
    assert found.right["captions.exact"] == [len(scene.things) == 1 for scene in scenes]
    assert found.right["captions.parsed"] == [True] * EACH


def test_tiles_show_the_first_pictures_with_what_is_said_of_them(exam, monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 3)
    tiles = taken(exam, lambda prompt, want: " a thing\n").tiles["captions"]
    assert [tile.lines for tile in tiles] == [("a thing",)] * 3
    assert all(torch.equal(tile.picture, case.prompt[0].content) for tile, case in zip(tiles, exam.cases, strict=False))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_in_a_world_of_both_languages_a_caption_may_be_in_either(language):
    both, other = World.easy("both"), World.easy({"en": "zh", "zh": "en"}[language])
    found = taken(Captions(both, EACH), Truth(both, language=language))
    assert {values(found)[score] for score in PERFECT} == {1.0}
    assert values(taken(Captions(other, EACH), Truth(both, language=language)))["captions.exact"] == 0.0


STAR = Thing(Kind.STAR, Colour.BLUE, Size.MEDIUM, 1, 1, 24.0, 24.0)
CIRCLE = Thing(Kind.CIRCLE, Colour.ORANGE, Size.MEDIUM, 0, 0, 8.0, 8.0)
DIGIT = Scene((Thing(Kind.DIGIT, Colour.RED, Size.SMALL, 1, 1, 16.0, 16.0, "4"),))
BOTH = "an orange circle at the top left and a blue star at the bottom right"


@pytest.mark.parametrize(
    "text, matched, exact",
    [
        (BOTH, [2, 2, 0, 2], True),  # this level has one size, which nobody says
        (BOTH.replace("blue", "red"), [2, 1, 0, 2], False),
        ("a blue circle at the top left and an orange star at the bottom right", [2, 0, 0, 2], False),
        ("a blue star at the bottom right and a blue star at the bottom right", [1, 1, 0, 1], False),
        ("circle circle circle", [0, 0, 0, 0], False),
    ],
)
def test_a_text_is_compared_with_a_scene_attribute_by_attribute(text, matched, exact):
    score = score_of(text, Scene((STAR, CIRCLE)), EASY.level, LANGUAGES["en"])
    assert [score.counts[name].matched for name in module.ATTRIBUTES] == matched
    assert score.exact == exact and score.parsed == (matched[0] > 0)


def test_a_wrong_digit_is_a_wrong_kind():
    score = score_of("a small red digit 7 at the centre", DIGIT, World.standard().level, LANGUAGES["en"])
    assert not score.exact and [score.counts[name].matched for name in module.ATTRIBUTES] == [0, 1, 1, 1]
