import json

import pytest


@pytest.fixture(autouse=True)
def _tiny(tiny_recipes):
    """The recipes are there in their tiny sizes."""


def test_systems_learn_under_one_budget_and_what_is_there_is_not_trained_again(tessera, tmp_path):
    code, words = tessera("compare", "chameleon", "--rate", 1, "--rate", 2, "--scale", 2, "--sweep", 1, "--device", "cpu")
    runs = tmp_path / "runs" / "compare" / "chameleon"
    assert code == 0 and "loss at rate 2" in words and "runs/compare/chameleon/seed-0" in words
    assert sorted(path.name for path in runs.iterdir()) == ["rate-1", "rate-2", "seed-0"]
    settings = json.loads((runs / "seed-0" / "run.json").read_text())["settings"]
    assert settings["scale"] == 2.0 and settings["rate"] in (1.0, 2.0)
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("checkpoints/*")}
    assert tessera("compare", "chameleon", "--rate", 1, "--rate", 2, "--scale", 2, "--sweep", 1, "--device", "cpu")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("checkpoints/*")} == before


def test_who_cannot_be_built_is_named_before_anything_is_trained(tessera, tmp_path):
    code, words = tessera("compare", "chameleon", "cameleon")
    assert code == 2 and "cameleon" in words and not (tmp_path / "runs").exists()


def test_a_table_of_results_that_are_none(tessera, tmp_path):
    (tmp_path / "wrong.json").write_text("[]")
    code, words = tessera("table", "wrong.json")
    assert code == 2 and "wrong.json" in words
