import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tessera.cli import scoring
from tessera.exams import Report
from tessera.scoring import intervals, rate
from tessera.verbs import evaluate as verb
from tessera.verbs import weights
from tessera.verbs.evaluate import Plan, evaluate
from tessera.verbs.runs import training_facts
from tessera.verbs.suites import EXAMS, STANDARD, SUITES
from tessera.verbs.weights import latest, load
from tessera.world import LANGUAGES, World, caption

LEAST = ("--share", "0.001", "--device", "cpu")
QUICK = ("--suite", "captions", *LEAST)
SOME = ("drawing", "questions", "captions")
PAGES = "its pages beside it (.md, and .html with pictures)"


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    """An interval takes 2,000 resamples, which is most of the time of a small evaluation."""
    monkeypatch.setattr(intervals, "RESAMPLES", 50)


@pytest.fixture
def own(run, tmp_path):
    """A copy of the run that a test may change."""
    return shutil.copytree(run, tmp_path / "own")


@pytest.fixture
def plans(monkeypatch):
    """The plans that were asked for; nothing is found of them."""
    asked: list[Plan] = []
    monkeypatch.setattr(scoring, "evaluate", lambda system, world, plan, **_: asked.append(plan) or Report())
    return asked


def finds(monkeypatch, *right: list[bool]) -> None:
    """One evaluation after the other finds these cases right."""
    turns = iter(right)

    def found(*_, **__) -> Report:
        cases = next(turns)
        return Report({"drawing.overall": rate(cases)}, right={"drawing.overall": cases})

    monkeypatch.setattr(scoring, "evaluate", found)


def found(path) -> dict:
    return json.loads(path.read_text())


# ---------------------------------------------------------------- of a run


def test_a_run_is_scored_into_its_own_folder(tessera, own, monkeypatch):
    asked = []
    monkeypatch.setattr(scoring, "evaluate", lambda *what, **where: asked.append((what, evaluate(*what, **where))) or asked[0][1])
    said = tessera("evaluate", "--run", "own", *(word for name in SOME for word in ("--suite", name)), *LEAST)
    assert said.code == 0
    assert said.words.endswith(f"own/results/chameleon.json, {PAGES}, contact sheets in own/results/sheets/chameleon")
    (((system, world, plan), report),) = asked
    assert system.origin == load(own).origin and world == World.easy()
    assert replace(plan, sampling={}) == Plan(cases=dict.fromkeys(SOME, 10), pictures=10)
    made, page = found(own / "results" / "chameleon.json"), (own / "results" / "chameleon.md").read_text()
    shown = (own / "results" / "chameleon.html").read_text()
    values = lambda scores: {name: (score["value"], score["n"]) for name, score in scores.items()}
    assert values(made["scores"]) == {name: (score.value, score.n) for name, score in report.scores.items()}
    assert made["scores"]["oracle.readable"]["value"] == 1.0 and made["scores"]["oracle.readable"]["n"] == 10
    assert made["world"] == World.easy().hash() and made["training"] == training_facts(own, latest(own))
    for name, score in report.scores.items():
        assert f"| {name} | {score.value:.3f} | " in page and f"│ {name} │ {score.value:.3f} │ " in said.words
        assert f"<td>{name}</td><td>{score.value:.3f}</td>" in shown
    assert f"chance {report.references['questions.exist']['chance']:.3f}, blind " in said.words
    assert {sheet.stem for sheet in (own / "results" / "sheets" / "chameleon").glob("*.png")} == set(SOME)


def test_a_run_is_scored_on_what_it_was_trained_on_unless_asked_otherwise(tessera, own, tmp_path, monkeypatch):
    facts = found(own / "run.json") | {"level": "standard", "language": "zh"}
    (own / "run.json").write_text(json.dumps(facts))
    worlds = []
    monkeypatch.setattr(scoring, "evaluate", lambda system, world, plan, **_: worlds.append(world) or Report())
    for words in ((), ("--level", "easy"), ("--language", "en"), ("--level", "easy", "--language", "en")):
        assert tessera("evaluate", "--run", "own", *LEAST, *words).code == 0
    assert worlds == [World.standard("zh"), World.easy("zh"), World.standard(), World.easy()]
    names = {path.stem for path in (own / "results").glob("*.json")}
    assert names == {"chameleon-standard-zh", "chameleon-easy-zh", "chameleon-standard-en", "chameleon"}


def test_what_is_asked_of_cases_and_sampling_is_used_and_written_down(tessera, own, tmp_path, plans):
    words = (
        "--share 0.5 --split val --seed 3 --guidance 1.5 --temperature 0.9 --top-k 5 --top-p 0.8 --steps 2 --nats 0.5 --out scores".split()
    )
    assert tessera("evaluate", "--run", "own", *words).code == 0
    (plan,) = plans
    assert (plan.cases["drawing"], plan.cases["questions"], plan.seed, plan.split) == (250, 100, 3, "val")
    sampling = found(tmp_path / "scores" / "chameleon.json")["sampling"]
    assert sampling["image"] == {"temperature": 0.9, "top_k": 5, "top_p": 0.8, "guidance": 1.5, "steps": 2, "denoising": None, "nats": 0.5}
    assert sampling["text"]["temperature"] == 0.0 and not (own / "results").exists()


def test_a_weights_file_is_scored_with_how_it_was_trained(tessera, own, tmp_path, plans):
    tessera("weights", "own", "w.safetensors")
    assert tessera("evaluate", "--run", "w.safetensors", *LEAST).code == 0
    assert found(tmp_path / "results-unpublished" / "chameleon.json")["training"] == training_facts(own, latest(own))


# ---------------------------------------------------------------- suites and seeds


@pytest.mark.parametrize(
    ("names", "cases"),
    [
        ((), STANDARD),
        (("smoke",), SUITES["smoke"]),
        (("captions",), {"captions": STANDARD["captions"]}),
        (("captions", "drawing"), {name: STANDARD[name] for name in ("captions", "drawing")}),
        (("smoke", "drawing"), {**SUITES["smoke"], "drawing": STANDARD["drawing"]}),
    ],
)
def test_suites_and_exams_are_chosen_by_name(tessera, own, plans, names, cases):
    assert tessera("evaluate", "--run", "own", *(word for name in names for word in ("--suite", name))).code == 0
    assert [plan.cases for plan in plans] == [cases] and found(own / "results" / "chameleon.json")["plan"]["cases"] == cases


def test_several_seeds_give_a_spread(tessera, own, monkeypatch):
    seeds, folders = [], []

    def found_of(system, world, plan, *, answers, tick):
        seeds.append(plan.seed)
        folders.append(answers)
        return Report({"drawing.overall": rate([True, True, plan.seed > 3, False])})

    monkeypatch.setattr(scoring, "evaluate", found_of)
    said = tessera("evaluate", "--run", "own", "--seed", "3", "--seeds", "2", *QUICK)
    assert said.code == 0 and seeds == [3, 4] and len(set(folders)) == 2
    made = found(own / "results" / "chameleon.json")
    assert made["scores"]["drawing.overall"]["value"] == 0.5 and made["plan"]["seed"] == 3
    spread = made["seeds"]["drawing.overall"]
    assert (spread["mean"], spread["least"], spread["most"], spread["seeds"]) == (0.625, 0.5, 0.75, 2)
    assert "over seeds" in said.words and "│ 0.500 to 0.750 │" in said.words
    finds(monkeypatch, [True])
    alone = tessera("evaluate", "--run", "own", *QUICK)
    assert "over seeds" not in alone.words and found(own / "results" / "chameleon.json")["seeds"] == {}


# ---------------------------------------------------------------- nothing is lost


def test_exams_that_are_taken_later_join_those_before(tessera, own):
    assert tessera("evaluate", "--run", "own", *QUICK).code == 0
    first = found(own / "results" / "chameleon.json")
    said = tessera("evaluate", "--run", "own", "--suite", "questions", *LEAST)
    both = found(own / "results" / "chameleon.json")
    assert said.code == 0 and "│ questions.exist │" in said.words and "│ captions.exact │" not in said.words
    assert both["plan"]["cases"] == {"captions": 10, "questions": 10} and first["scores"].items() <= both["scores"].items()
    assert {name.split(".")[0] for name in both["scores"]} >= {"captions", "questions", "codec"} and both["right"]["captions.exact"]
    assert not (own / "results" / "earlier").exists()
    shown = (own / "results" / "chameleon.html").read_text()
    assert all(f"<h2>{name}</h2>" in shown and f"<td>{name}." in shown for name in ("captions", "questions"))
    (answers,) = (own / "results" / "answers").iterdir()
    assert tessera("judge", answers, "--into", own / "results" / "chameleon.json").code == 0
    assert found(own / "results" / "chameleon.json") == both


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--seed", "1"), "they are of another seed"),
        (("--temperature", "0.25"), "they are of another sampling"),
        (("--suite", "captions", "--share", "0.1"), "they are of another number of cases of captions, number of cases of the ladder"),
    ],
)
def test_results_of_something_else_are_set_aside_whole_and_it_is_said(tessera, own, plans, words, reason):
    assert tessera("evaluate", "--run", "own", *QUICK).code == 0
    path = Path("own", "results", "chameleon.json")
    before, page = path.read_bytes(), path.with_suffix(".html").read_bytes()
    said = tessera("evaluate", "--run", "own", *QUICK, *words)
    (aside,) = (path.parent / "earlier").iterdir()
    assert said.code == 0 and f"the results that were in {path} are now in {aside}: {reason}" in said.words
    assert (aside / "chameleon.json").read_bytes() == before and (aside / "chameleon.html").read_bytes() == page
    assert found(path)["plan"] != json.loads(before)["plan"] or found(path)["sampling"] != json.loads(before)["sampling"]


def test_who_stops_an_evaluation_is_told_how_it_goes_on(tessera, own, monkeypatch):
    write, done = verb.write, []

    def stopped(system, requests, **how):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(len(requests))
        return write(system, requests, **how)

    for name in ("LEAST", "MOST"):
        monkeypatch.setattr(verb, name, 4)
    monkeypatch.setattr(verb, "write", stopped)
    said = tessera("evaluate", "--run", "own", *QUICK)
    (answers,) = Path("own", "results", "answers").iterdir()
    kept = f"stopped; what was written so far is kept in {answers}; the same command goes on from there"
    assert said.code == 130 and said.words.endswith(kept) and not (own / "results" / "chameleon.json").exists()
    done.clear()
    monkeypatch.setattr(verb, "write", lambda system, asked, **how: done.append(len(asked)) or write(system, asked, **how))
    assert tessera("evaluate", "--run", "own", *QUICK).code == 0 and done == [2], "of ten, eight were kept"


# ---------------------------------------------------------------- published


@pytest.fixture
def library(run, tmp_path, monkeypatch, tessera):
    """A library whose shipped weights are those of the run, and a README to be filled."""
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    assert tessera("weights", run, "shipped/chameleon-easy.safetensors").code == 0
    (tmp_path / "README.md").write_text("Before.\n<!-- results -->\n<!-- end -->\nAfter.\n")
    return tmp_path


@pytest.mark.parametrize("more", [(), ("--suite", "standard", "--suite", "editing")], ids=["standard", "and more"])
def test_all_cases_of_shipped_weights_go_to_results_and_to_the_readme(tessera, library, monkeypatch, more):
    half = Report({"drawing.single_object": rate([True, True, False, False])})
    monkeypatch.setattr(scoring, "evaluate", lambda *_, **__: half)
    assert tessera("evaluate", "chameleon", *more).code == 0
    readme = (library / "README.md").read_text()
    assert readme.startswith("Before.\n<!-- results -->\n| system | level | one object | ") and readme.endswith("<!-- end -->\nAfter.\n")
    assert "| chameleon | easy | 50.0 (15.0-85.0) | " in readme
    assert (library / "results" / "chameleon.json").exists() and not (library / "results-unpublished").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--share", "0.5"),
        ("--split", "val"),
        ("--guidance", "1"),
        ("--suite", "smoke"),
        ("--suite", "editing"),
        ("--run", "shipped/chameleon-easy.safetensors"),
    ],
)
def test_anything_else_is_not_published(tessera, library, plans, words):
    before = (library / "README.md").read_text()
    assert tessera("evaluate", *words).code == 0
    assert (library / "results-unpublished" / "chameleon.json").exists() and not (library / "results").exists()
    assert (library / "README.md").read_text() == before


def test_published_results_that_are_judged_again_are_published_again(tessera, library, monkeypatch):
    monkeypatch.setattr(scoring, "evaluate", lambda *_, **__: Report({"drawing.single_object": rate([False])}))
    assert tessera("evaluate", "chameleon").code == 0
    old = found(library / "results" / "chameleon.json")
    monkeypatch.setattr(scoring, "about_answers", lambda _: {**old, "plan": {}, "world": {"hash": old["world"]}})
    better = Report({"drawing.single_object": rate([True] * 4)})
    monkeypatch.setattr(scoring, "judge_again", lambda *_: (World.easy(), Plan(), better))
    assert tessera("judge", "anywhere", "--into", "results/chameleon.json").code == 0
    assert "| chameleon | easy | 100.0 (" in (library / "README.md").read_text()


# ---------------------------------------------------------------- against other results


def test_results_are_held_against_others_case_by_case(tessera, own, monkeypatch):
    finds(monkeypatch, [False] * 6 + [True] * 2, [True] * 8)
    assert tessera("evaluate", "--run", "own", *QUICK).code == 0
    said = tessera("evaluate", "--run", "own", "--out", "new", "--against", "own/results/chameleon.json", *QUICK)
    assert said.code == 0 and "more than own/results/chameleon.json by" in said.words
    assert "│ drawing.overall │ more │ +0.750 │ +0.182 to +0.929 │ 0.0312 │ 0.495 │ 8 │" in said.words


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--split", "val"), "split 'test' against 'val'"),
        (("--language", "zh"), "language 'en' against 'zh'"),
        (("--seed", "1"), "seed 0 against 1"),
        (("--share", "0.1"), "10 of captions, 10 of the ladder against 50 of captions, 50 of the ladder"),
    ],
)
def test_results_of_something_else_are_refused_before_anything_is_written(tessera, own, monkeypatch, words, what):
    finds(monkeypatch, [True])
    assert tessera("evaluate", "--run", "own", *QUICK).code == 0
    finds(monkeypatch)  # what was asked now would fail
    refused = tessera("evaluate", "--run", "own", "--against", "own/results/chameleon.json", *QUICK, *words)
    assert (
        refused.code == 2 and f"error: compare: {what}; " in refused.words and refused.words.endswith(("evaluate both alike", "one suite"))
    )


# ---------------------------------------------------------------- answers that are kept, and judged again


@pytest.fixture
def scored(tessera, own, monkeypatch):
    """A run that was scored on captions, the ladder left out: its results, and the folder of its answers."""
    monkeypatch.setattr(verb, "ladder", lambda *_: Report({"oracle.readable": rate([True])}))
    assert tessera("evaluate", "--run", "own", *QUICK).code == 0
    (answers,) = (own / "results" / "answers").iterdir()
    return own / "results" / "chameleon.json", answers


def test_answers_are_kept_beside_the_results_and_not_written_again(tessera, scored, monkeypatch):
    results, answers = scored
    assert answers.name.startswith("chameleon-") and {path.name for path in answers.iterdir()} == {
        *("about.json", "captions-10-000000.json", "ladder-10.json")
    }
    before = found(results)
    monkeypatch.setattr(verb, "write", lambda *_, **__: pytest.fail("it was written before"))
    assert tessera("evaluate", "--run", "own", *QUICK).code == 0
    assert found(results) == before


def test_answers_are_judged_again_into_their_results(tessera, scored, monkeypatch):
    results, answers = scored
    before = found(results)
    results.write_text(json.dumps(before | {"scorer": 1, "scores": {}, "right": {}, "references": {}}))
    monkeypatch.setattr(verb, "write", lambda *_, **__: pytest.fail("something is written"))
    monkeypatch.setattr(scoring, "trained", lambda *_: pytest.fail("a system is loaded"))
    said = tessera("judge", answers, "--into", results)
    assert said.code == 0 and "│ captions.exact │ 0.000 │" in said.words
    assert said.words.endswith(f"{results}, {PAGES}, contact sheets in {results.parent / 'sheets' / 'chameleon'}")
    assert found(results) == before
    true = caption(World.easy().scene(0, "test"), World.easy().level, LANGUAGES["en"])
    (part,) = answers.glob("captions-*")
    part.write_text(json.dumps([true for _ in json.loads(part.read_text())]))
    assert tessera("judge", answers, "--into", results).code == 0
    after = found(results)
    changed = {key for key in before if after[key] != before[key]}
    assert changed == {"scores", "right", "ratios"} and after["scores"]["captions.parsed"]["value"] == 1.0
    assert after["right"]["captions.exact"].startswith("1")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"weights": "0123456789ab"}, "weights"),
        ({"world": "0123456789ab"}, "world"),
        ({"plan": {"seed": 1}, "sampling": {}}, "sampling, seed, split"),
    ],
)
def test_answers_of_other_results_are_not_judged_into_these(tessera, scored, changes, what):
    results, answers = scored
    results.write_text(json.dumps(found(results) | changes))
    before = results.read_text()
    refused = tessera("judge", answers, "--into", results)
    assert refused.code == 2 and results.read_text() == before
    said = f"judge: {answers} and {results} differ in {what}; the answers that these results are about are accepted; name them"
    assert f"error: {said}" in refused.words


def test_what_holds_no_answers_or_no_results_is_refused(tessera, scored, tmp_path):
    results, answers = scored
    nothing = tessera("judge", tmp_path, "--into", results)
    assert nothing.code == 2 and "a folder that `evaluate` wrote answers to is accepted; check the path" in nothing.words
    other = tessera("judge", answers, "--into", answers / "ladder.json")
    assert other.code == 2 and "a JSON file written by `evaluate` is accepted; check the path" in other.words


# ---------------------------------------------------------------- refused

CASES = "train, val, test, shares above 0 up to 1, and seeds from 1 on; change it"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--run", "nowhere"), "load: nowhere does not exist; the folder of a training run or a weights file is accepted; check the path"),
        (("--run", "."), "run: . holds no checkpoint; the folder of a training run is accepted; check the path"),
        (("gpt",), "load: there is no file or folder gpt, and as a name: recipe: 'gpt'; near it there are chameleon"),
        (("--run", "RUN", "--level", "hard"), "world: level 'hard'; there are easy, standard; choose one"),
        (("--run", "RUN", "--language", "fr"), "world: language 'fr' was asked for; there are en, zh and both"),
        (("--run", "RUN", "--split", "dev", "--out", "x"), f"evaluate: split 'dev', share 0.001, seeds 1; {CASES}"),
        (("--run", "RUN", "--seeds", "0"), f"evaluate: split 'test', share 0.001, seeds 0; {CASES}"),
        (("--run", "RUN", "--suite", "smoke", "--suite", "drawings"), f"evaluate: suite 'drawings'; suites {', '.join(SUITES)} and exams "),
        (("--run", "RUN", "--against", "no.json"), "results: no.json: FileNotFoundError"),
        (("--run", "RUN", "--device", "gpu"), "device: 'gpu': "),
        (("--run", "RUN", "--temperature", "-1"), "Sampling: temperature -1, "),
    ],
)
def test_what_cannot_be_scored_is_refused_with_what_can(tessera, run, words, said):
    refused = tessera("evaluate", *(run if word == "RUN" else word for word in words), "--share", "0.001")
    assert refused.code == 2 and f"error: {said}" in refused.words
    assert not (run / "results").exists()


def test_the_help_names_every_suite_and_exam(tessera):
    words = tessera("evaluate", "--help").words
    assert all(name in words for name in (*SUITES, *EXAMS))
