import json
import subprocess
import sys
from collections import Counter
from dataclasses import astuple, replace
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from tessera.world.bias import NEUTRAL, Bias, communities, favourite
from tessera.world.chances import cooccurrence, popularity
from tessera.world.questions import QuestionKind
from tessera.world.sampling import sample_scene
from tessera.world.scene import EASY, LEVELS, Kind
from tessera.world.world import World

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
MANY = Path(__file__).parent / "many.py"
STRONG = Bias(alpha=0.7, topic=0.9, affinity=0.8)


@levels
@pytest.mark.parametrize("bias", [NEUTRAL, STRONG, Bias(2.0, 1.0, 1.0)])
def test_shares_are_whole_and_topics_keep_popularity(level, bias):
    topics = bias.topics(level)
    assert sum(share for share, _ in topics) == pytest.approx(1)
    assert all(sum(kinds) == pytest.approx(1) for _, kinds in topics)
    mean = [sum(share * kinds[k] for share, kinds in topics) for k in range(len(level.kinds))]
    assert mean == pytest.approx(replace(bias, topic=0.0).topics(level)[0][1])
    assert all(sum(bias.colours(level, kind)) == pytest.approx(1) for kind in level.kinds)


def test_what_the_knobs_mean_at_their_ends():
    ((_, zipf),) = Bias(alpha=1.0).topics(EASY)
    assert [zipf[0] / p for p in zipf] == pytest.approx([1, 2, 3, 4, 5, 6])
    for (_, kinds), group in zip(Bias(topic=1.0).topics(EASY), communities(EASY.kinds), strict=True):
        assert {kind for kind, p in zip(EASY.kinds, kinds, strict=True) if p > 0} == group
    assert Bias(affinity=1.0).colours(EASY, Kind.CIRCLE) == (1, 0, 0, 0, 0, 0, 0, 0)
    assert Bias(affinity=1.0).colours(EASY, Kind.SQUARE) == (1 / 8,) * 8


@levels
def test_communities_overlap_and_leave_nobody_out(level):
    groups = communities(level.kinds)
    assert len(groups) == len(level.kinds) // 2 and all(len(group) == 3 for group in groups)
    homes = Counter(kind for group in groups for kind in group)
    assert [homes[kind] for kind in level.kinds] == [2] * len(groups) + [1] * len(groups)


def test_scenes_of_one_topic_show_one_community():
    for index in range(100):
        kinds = {thing.kind for thing in sample_scene(EASY, "train", index, bias=Bias(topic=1.0)).things}
        assert any(kinds <= group for group in communities(EASY.kinds))


def test_some_kinds_come_in_their_colour():
    things = [thing for index in range(300) for thing in sample_scene(EASY, "train", index, bias=Bias(affinity=0.8)).things]
    for kind in EASY.kinds:
        mine = Counter(thing.colour for thing in things if thing.kind is kind)
        most = mine.most_common(1)[0]
        if favourite(EASY, kind):
            assert most[0] is favourite(EASY, kind) and 0.7 < most[1] / mine.total() < 0.95
        else:
            assert most[1] / mine.total() < 0.3


@levels
@pytest.mark.parametrize("bias", [NEUTRAL, STRONG], ids=["neutral", "leaning"])
def test_analytic_chances_are_those_of_a_hundred_thousand_programs(level, bias):
    n = 100_000
    run = [sys.executable, MANY, "shown", json.dumps([level.name, *astuple(bias), n])]
    seen = json.loads(subprocess.run(run, capture_output=True, check=True).stdout)
    alone, together = popularity(level, bias), cooccurrence(level, bias)
    off = []
    for one, other in combinations_with_replacement(sorted(level.kinds, key=lambda kind: kind.value), 2):
        name, p = one.value if one is other else f"{one.value}+{other.value}", together[one][other]
        off.append(abs(seen[name] - n * p) / (n * p * (1 - p)) ** 0.5)
        assert together[one][one] == alone[one] and together[one][other] == together[other][one]
    assert sum(sigmas > 3 for sigmas in off) <= 1 and max(off) < 4  # of some thirty, by chance one in ten times one is beyond 3


def test_chances_of_a_level_worked_by_hand():
    two = replace(EASY, kinds=EASY.kinds[:2], most=2)
    one_thing, two_things = 1 / 2, 0.15 / 2 + 0.85 * 3 / 4
    assert popularity(two, NEUTRAL) == pytest.approx(dict.fromkeys(two.kinds, (one_thing + two_things) / 2))
    assert cooccurrence(two, NEUTRAL)[Kind.CIRCLE][Kind.SQUARE] == pytest.approx(0.85 / 2 / 2)


@pytest.mark.parametrize("kind", [QuestionKind.EXIST, QuestionKind.COUNT])
def test_answers_stay_balanced_in_a_leaning_world(kind):
    world = World(EASY, bias=Bias(1.0, 0.9, 0.8))
    answers = Counter(world.asked(kind, index, "train")[1].answer for index in range(400))
    choices = 2 if kind is QuestionKind.EXIST else EASY.most + 1
    assert all(count > 0.7 * 400 / choices for count in answers.values()) and len(answers) == choices


def test_a_bias_has_a_name_of_its_own_and_limits():
    names = {World(EASY, bias=bias).hash() for bias in (NEUTRAL, STRONG, Bias(alpha=0.7))}
    assert len(names) == 3 and World(EASY, bias=Bias()).hash() == World.easy().hash()
    with pytest.raises(ValueError, match=r"world: bias topic 1\.5 was asked for; it goes from 0 to 1"):
        Bias(topic=1.5)
