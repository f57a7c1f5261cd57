import json
import shutil
from dataclasses import replace

import pytest

from tessera.cli import scoring
from tessera.scoring import rate
from tessera.verbs import weights
from tessera.verbs.evaluate import Plan, evaluate
from tessera.verbs.runs import training_facts
from tessera.verbs.weights import latest, load
from tessera.world import World

FEW = ("--share", "0.001", "--device", "cpu")
SHEETS = {"drawing", "questions", "captions"}
LEAST = {"drawings": 10, "questions": 10, "captions": 10, "pictures": 10}


@pytest.fixture
def own(run, tmp_path):
    """A copy of the run that a test may change."""
    return shutil.copytree(run, tmp_path / "own")


def found(path) -> dict:
    return json.loads(path.read_text())


def test_a_run_is_scored_into_its_own_folder(tessera, own, monkeypatch):
    asked = []
    monkeypatch.setattr(scoring, "evaluate", lambda *what, **where: asked.append((what, evaluate(*what, **where))) or asked[0][1])
    said = tessera("evaluate", "--run", "own", *FEW)
    assert said.code == 0
    assert said.words.endswith("own/results/chameleon.json, its page beside it, contact sheets in own/results/sheets/chameleon")
    (((system, world, plan), scores),) = asked
    assert system.origin == load(own).origin and world == World.easy()
    assert replace(plan, sampling=None) == Plan(**LEAST)
    made, page = found(own / "results" / "chameleon.json"), (own / "results" / "chameleon.md").read_text()
    assert made["scores"] == {name: {"value": s.value, "ci95": list(s.ci95), "n": s.n} for name, s in scores.items()}
    assert made["scores"]["oracle.readable"]["value"] == 1.0 and made["scores"]["oracle.readable"]["n"] == 10
    assert made["world"] == World.easy().hash() and made["training"] == training_facts(own, latest(own))
    for name, score in scores.items():
        assert f"| {name} | {score.value:.3f} | " in page and f"│ {name} │ {score.value:.3f} │ " in said.words
    assert {sheet.stem for sheet in (own / "results" / "sheets" / "chameleon").glob("*.png")} == SHEETS


def test_a_run_is_scored_on_what_it_was_trained_on_unless_asked_otherwise(tessera, own, tmp_path, monkeypatch):
    facts = found(own / "run.json") | {"level": "standard", "language": "zh"}
    (own / "run.json").write_text(json.dumps(facts))
    worlds = []
    monkeypatch.setattr(scoring, "evaluate", lambda system, world, plan, **_: worlds.append(world) or {})
    for words in ((), ("--level", "easy"), ("--language", "en"), ("--level", "easy", "--language", "en")):
        assert tessera("evaluate", "--run", "own", *FEW, *words).code == 0
    assert worlds == [World.standard("zh"), World.easy("zh"), World.standard(), World.easy()]
    names = {path.stem for path in (own / "results").glob("*.json")}
    assert names == {"chameleon-standard-zh", "chameleon-easy-zh", "chameleon-standard-en", "chameleon"}


def test_what_is_asked_of_cases_and_sampling_is_used_and_written_down(tessera, own, tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr(scoring, "evaluate", lambda system, world, plan, **_: plans.append(plan) or {})
    words = "--share 0.5 --split val --seed 3 --guidance 1.5 --temperature 0.9 --top-k 5 --top-p 0.8 --out scores".split()
    assert tessera("evaluate", "--run", "own", *words).code == 0
    (plan,) = plans
    assert (plan.drawings, plan.questions, plan.seed, plan.split) == (250, 100, 3, "val")
    sampling = found(tmp_path / "scores" / "chameleon.json")["sampling"]
    assert sampling["image"] == {"temperature": 0.9, "top_k": 5, "top_p": 0.8, "guidance": 1.5, "steps": None}
    assert sampling["text"]["temperature"] == 0.0 and not (own / "results").exists()


def test_a_weights_file_is_scored_with_how_it_was_trained(tessera, own, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "evaluate", lambda *_, **__: {})
    tessera("weights", "own", "w.safetensors")
    assert tessera("evaluate", "--run", "w.safetensors", *FEW).code == 0
    assert found(tmp_path / "results-unpublished" / "chameleon.json")["training"] == training_facts(own, latest(own))


@pytest.fixture
def library(run, tmp_path, monkeypatch, tessera):
    """A library whose shipped weights are those of the run, and a README to be filled."""
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    assert tessera("weights", run, "shipped/chameleon-easy.safetensors").code == 0
    (tmp_path / "README.md").write_text("Before.\n<!-- results -->\n<!-- end -->\nAfter.\n")
    return tmp_path


def test_all_cases_of_shipped_weights_go_to_results_and_to_the_readme(tessera, library, monkeypatch):
    monkeypatch.setattr(scoring, "evaluate", lambda *_, **__: {"drawing.single_object": rate([True, True, False, False])})
    assert tessera("evaluate", "chameleon").code == 0
    readme = (library / "README.md").read_text()
    assert readme.startswith("Before.\n<!-- results -->\n| system | level | one object | ") and readme.endswith("<!-- end -->\nAfter.\n")
    assert "| chameleon | easy | 50.0 (15.0-85.0) | " in readme
    assert (library / "results" / "chameleon.json").exists() and not (library / "results-unpublished").exists()


@pytest.mark.parametrize(
    "words", [("--share", "0.5"), ("--split", "val"), ("--guidance", "1"), ("--run", "shipped/chameleon-easy.safetensors")]
)
def test_anything_else_is_not_published(tessera, library, monkeypatch, words):
    monkeypatch.setattr(scoring, "evaluate", lambda *_, **__: {})
    before = (library / "README.md").read_text()
    assert tessera("evaluate", *words).code == 0
    assert (library / "results-unpublished" / "chameleon.json").exists() and not (library / "results").exists()
    assert (library / "README.md").read_text() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--run", "nowhere"), "load: nowhere does not exist; the folder of a training run or a weights file is accepted; check the path"),
        (("--run", "."), "run: . holds no checkpoint; the folder of a training run is accepted; check the path"),
        (("gpt",), "load: there is no file or folder gpt, and as a name: recipe: 'gpt'; near it there are chameleon"),
        (("--run", "RUN", "--level", "hard"), "world: level 'hard'; there are easy, standard; choose one"),
        (("--run", "RUN", "--language", "fr"), "world: language 'fr' was asked for; there are en, zh and both"),
        (
            ("--run", "RUN", "--split", "dev", "--out", "x"),
            "evaluate: split 'dev', share 0.001; train, val, test, and shares above 0 up to 1; change it",
        ),
        (("--run", "RUN", "--device", "gpu"), "device: 'gpu': "),
        (("--run", "RUN", "--temperature", "-1"), "Sampling: temperature -1, "),
    ],
)
def test_what_cannot_be_scored_is_refused_with_what_can(tessera, run, words, said):
    refused = tessera("evaluate", *(run if word == "RUN" else word for word in words), "--share", "0.001")
    assert refused.code == 2 and f"error: {said}" in refused.words
    assert not (run / "results").exists()
