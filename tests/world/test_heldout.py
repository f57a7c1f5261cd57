import json
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from tessera.document import Task
from tessera.world import world as module
from tessera.world.bias import Bias
from tessera.world.captions import parse_caption
from tessera.world.chances import cooccurrence
from tessera.world.edits import EditKind
from tessera.world.heldout import HELD_OUT, held_kinds, held_pairs, holds, names_pair, words
from tessera.world.prompts import Skill
from tessera.world.questions import QuestionKind, question_kinds
from tessera.world.sampling import SPLITS, belongs, sample_scene, split_of
from tessera.world.scene import EASY, LEVELS, STANDARD
from tessera.world.wording import CHINESE, ENGLISH
from tessera.world.world import World

MANY = Path(__file__).parent / "many.py"
levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
held = pytest.mark.parametrize("held_out", HELD_OUT)
shown = pytest.mark.parametrize("held_out", ["pairs", "count", "topic"])


def shows(scene, level, held_out):
    """What is held out, told in another way."""
    kinds = {thing.kind for thing in scene.things}
    return {
        "pairs": any((thing.kind, thing.colour) in held_pairs(level) for thing in scene.things),
        "count": len(scene.things) > level.most - 1,
        "topic": any(pair <= kinds for pair in held_kinds(level)),
    }[held_out]


@shown
def test_twenty_thousand_training_scenes_show_nothing_that_is_held_out(held_out):
    run = [sys.executable, MANY, "held", json.dumps(["easy", held_out, 20_000])]
    found, free = json.loads(subprocess.run(run, capture_output=True, check=True).stdout)
    assert found == 0 and free > 200


@shown
@levels
def test_the_split_of_what_is_held_out_shows_nothing_else_and_its_twin_none(held_out, level):
    world = World(level, held_out=held_out)
    assert world.splits == (*SPLITS, held_out)
    for index in range(15):
        scene = world.scene(index, held_out)
        assert shows(scene, level, held_out)
        assert not any(shows(world.scene(index, split), level, held_out) for split in ("train", "val", "test"))


@shown
def test_edits_questions_and_prompts_keep_to_their_split(held_out):
    world = World(STANDARD, held_out=held_out)
    for split in ("train", held_out):
        for index in range(6):
            found = world.edit(None, index, split)
            for scene in (found.before, found.after, world.asked(None, index, split)[0]):
                assert shows(scene, STANDARD, held_out) == (split == held_out)
                assert belongs(scene, STANDARD, split, held_out)


@held
def test_every_split_has_every_document_and_kind_of_question(held_out):
    world = World(STANDARD, held_out=held_out)
    for task in world.tasks:
        for split in (held_out,):
            first, again = (world.document(task, 5, split) for _ in range(2))
            assert first.id == again.id and first.texts == again.texts
    assert all(world.asked(kind, 1, held_out)[1].kind is kind for kind in question_kinds(STANDARD))


def test_held_pairs_are_an_eighth_and_leave_every_kind_its_favourite():
    assert len(held_pairs(EASY)) == 6 and len(held_pairs(STANDARD)) == 8
    for level in LEVELS.values():
        assert len({colour for _, colour in held_pairs(level)}) == len({kind for kind, _ in held_pairs(level)}) == len(level.kinds)
        assert all(dict(zip(level.colours, Bias(affinity=1.0).colours(level, kind), strict=True))[c] < 1 for kind, c in held_pairs(level))


@levels
def test_held_kinds_match_each_kind_once_and_never_share_a_topic(level):
    assert Counter(kind for pair in held_kinds(level) for kind in pair) == dict.fromkeys(level.kinds, 1)
    together = cooccurrence(level, Bias(topic=1.0))
    assert all(together[a][b] == 0 for a, b in map(tuple, held_kinds(level)))


@pytest.mark.parametrize("language", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_training_texts_never_name_a_held_pair_not_even_to_deny_it(language):
    world, free = World(EASY, language.name, held_out="pairs"), World(EASY, language.name)
    asked = [world.document(task, index).texts[0] for index in range(120) for task in (Task.QUESTION, Task.TEXT)]
    assert not any(names_pair(text, EASY, language) for text in asked)
    assert any(names_pair(free.document(Task.QUESTION, index).texts[0], EASY, language) for index in range(300))
    answers = Counter(world.document(Task.QUESTION, index).texts[1] for index in range(150))
    assert abs(answers[language.yes] - answers[language.no]) < 35


def test_training_counts_stay_below_the_number_held_out():
    world = World(EASY, held_out="count")
    said = {word for index in range(150) for text in world.document(Task.QUESTION, index).texts for word in text.split()}
    assert {"zero", "one", "two"} <= said and "three" not in said
    assert {len(world.scene(index).things) for index in range(100)} == {1, 2}
    assert {len(world.prompt(Skill.COUNTING, index, "count").wanted) for index in range(5)} == {3}


@pytest.mark.parametrize("language", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_wordings_of_training_and_of_the_template_split_differ(language):
    train, other = (words(language, "template", split) for split in ("test", "template"))
    assert {*train.captions, *other.captions} == set(language.captions) and not set(train.captions) & set(other.captions)
    for name, every in vars(language.questions).items():
        mine, theirs = getattr(train.questions, name), getattr(other.questions, name)
        assert mine and theirs and mine + theirs == every
    world = World(EASY, language.name, held_out="template")
    assert {split_of(world.scene(index, "template"), EASY) for index in range(20)} == {"test"}
    for index in range(60):
        for split, mine, theirs in (("train", train, other), ("template", other, train)):
            (text,) = world.document(Task.CAPTION, index, split).texts
            assert parse_caption(text, EASY, mine) is not None
            assert parse_caption(text, EASY, theirs) is None


def test_what_is_not_excluded_is_as_it_was():
    plain, world = World(EASY), World(EASY, held_out="pairs")
    same = sum(plain.scene(index) == world.scene(index) for index in range(200))
    assert same == sum(not holds(plain.scene(index), EASY, "pairs") for index in range(200)) > 100
    names = {World(EASY, held_out=held_out).hash() for held_out in (None, *HELD_OUT)}
    assert len(names) == 5 and plain.hash() in names


def test_chances_know_what_is_held_out():
    world, n = World(EASY, held_out="topic", bias=Bias(alpha=0.5, topic=0.5)), 1500
    seen = Counter()
    for index in range(n):
        kinds = {thing.kind for thing in world.scene(index).things}
        seen.update(kinds)
        seen.update(frozenset(pair) for pair in combinations(kinds, 2))
    assert all(world.cooccurrence()[a][b] == 0 for a, b in map(tuple, held_kinds(EASY)))
    for one, other in combinations(EASY.kinds, 2):
        assert seen[frozenset((one, other))] / n == pytest.approx(world.cooccurrence()[one][other], abs=0.025)
        assert seen[one] / n == pytest.approx(world.popularity()[one], abs=0.04)


def test_a_question_that_few_scenes_fit_is_found_on_further_ones(monkeypatch):
    world, numbers = World(STANDARD, held_out="pairs"), range(12)
    monkeypatch.setattr(module, "PATIENCE", 3)  # one scene in eight shows a digit
    monkeypatch.setattr(module, "ROUNDS", 1)
    soon = {}
    for index in numbers:
        with suppress(ValueError):
            soon[index] = world.asked(QuestionKind.DIGIT, index, "pairs")
    assert 0 < len(soon) < len(numbers)
    monkeypatch.setattr(module, "ROUNDS", 30)
    found = {index: world.asked(QuestionKind.DIGIT, index, "pairs") for index in numbers}
    assert all(holds(scene, STANDARD, "pairs") and question.answer in STANDARD.digits for scene, question in found.values())
    assert {index: found[index] for index in soon} == soon, "what was found before is the same"


def test_what_no_scene_fits_is_said():
    world = World(EASY, held_out="topic")
    with pytest.raises(ValueError, match="world: skill counting was asked for; none of the scenes tried in split 'topic' fits"):
        world.prompt(Skill.COUNTING, 0, "topic")
    with pytest.raises(ValueError, match="world: edit kind remove was asked for; none of the scenes tried in split 'count'"):
        World(EASY, held_out="count").edit(EditKind.REMOVE, 0, "count")
    with pytest.raises(ValueError, match="world: held out 'colour' was asked for; there are pairs, count, template, topic and None"):
        World(EASY, held_out="colour")
    with pytest.raises(ValueError, match="world: split 'pairs' was asked for; there are train, val, test"):
        World(EASY).scene(0, "pairs")
    with pytest.raises(ValueError, match="world: 3 things were asked for; a scene of 'easy' in split 'train' holds 1 to 2"):
        sample_scene(EASY, "train", 0, things=3, held_out="count")
    with pytest.raises(ValueError, match="its scenes show two kinds"):
        sample_scene(EASY, "topic", 0, alike=True, held_out="topic")


def test_a_leaning_world_holds_out_too():
    world = replace(World(EASY, bias=Bias(1.0, 1.0, 1.0)), held_out="topic")
    assert all(shows(world.scene(index, "topic"), EASY, "topic") for index in range(5))
