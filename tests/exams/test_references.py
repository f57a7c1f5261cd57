"""What stands beside scores is what whoever it is about gets, when he takes the exam himself."""

from collections import Counter

import pytest
import torch
from exams.players import Truth, nonsense, taken, values

from tessera.document import Document, Text
from tessera.exams import Asking, Captions, Counterfactuals, Drawing, Editing, FewShots, OwnStories, Pope, Stories
from tessera.exams import captions as captions_module
from tessera.exams.asking import LEARNED
from tessera.exams.captions import chair_report
from tessera.exams.hallucination import ASKED
from tessera.world import LANGUAGES, World, caption

EASY, STANDARD = World.easy(), World.standard("zh")
EACH = 6
WORLDS = pytest.mark.parametrize("world", [EASY, STANDARD, World.easy("both")], ids=["easy", "standard-zh", "both"])


def beside(report, who: str) -> dict[str, float]:
    """What the reference of this name gets, score by score."""
    return {name: values[who] for name, values in report.references.items() if who in values}


def gets(exam, answers) -> dict[str, float]:
    return values(exam.report(answers))


def close(found: dict[str, float], expected: dict[str, float]) -> bool:
    """Whether what is in the first is in the second as well, and alike."""
    assert found
    return all(expected[name] == pytest.approx(value) for name, value in found.items())


@WORLDS
def test_captions_are_held_against_who_never_looks_and_who_sees_all(world, monkeypatch):
    monkeypatch.setattr(captions_module, "LEARNED", 40)
    exam = Captions(world, EACH)
    language = LANGUAGES["en" if world.language == "both" else world.language]
    learned = [caption(world.scene(i, "train"), world.level, language) for i in range(40)]
    (_, most), *_ = Counter(learned).most_common(1)
    common = min(words for words, count in Counter(learned).items() if count == most)
    found = exam.report(["well"] * EACH)
    assert found.references.keys() == found.scores.keys() and all(len(each) == 3 for each in found.references.values())
    assert close(beside(found, "chance"), gets(exam, learned[:EACH])) and close(beside(found, "blind"), gets(exam, [common] * EACH))
    told = [caption(scene, world.level, language) for scene in exam.scenes]
    assert close(beside(found, "ceiling"), gets(exam, told)) and beside(found, "ceiling")["captions.exact"] == 1.0
    assert beside(found, "blind")["captions.chair_sentence"] > 0 == beside(found, "ceiling")["captions.chair_sentence"]


def test_pope_is_held_against_who_always_says_yes_and_who_sees_all():
    exam = Pope(EASY, EACH)
    found = exam.report(["well"] * len(exam.cases))
    assert found.references.keys() == found.scores.keys()
    assert close(beside(found, "majority"), gets(exam, ["yes"] * len(exam.cases)))
    assert close(beside(found, "ceiling"), gets(exam, ["yes" if probe.present else "no" for _, probe in exam.asked]))
    assert beside(found, "majority")["pope.random.f1"] == pytest.approx(2 / 3)
    assert {name: value for name, value in beside(found, "chance").items() if not name.endswith("both")}.keys() == {
        f"pope.{mode}.{what}" for mode in ("random", "popular", "adversarial") for what in ASKED
    }


def test_counterfactual_pairs_are_held_against_who_sees_all():
    exam = Counterfactuals(EASY, EACH)
    found = exam.report(["no"] * len(exam.cases))
    assert found.references["counterfactuals.pairs"] == {"chance": 0.25, "majority": values(found)["counterfactuals.pairs"], "ceiling": 1.0}


def test_a_pair_that_is_not_understood_counts_once():
    exam = Counterfactuals(EASY, EACH)
    said = ["well", "well", "yes", "well", *["yes", "no"] * (EACH - 2)]
    (score,) = exam.report(said).scores.values()
    assert (score.n, score.unparsed, score.value) == (EACH, 2, pytest.approx((EACH - 2) / EACH))


def test_drawings_are_held_against_who_never_heard_and_who_draws_as_the_world_does():
    exam = Drawing(EASY, EACH)
    pictures = [EASY.picture(scene) for scene in exam.scenes]
    half = len(pictures) // 2
    found = taken(exam, nonsense)
    assert close(beside(found, "ceiling"), gets(exam, pictures)) and beside(found, "ceiling")["drawing.overall"] == 1.0
    assert close(beside(found, "blind"), gets(exam, pictures[half:] + pictures[:half])) and beside(found, "blind")["drawing.overall"] < 0.5
    assert found.scores.keys() - found.references.keys() <= {
        f"drawing.{name}" for name in ("audited", "refused", "same_scene", "confirmed")
    }


@WORLDS
def test_questions_are_held_against_who_sees_all(world):
    exam = Asking(world, 2)
    found = exam.report(["well"] * len(exam.cases))
    assert set(beside(found, "ceiling").values()) == {1.0} and beside(found, "ceiling").keys() == beside(found, "blind").keys()


def test_a_picture_that_the_oracle_misreads_is_below_the_ceiling(monkeypatch):
    from tessera.world.oracle import Oracle

    exam, read = Asking(EASY, 2), Oracle.read
    monkeypatch.setattr(Oracle, "read", lambda self, pictures: [*read(self, pictures)[:-1], read(self, 255 - pictures[-1:])[0]])
    ceiling = beside(exam.report(["well"] * len(exam.cases)), "ceiling")
    assert ceiling["questions.overall"] == pytest.approx(1 - 1 / len(exam.cases))


def test_few_shots_are_held_against_who_never_looks():
    exam = FewShots(EASY, 2)
    said = {kind: Counter(EASY.asked(kind, i, "train")[1].answer for i in range(LEARNED)).most_common(1)[0][0] for kind in exam.kinds}
    found = exam.report(["well"] * len(exam.cases))
    assert found.references.keys() == found.scores.keys()
    blind = [said[kind] for _ in range(len(exam.cases) // len(exam.kinds)) for kind in exam.kinds]
    assert close(beside(found, "blind"), gets(exam, blind))
    assert {name: value for name, value in beside(found, "ceiling").items()} == {f"shots.{shots}": 1.0 for shots in (0, 1, 2, 4, 8)}


def test_edits_are_held_against_who_changes_nothing_and_who_draws_as_the_world_does():
    exam = Editing(EASY, 2)
    found = taken(exam, lambda prompt, want: torch.zeros(3, 32, 32, dtype=torch.uint8))
    assert found.references.keys() == found.scores.keys()
    assert close(beside(found, "untouched"), gets(exam, exam.sources)) and beside(found, "untouched")["editing.kept"] == 1.0
    after = gets(exam, [EASY.picture(one.after) for one in exam.edits])
    assert close(beside(found, "ceiling"), after) and set(after.values()) == {1.0}


@pytest.mark.parametrize("forced", [False, True])
def test_stories_are_held_against_who_draws_the_first_scene_again_and_who_draws_as_the_world_does(forced):
    exam = Stories(EASY, EACH, forced=forced)
    before, after = (gets(exam, [EASY.picture(one.scenes[k]) for one in exam.stories]) for k in (0, 1))
    found = taken(exam, nonsense)
    assert beside(found, "untouched") == before and beside(found, "ceiling") == after == {exam.name: 1.0}


def test_stories_of_ones_own_are_held_against_the_worlds_pictures():
    exam = OwnStories(EASY, EACH)
    true = [Document((*one.document.segments, Text("", learn=True))) for one in exam.stories]
    ceiling = beside(exam.report(true), "ceiling")
    assert ceiling.keys() == {f"stories.{what}" for what in ("pictures", "blocks", "same")} and ceiling.items() <= gets(exam, true).items()


def test_captions_of_files_are_held_against_who_names_what_is_commonest():
    there = [{"cat", "dog"}, {"cat"}, {"car"}]
    found = chair_report("chair.", [["cat"]] * 3, there, ["a cat"] * 3)
    assert {name: score.value for name, score in found.scores.items()} == {
        "chair.sentence": pytest.approx(1 / 3),
        "chair.instance": pytest.approx(1 / 3),
        "chair.recall": 0.5,
        "chair.words": 2.0,
    }


def test_the_truth_is_never_above_the_ceiling(truth):
    assert isinstance(truth, Truth)
    for exam in (Drawing(EASY, 2), Asking(EASY, 3), Captions(EASY, 4)):
        found = taken(exam, truth)
        assert all(values(found)[name] <= value + 1e-9 for name, value in beside(found, "ceiling").items() if "chair" not in name)
