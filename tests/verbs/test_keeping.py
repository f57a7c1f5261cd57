import json

import pytest
from jsonschema import Draft202012Validator

from tessera.exams import Report
from tessera.scoring import rate
from tessera.verbs import results as module
from tessera.verbs.evaluate import Plan
from tessera.verbs.keeping import differing, kept_with, set_aside, sheets_of, united
from tessera.verbs.results import results, save_results
from tessera.world import World

SCHEMA = Draft202012Validator(json.loads((module.Path(module.__file__).with_name("results.schema.json")).read_text()))


def report(*right: bool, name: str = "captions.exact") -> Report:
    return Report({name: rate(right)}, {name: {"chance": 0.5}}, {name: list(right)})


@pytest.fixture
def made(tiny):
    """Makes results of one system: of so many captions, or of what else is said."""
    system = tiny()

    def make(*right: bool, name: str = "captions.exact", seeds: int = 1, **changes) -> dict:
        plan = Plan(cases={name.split(".")[0]: len(right)}, pictures=0)
        found = report(*right, name=name)
        return json.loads(json.dumps(results(system, World.easy(), plan, found, seeds=[found] * seeds))) | changes

    return make


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chameleon.json"


def test_other_exams_are_joined(made, path):
    first, second = made(True, False), made(True, name="pope.accuracy")
    save_results(first, path)
    both, reason = kept_with(path, second)
    assert reason == "" and both["plan"]["cases"] == {"captions": 2, "pope": 1}
    for key in ("scores", "references", "right"):
        assert both[key] == {**first[key], **second[key]}
    assert "earlier" not in both
    SCHEMA.validate(both)


def test_what_comes_first_does_not_matter(made):
    first, second = made(True, False), made(True, name="pope.accuracy")
    assert united(first, second) == united(second, first)


def test_the_same_again_is_the_same(made, path):
    first = made(True, False)
    save_results(first, path)
    assert kept_with(path, made(True, False)) == (first, "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weights", "0123456789ab"),
        ("world", "0123456789ab"),
        ("scorer", 99),
        ("parts", "0123456789ab"),
        ("sampling", {}),
        ("schema", 1),
        ("arguments", {"width": 1}),
        ("held_out", "pairs"),
    ],
)
def test_what_is_of_something_else_is_never_joined(made, path, key, value):
    old = made(True, False, **{key: value})
    save_results(old, path)
    new = made(True, name="pope.accuracy")
    assert kept_with(path, new) == (new, f"they are of another {key}")


@pytest.mark.parametrize(("key", "value"), [("seed", 1), ("split", "val"), ("cases", {"captions": 3}), ("pictures", 9)])
def test_nor_what_is_of_another_plan(made, path, key, value):
    old = made(True, False)
    old["plan"] |= {"pictures": 5, key: value}
    new = made(True, False)
    new["plan"]["pictures"] = 5
    said = {"cases": "number of cases of captions", "pictures": "number of cases of the ladder"}.get(key, key)
    assert differing(old, new) == differing(new, old) == [said]


def test_other_values_of_the_same_take_its_place_and_the_old_are_set_aside(made, path):
    save_results(made(True, False), path)
    new = made(True, True)
    assert kept_with(path, new) == (new, "other values were found of captions.exact")


def test_a_spread_over_more_seeds_stays(made, path):
    save_results(made(True, False, seeds=3), path)
    assert kept_with(path, made(True, False))[0]["seeds"]["captions.exact"]["seeds"] == 3
    assert kept_with(path, made(True, False, seeds=4))[0]["seeds"]["captions.exact"]["seeds"] == 4
    assert kept_with(path, made(True, False, seeds=2))[0]["seeds"]["captions.exact"]["seeds"] == 3


def test_what_was_measured_on_another_day_says_so_until_it_is_measured_anew(made):
    first, second = made(True, False, date="2020-01-01"), made(True, name="pope.accuracy", commit="0123456789ab", date="2020-01-02")
    both = united(first, second)
    assert [(one["scores"], one["date"]) for one in both["earlier"]] == [(["captions.exact"], "2020-01-01")]
    SCHEMA.validate(both)
    three = united(both, made(False, name="shots.0", date="2020-01-03"))
    assert [(one["scores"], one["date"]) for one in three["earlier"]] == [
        (["captions.exact"], "2020-01-01"),
        (["pope.accuracy"], "2020-01-02"),
    ]
    again = united(three, made(True, False, date="2020-01-03"))
    assert [one["scores"] for one in again["earlier"]] == [["pope.accuracy"]]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"scores": 3, "plan": {}}'])
def test_what_cannot_be_read_is_set_aside_and_not_lost(made, path, text):
    path.write_text(text)
    new = made(True)
    found, reason = kept_with(path, new)
    assert found == new and reason
    assert (set_aside(path) / path.name).read_text() == text and not path.exists()


def test_results_are_set_aside_with_their_pages_and_sheets_as_often_as_it_takes(made, path):
    for right in (True, False, True):
        save_results(made(right), path, {})
        sheets_of(path).mkdir(parents=True)
        (sheets_of(path) / "captions.png").write_text(str(right))
        folder = set_aside(path)
        assert {one.relative_to(folder).as_posix() for one in folder.rglob("*.*")} == {
            *("chameleon.json", "chameleon.md", "chameleon.html", "sheets/chameleon/captions.png")
        }
        assert (folder / "sheets" / "chameleon" / "captions.png").read_text() == str(right)
        assert not path.exists() and not sheets_of(path).exists()
    assert len(list(path.parent.joinpath("earlier").iterdir())) == 2, "the same twice is once there"


def test_a_page_shows_the_sheets_of_exams_that_were_taken_before(made, path, pictures, tmp_path):
    sheet = tmp_path / "stories.own.png"
    sheet.write_bytes(b"a picture")
    save_results(made(True), path, {}, sheets=[sheet])
    shown = path.with_suffix(".html").read_text()
    assert "<h2>stories.own</h2>" in shown and "YSBwaWN0dXJl" in shown
