import pytest

from tessera.scoring.stories import block_scores, drift, exposure_gap, identity, structure_similarity


@pytest.mark.parametrize(
    ("written", "wanted", "similarity"),
    [("titi", "titi", 1), ("titi", "tit", 3 / 4), ("tttt", "titi", 1 / 2), ("", "titi", 0), ("itit", "titi", 1 / 2), ("", "", 1)],
)
def test_structure(written, wanted, similarity):
    assert structure_similarity(written, wanted) == pytest.approx(similarity)
    assert structure_similarity(wanted, written) == pytest.approx(similarity)


def star(colour: str) -> dict:
    return {("star", "kind"): "star", ("star", "colour"): colour}


def test_blocks():
    moon = {("moon", "kind"): "moon"}
    states = [star("red"), star("red") | moon, star("blue"), moon]
    found = [star("red"), star("blue") | moon, star("blue") | moon]
    assert block_scores(found, states) == pytest.approx([1, 2 / 3, 2 / 3, 0])
    assert block_scores([{}], [{}]) == [1.0]


def test_drift_is_the_slope():
    assert drift([1.0, 0.9, 0.8, 0.7]) == pytest.approx(-0.1)
    assert drift([0.5, 0.5]) == pytest.approx(0)
    assert drift([1.0, 0.0, 1.0, 0.0]) == pytest.approx(-0.2)
    with pytest.raises(ValueError, match="1 pictures"):
        drift([1.0])


def test_the_same_thing_looks_the_same():
    looks = [{"a": "red star", "b": "blue cup"}, {"a": "red star", "c": "moon"}, {"a": "red star", "b": "green cup"}]
    assert identity(looks) == [True, False]


def test_the_exposure_gap():
    assert exposure_gap([1.0, 0.9, 0.8], [1.0, 0.7, 0.4]) == pytest.approx(0.2)
    with pytest.raises(ValueError):
        exposure_gap([1.0], [1.0, 0.5])
