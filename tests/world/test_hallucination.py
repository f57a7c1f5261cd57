from collections import Counter
from dataclasses import replace

import pytest
import torch

from tessera.world.bias import Bias, communities
from tessera.world.hallucination import Negatives, Scenes, blank, counterfactual, pope, seldom, shown, shuffled
from tessera.world.sampling import program_hash, split_of
from tessera.world.scene import BACKGROUND, EASY, STANDARD, Kind
from tessera.world.world import World

LEANING = World(EASY, bias=Bias(0.7, 0.9, 0.0))
EVERY = [probe for index in range(12) for probe in pope(LEANING, Negatives.ADVERSARIAL, index)]


@pytest.mark.parametrize("negatives", Negatives)
@pytest.mark.parametrize("scenes", Scenes)
def test_three_kinds_that_are_there_and_three_that_are_not(negatives, scenes):
    for world in (LEANING, World(STANDARD, "zh", Bias(0.7, 0.9, 0.5))):
        probes = pope(world, negatives, 1, scenes=scenes)
        assert [probe.present for probe in probes] == [True, False] * 3
        assert len({probe.kind for probe in probes}) == 6 and len({probe.cluster for probe in probes}) == 1
        yes, no = ("yes", "no") if world.language == "en" else ("是", "否")
        assert [probe.question.answer for probe in probes] == [yes, no] * 3
        again = pope(world, negatives, 1, scenes=scenes)
        assert [(probe.question, probe.cluster) for probe in again] == [(probe.question, probe.cluster) for probe in probes]


def test_the_question_is_the_plainest_and_scenes_are_the_same_for_all_negatives():
    there = [[probe for probe in pope(LEANING, negatives, 3) if probe.present] for negatives in Negatives]
    assert len({tuple((probe.question, probe.cluster) for probe in probes) for probes in there}) == 1
    assert there[0][0].question.text == f"is there a {there[0][0].kind.value}?"


def test_popular_negatives_are_the_most_popular_absent_ones():
    order = sorted(EASY.kinds, key=lambda kind: -LEANING.popularity()[kind])
    for index in range(12):
        probes = pope(LEANING, Negatives.POPULAR, index)
        there = {probe.kind for probe in probes if probe.present}
        assert [probe.kind for probe in probes if not probe.present] == [kind for kind in order if kind not in there]


def test_adversarial_negatives_go_with_the_kind_asked_for_before():
    for start in range(0, len(EVERY), 6):
        probes, used = EVERY[start : start + 6], {probe.kind for probe in EVERY[start : start + 6] if probe.present}
        for there, absent in zip(probes[::2], probes[1::2], strict=True):
            row = LEANING.cooccurrence()[there.kind]
            assert row[absent.kind] == max(row[kind] for kind in EASY.kinds if kind not in used)
            used.add(absent.kind)


def test_without_topics_adversarial_is_popular():
    world = World(EASY, bias=Bias(alpha=0.7))
    for index in range(12):
        one, other = (pope(world, negatives, index) for negatives in (Negatives.POPULAR, Negatives.ADVERSARIAL))
        assert [probe.kind for probe in one] == [probe.kind for probe in other]


def test_what_goes_together_is_asked_for_more_often_where_it_is_absent():
    mates = lambda one, other: any({one, other} <= group for group in communities(EASY.kinds))
    share = {}
    for negatives in Negatives:
        probes = [probe for index in range(15) for probe in pope(LEANING, negatives, index, k=1)]
        share[negatives] = sum(mates(a.kind, b.kind) for a, b in zip(probes[::2], probes[1::2], strict=True))
    assert share[Negatives.ADVERSARIAL] > share[Negatives.RANDOM]


def test_scenes_without_company_and_of_the_long_tail():
    rare = Counter()
    for scenes in Scenes:
        for index in range(12):
            there = {probe.kind for probe in pope(LEANING, Negatives.RANDOM, index, scenes=scenes) if probe.present}
            rare[scenes] += any(pair <= there for pair in seldom(LEANING))
    assert rare[Scenes.BIASED] < rare[Scenes.DECORRELATED] <= rare[Scenes.LONG_TAIL] == 12
    assert len(seldom(LEANING)) == 4 and len(seldom(World(EASY, held_out="topic"))) == 3


@pytest.mark.parametrize("world", [World.easy(), World(STANDARD, "both", Bias(0.7, 0.9, 0.5))], ids=["easy", "leaning"])
def test_counterfactuals_differ_by_one_thing_and_in_the_answer(world):
    for index in range(3):
        there, gone = counterfactual(world, index)
        assert there.question.text == gone.question.text and there.kind is gone.kind
        assert (there.present, gone.present) == (True, False) and there.question.answer != gone.question.answer
        assert there.cluster == gone.cluster and not torch.equal(there.picture, gone.picture)
        changed = (there.picture != gone.picture).any(0)
        assert 0 < changed.float().mean() < 0.2  # one thing's pixels


def test_controls_keep_questions_and_answers():
    nothing, moved = blank(LEANING, EVERY), shuffled(EVERY)
    assert {tuple(probe.picture.flatten(1).unique(dim=1).flatten().tolist()) for probe in nothing} == {BACKGROUND}
    assert all(not torch.equal(one.picture, other.picture) for one, other in zip(moved, EVERY, strict=True))
    first = {probe.cluster: probe.picture for probe in moved}
    assert all(torch.equal(first[probe.cluster], probe.picture) for probe in moved)
    for control in (nothing, moved):
        assert [(c.question, c.cluster) for c in control] == [(probe.question, probe.cluster) for probe in EVERY]
    assert Counter(p.picture.sum().item() for p in moved) == Counter(p.picture.sum().item() for p in EVERY)
    with pytest.raises(ValueError, match="pope: 6 questions about 1 scene"):
        shuffled(EVERY[:6])


def test_probes_are_of_scenes_of_their_split_and_never_of_digits():
    world = replace(LEANING, level=STANDARD)
    for index in range(5):
        cluster = pope(world, Negatives.RANDOM, index)[0].cluster
        scenes = (world.scene(index + attempt * 10**9, "test") for attempt in range(200))
        scene = next(scene for scene in scenes if program_hash(scene, STANDARD) == cluster)
        assert split_of(scene, STANDARD) == "test" and Kind.DIGIT not in shown(scene)
        assert len(shown(scene)) >= 3


def test_more_kinds_than_scenes_have_are_refused():
    with pytest.raises(ValueError, match="pope: 4 kinds a scene were asked for; split 'test' of 'easy' allows 1 to 3"):
        pope(LEANING, Negatives.RANDOM, 0, k=4)
    with pytest.raises(ValueError, match="a scene with and without one thing was asked for; split 'count' has none"):
        counterfactual(World(EASY, held_out="count"), 0, "count")
    with pytest.raises(ValueError, match="split 'test' of 'easy' allows 1 to 2"):
        pope(World(EASY, held_out="count"), Negatives.RANDOM, 0)
