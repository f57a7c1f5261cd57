import pytest

from tessera.exams import Report
from tessera.scoring import Score
from tessera.verbs.evaluate import Plan
from tessera.verbs.results import parts_hash, results, save_results
from tessera.verbs.tables import HEADLINES, budget_table, put, readme_table, seeds_table, update_readme
from tessera.verbs.weights import load, weights_hash
from tessera.world import World

SCORES = {"drawing.single_object": Score(0.5, (0.25, 0.75), 8), "questions.overall": Score(1 / 3, (0.1, 0.6), 9)}
TRAINING = {"documents": 480_000, "seconds": 1500, "level": "easy", "settings": {"rate": 0.5}}


@pytest.fixture
def found(tiny):
    """What was found of a tiny system on the easy level."""
    return results(tiny(), World.easy(), Plan(cases={"drawing": 8}, seed=3), Report(SCORES), training=TRAINING)


# ---------------------------------------------------------------- the table of the README


def row(found, folder, name="chameleon", **changes) -> list[str]:
    """The cells of the table's only row."""
    save_results({**found, **changes}, folder / f"{name}.json")
    (line,) = readme_table(folder).splitlines()[2:]
    (folder / f"{name}.json").unlink()
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_of_the_table_shows_headlines_in_percent(found, tmp_path):
    cells = row(found, tmp_path, parameters={"total": 4_049_999})
    headlines = ["-"] * len(HEADLINES)
    headlines[0], headlines[list(HEADLINES).index("questions.overall")] = "50.0 (25.0-75.0)", "33.3 (10.0-60.0)"
    assert cells == ["chameleon", "easy", *headlines, "4.0 M", "480,000", "25 min, float32", "-"]


def test_a_row_of_the_table_shows_what_training_cost_and_what_was_in_front_of_it(found, tmp_path):
    cost = lambda **training: row(found, tmp_path, training=training)[-3:]
    assert cost() == ["0", "0 min, float32", "-"]
    assert cost(**TRAINING, core_seconds=3000)[1] == "50 min, float32"
    assert cost(**TRAINING | {"settings": {"precision": "bfloat16"}})[1] == "25 min, bfloat16"
    assert cost(**TRAINING, before={**TRAINING, "before": {"documents": 1}})[:2] == ["960,001", "50 min, float32"]
    eye, codec = ({"part": name, "documents": 1_000, "seconds": 60} for name in ("eye", "codec"))
    assert cost(parts={"eye": eye}, before={"parts": {"eye": eye, "codec": codec}})[2] == "2,000 in 2 min"


def test_a_row_made_in_another_version_of_the_world_is_stale(found, tmp_path):
    assert row(found, tmp_path)[0] == "chameleon"
    assert row(found, tmp_path, world="0123456789ab")[0] == "chameleon (stale)"
    assert row(found, tmp_path, language="zh")[0] == "chameleon (stale)"  # this hash is that of the world in English
    assert row(found, tmp_path, language="zh", world=World.easy("zh").hash())[0] == "chameleon"
    assert row(found, tmp_path, level="standard", world=World.standard().hash())[:2] == ["chameleon", "standard"]


def test_the_table_has_a_row_for_every_file_by_name_and_as_many_cells_in_each(found, tmp_path):
    for name in ("b", "a", "c"):
        save_results({**found, "system": name}, tmp_path / f"{name}.json")
    head, rule, *rows = readme_table(tmp_path).splitlines()
    assert [line.split()[1] for line in rows] == ["a", "b", "c"]
    assert {line.count("|") for line in (head, rule, *rows)} == {len(HEADLINES) + 7}
    assert all(name in head for name in HEADLINES.values())


def test_the_readme_changes_between_its_marks_only(found, tmp_path):
    folder, readme = tmp_path / "results", tmp_path / "README.md"
    save_results(found, folder / "chameleon.json")
    readme.write_text("# Title\n\n<!-- results -->\n| old |\n<!-- end -->\n\nWhat follows · stays.\n")
    update_readme(readme, folder)
    expected = f"# Title\n\n<!-- results -->\n{readme_table(folder)}\n<!-- end -->\n\nWhat follows · stays.\n"
    assert readme.read_text() == expected
    update_readme(readme, folder)
    assert readme.read_text() == expected, "done twice it is as done once"
    save_results({**found, "world": "older"}, folder / "chameleon.json")
    update_readme(readme, folder)
    assert "| chameleon (stale) | easy |" in readme.read_text() and "| chameleon | easy |" not in readme.read_text()


def test_the_readme_keeps_what_follows_another_end_mark(found, tmp_path):
    save_results(found, tmp_path / "results" / "chameleon.json")
    rest = "\n<!-- links -->\n[a link](b)\n<!-- end -->\n\nThe last line.\n"
    (tmp_path / "README.md").write_text(f"<!-- results -->\n<!-- end -->{rest}")
    update_readme(tmp_path / "README.md", tmp_path / "results")
    assert (tmp_path / "README.md").read_text().endswith(f"<!-- end -->{rest}")


# ---------------------------------------------------------------- one budget


def drawn(found, name, share, **changes):
    """Results of a system that draws so well."""
    score = {"value": share, "ci95": [share - 0.1, share + 0.1], "n": 8}
    return {**found, "system": name, "scores": {**found["scores"], "drawing.overall": score}, **changes}


def test_the_best_drawer_stands_first_and_who_draws_nothing_last(found):
    head, _, *rows = budget_table([found, drawn(found, "b", 0.5), drawn(found, "a", 0.75)]).splitlines()
    assert [row.split()[1] for row in rows] == ["a", "b", "chameleon"]
    cells = dict(zip(head.split(" | "), rows[1].split(" | "), strict=True))
    assert cells["all drawing skills"] == "50.0 (40.0-60.0)" and cells["questions"] == "33.3 (10.0-60.0)" and cells["blind"] == "-"
    assert (cells["documents"], cells["rate"]) == ("480,000", "0.5")
    active = found["parameters"]["trunk_active_per_place"] / 1e6
    assert cells["trunk, active a place"] == f"{active:.2f} M"


BY_MUON = {"training": TRAINING | {"settings": TRAINING["settings"] | {"optimizer": "muon"}}}


MORE = [{"training": TRAINING | {"documents": 520_000}}, {"training": TRAINING | {"before": {"documents": 40_000}}}]


@pytest.mark.parametrize("changes", [*MORE, BY_MUON, {"world": "0123456789ab"}, {"scorer": 0}])
def test_results_of_another_budget_optimizer_world_or_judge_do_not_stand_beside(found, changes):
    with pytest.raises(ValueError, match=r"table: chameleon learned from .*; other learned from .* the same are accepted"):
        budget_table([found, drawn(found, "other", 0.5, **changes)])
    assert budget_table([found, drawn(found, "other", 0.5, training=TRAINING | {"documents": 500_000})])


def seeded(found, seed, share, **changes):
    """The same, learned with a seed."""
    return drawn(found, "chameleon", share, training=TRAINING | {"settings": TRAINING["settings"] | {"seed": seed}} | changes)


def test_seeds_stand_in_turn_above_their_mean_and_how_far_they_lie_apart(found):
    head, _, *rows = seeds_table([seeded(found, 2, 0.8), seeded(found, 0, 0.5), seeded(found, 1, 0.5)]).splitlines()
    assert head.startswith("| chameleon, seed | all drawing skills | readable drawings |")
    assert [row.split(" | ")[0] for row in rows] == ["| 0", "| 1", "| 2", "| mean", "| standard deviation"]
    assert [row.split(" | ")[1] for row in rows[2:]] == ["80.0 (70.0-90.0)", "60.0", "17.3"]  # of .3 / sqrt(3)
    assert {row.split(" | ")[2] for row in rows} == {"-"}


OTHER = [{"stages": [{"name": "joint"}]}, {"before": {"documents": 1}}, {"documents": 7}]


@pytest.mark.parametrize("other", [{"seed": 0}, *({"seed": 1, **one} for one in OTHER), None])
def test_seeds_of_one_system_trained_alike_are_asked_for(found, other):
    one = seeded(found, 0, 0.5)
    with pytest.raises(ValueError, match=r"table: \d results of chameleon, seeds 0.*; two or more of one system are accepted"):
        seeds_table([one] if other is None else [one, seeded(found, share=0.5, **other)])


def test_a_table_needs_results_that_say_how_systems_learned_and_a_page_a_place(found, tmp_path):
    with pytest.raises(ValueError, match="table: no results"):
        budget_table([])
    for of_some in (budget_table, seeds_table):
        with pytest.raises(ValueError, match="table: results of chameleon do not say how it learned"):
            of_some([found | {"training": {}}])
    page = tmp_path / "page.md"
    page.write_text("# No place\n")
    with pytest.raises(ValueError, match=r"page.md has no place .*<!-- table -->"):
        put(page, "table", "x")
    page.write_text("# A place\n<!-- table -->\nold\n<!-- end -->\nrest\n")
    put(page, "table", "new")
    assert page.read_text() == "# A place\n<!-- table -->\nnew\n<!-- end -->\nrest\n"


def test_a_row_of_another_judge_or_of_other_weights_than_are_here_is_stale(found, tmp_path, monkeypatch):
    assert row(found, tmp_path, scorer=found["scorer"] - 1)[0] == "chameleon (stale)"
    here = load("chameleon")
    shipped = {
        **found,
        "recipe": "chameleon",
        "arguments": here.origin["arguments"],
        "weights": weights_hash(here),
        "parts": parts_hash(here),
    }
    assert row(shipped, tmp_path)[0] == "chameleon"
    assert row(shipped, tmp_path, weights="0123456789ab")[0] == row(shipped, tmp_path, parts="0123456789ab")[0] == "chameleon (stale)"
    assert row(shipped, tmp_path, weights="0123456789ab", arguments={"depth": 7})[0] == "chameleon"  # of one's own sizes
