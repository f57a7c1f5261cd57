from math import sqrt

import pytest
from scipy import stats

from tessera.scoring.compare import detectable_within, paired_ratios
from tessera.verbs.compare import alike, better, compare, in_common, uncompared
from tessera.verbs.results import share_written, shares_read

SCORES = {name: {} for name in ("drawing.overall", "captions.exact", "codec.readable", "pope", "editing", "pope.accuracy")}
FIRST = {
    "scores": SCORES,
    "level": "easy",
    "language": "en",
    "world": "0123456789ab",
    "scorer": 2,
    "plan": {"seed": 0, "split": "test", "cases": {"drawing": 8}},
    "right": {"drawing.overall": "00000011", "captions.exact": "0101"},
    "clusters": {},
}
SECOND = {**FIRST, "right": {"drawing.overall": "11111111", "captions.exact": "0101"}}


def test_a_difference_by_hand():
    found = compare(FIRST, SECOND)
    assert found.keys() == {"drawing.overall", "captions.exact"}
    better = found["drawing.overall"]
    assert better.difference.value == 0.75 and better.difference.n == 8 and better.difference.method == "score"
    low, high = better.difference.ci95  # six of eight pairs differ, none the other way: above it is the interval of 6 of 8
    assert high == pytest.approx(stats.binomtest(6, 8).proportion_ci(method="wilson").high, abs=1e-9)
    assert (0.75 - low) ** 2 == pytest.approx(1.959964**2 * (0.75 - low / 4 - low**2) / 8, abs=1e-6)  # likeliest: .375 - .625 low
    assert better.difference.p == pytest.approx(2 / 2**6)  # six signs alike, either way
    assert better.adjusted == pytest.approx(2 * 2 / 2**6)  # the smaller of two
    assert better.detectable == pytest.approx((1.959964 + 0.841621) * sqrt(2 * 0.25 * 0.5 / 8), abs=1e-6)


def test_cases_about_one_scene_count_as_one_where_they_agree():
    scenes = {"drawing.overall": [0, 0, 0, 0, 1, 1, 2, 2]}
    better = compare({**FIRST, "clusters": scenes}, {**SECOND, "clusters": scenes})["drawing.overall"].difference
    alone = compare(FIRST, SECOND)["drawing.overall"].difference
    assert (better.value, better.n, better.clusters, better.method) == (0.75, 8, 3, "cluster-score")
    assert better.p == pytest.approx(2 / 2**2) and better.p > alone.p  # two scenes differ, alike
    assert better.ci95[0] < alone.ci95[0]


def test_what_is_alike_is_no_better():
    same = compare(FIRST, SECOND)["captions.exact"]
    assert (same.difference.value, same.difference.p, same.adjusted) == (0.0, 1.0, 1.0)
    assert same.difference.ci95[0] == pytest.approx(-same.difference.ci95[1]) and same.difference.ci95[0] < 0


def test_the_other_way_round_it_is_as_much_worse():
    forth, back = compare(FIRST, SECOND)["drawing.overall"], compare(SECOND, FIRST)["drawing.overall"]
    assert back.difference.value == -forth.difference.value and back.adjusted == forth.adjusted
    assert back.difference.ci95 == pytest.approx(tuple(-end for end in reversed(forth.difference.ci95)))


def test_scores_of_one_of_them_or_of_other_cases_are_left_out():
    first = {**FIRST, "right": {**FIRST["right"], "pope": "11", "codec.readable": "10"}}
    second = {**SECOND, "right": {**SECOND["right"], "codec.readable": "100", "editing": "1"}}
    assert compare(first, second).keys() == FIRST["right"].keys()


@pytest.mark.parametrize(("key", "value"), [("level", "standard"), ("language", "zh"), ("world", "ba9876543210"), ("scorer", 3)])
def test_results_about_something_else_are_not_compared(key, value):
    said = f"compare: {key} {FIRST[key]!r} against {value!r}; the same is accepted; evaluate both alike"
    for ask in (compare, alike):
        with pytest.raises(ValueError) as refused:
            ask(FIRST, {**SECOND, key: value})
        assert str(refused.value) == said


@pytest.mark.parametrize(("key", "value"), [("seed", 1), ("split", "val")])
def test_nor_are_those_of_another_plan(key, value):
    with pytest.raises(ValueError, match=f"^compare: {key} {FIRST['plan'][key]!r} against {value!r}; "):
        compare(FIRST, {**SECOND, "plan": {**FIRST["plan"], key: value}})
    alike(FIRST, {**SECOND, "plan": {**FIRST["plan"], "cases": {}}})


def test_results_with_nothing_in_common_are_not_compared():
    with pytest.raises(ValueError, match="no score was measured on as many cases in both; evaluate both with one suite"):
        compare(FIRST, {**SECOND, "right": {"drawing.overall": "111", "pope": "0101"}})


def test_plans_have_an_exam_in_common_or_none_of_its_scores():
    plan = lambda pictures, **cases: {"cases": cases, "pictures": pictures}
    for one, other in ((plan(0, drawing=8, pope=3), plan(5, pope=3)), (plan(5), plan(5, pope=3))):
        in_common(one, other)
    for one, other in ((plan(5, drawing=8), plan(0, drawing=9, pope=8)), (plan(0, pope=1), plan(0, captions=1))):
        with pytest.raises(ValueError, match=r"^compare: .* against .*; one exam with as many cases in both is accepted; evaluate both"):
            in_common(one, other)


FILES = {
    "scores": SCORES,
    "benchmark": {"format": "pope", "files": [{"name": "a.json", "sha256": "0a"}], "items": "12", "convention": "strict"},
    "scorer": 2,
    "plan": {"seed": 0, "longest": 64},
    "right": {"pope.accuracy": "0011"},
    "clusters": {"pope.accuracy": [0, 0, 1, 1]},
}


def test_results_on_the_same_files_are_compared_and_others_are_not():
    better = compare(FILES, {**FILES, "right": {"pope.accuracy": "1111"}})["pope.accuracy"].difference
    assert (better.value, better.n, better.clusters) == (0.5, 4, 2)
    for key, value in (("items", "34"), ("convention", "official"), ("bad", ["a.json, line 3: no image"])):
        other = {**FILES, "benchmark": {**FILES["benchmark"], key: value}}
        for one, two in ((FILES, other), (other, FILES)):
            said = f"compare: {key} {one['benchmark'].get(key)!r} against {two['benchmark'].get(key)!r}; the same is accepted"
            with pytest.raises(ValueError) as refused:
                compare(one, two)
            assert str(refused.value).startswith(said)


# ---------------------------------------------------------------- scores that are no rates

COUNTED = {
    **FIRST,
    "parts": "0a",
    "scores": {name: {} for name in ("captions.kind_f1", "codec.psnr", "likeness.frechet", "teacher_forced.text", "captions.exact")},
    "ratios": {"captions.kind_f1": "2/4 0/0 3/5", "codec.psnr": "30.5 40 35", "teacher_forced.text": "1.5/3 0/0 2/2"},
    "clusters": {"teacher_forced.text": [7, 8, 9]},
}
MORE = {**COUNTED, "ratios": {"captions.kind_f1": "4/4 1/2 5/5", "codec.psnr": "31 40 36", "teacher_forced.text": "1/3 0/0 1.5/2"}}


def test_ratios_and_means_are_compared_case_by_case():
    found = compare(COUNTED, MORE)
    assert found.keys() == {"captions.kind_f1", "codec.psnr", "teacher_forced.text", "captions.exact"}
    by_hand = paired_ratios(*(dict(enumerate(cases)) for cases in ([(2, 4), (0, 0), (3, 5)], [(4, 4), (1, 2), (5, 5)])))
    assert found["captions.kind_f1"].difference == by_hand and by_hand.value == pytest.approx(10 / 11 - 5 / 9)
    assert found["codec.psnr"].difference.value == pytest.approx(0.5) and found["codec.psnr"].difference.method.startswith("bootstrap")
    assert found["codec.psnr"].detectable == detectable_within(found["codec.psnr"].difference.ci95)
    assert found["teacher_forced.text"].difference.clusters == 3


def test_what_is_not_compared_is_said_and_why():
    left = lambda **changes: uncompared(COUNTED, {**MORE, **changes})
    assert left() == {"likeness.frechet": "it is of a set as a whole, or of cases of each system's own"}
    assert left(parts="0b")["teacher_forced.text"] == "it is of elements of other codecs or tokenizers"
    assert left(clusters={"teacher_forced.text": [7, 8, 10]})["teacher_forced.text"] == "it was measured on other cases"
    assert left(ratios={"codec.psnr": "1 2"})["codec.psnr"] == "it was measured on other cases"
    before = left(ratios={})
    assert before["codec.psnr"] == "one of the two is from before its cases were kept; evaluate or judge it anew"
    assert left(scores={})["captions.exact"] == left(scores={**COUNTED["scores"], "new": {}})["new"] == "only one of the two has it"
    assert set(left(ratios={})) | set(compare(COUNTED, {**MORE, "ratios": {}})) == set(COUNTED["scores"])


def test_shares_are_read_as_they_were_written():
    cases = [(3, 4), (0.1, 1), (True, 1), (0, 0), (-1.25e-7, 2.0), (123456.789, 1)]
    written = " ".join(map(share_written, cases))
    assert written == "3/4 0.1 1 0/0 -1.25e-07/2 123456.789" and shares_read(written) == [(float(a), float(b)) for a, b in cases]
    assert shares_read("") == []


def test_which_way_is_better_is_known():
    for name in (
        "captions.chair_sentence",
        "chair.instance",
        "pope.unparsed",
        "excess.caption",
        "teacher_forced.image",
        "codec.perceptual",
    ):
        assert better(name) == "less", name
    for name in (
        "captions.chair_words",
        "chair.words",
        "pope.random.yes_ratio",
        "likeness.nearest",
        "questions.blank.count",
        "pope.shuffled.random",
    ):
        assert better(name) == "", name
    for name in ("captions.exact", "codec.psnr", "pope.popular.f1", "drawing.overall", "held_out.captions.chair_recall"):
        assert better(name) == "more", name
    assert better("held_out.captions.chair_sentence") == "less"
