"""Commands on a system that only reads pictures: what it cannot do is said, the rest is as for any other."""

import json

import pytest

from tessera.cli import training
from tessera.scoring import intervals
from tessera.verbs import glance
from tessera.verbs.evaluate import Plan

SMALL = "--preset tiny --stage tuned --scale 0.0001 --device cpu --precision float32".split()
FEW = Plan(cases={"drawing": 1, "questions": 1}, pictures=0, split="val")
LEAST = ("--share", "0.001", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reading") / "run"


@pytest.fixture
def run(tessera, folder, monkeypatch):
    """A LLaVA of one step of its last stage, with glances."""
    if not folder.exists():
        monkeypatch.setattr(training, "glance", glance.glance)
        monkeypatch.setattr(glance, "LOOK", FEW)
        said = tessera("train", "llava", *SMALL, "--run", folder)
        assert said.code == 0 and "tessera ask --run" in said.words and "tessera draw" not in said.words
    return folder


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 50)


def test_a_glance_shows_answers(run):
    assert list((run / "samples").glob("tuned-*.png"))
    scores = [json.loads(line).get("scores") for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {tuple(found) for found in scores if found} == {("questions.overall",)}


def test_exams_of_pictures_are_left_out_and_it_says_so(tessera, run, tmp_path):
    said = tessera("evaluate", "--run", run, "--suite", "questions", "--suite", "drawing", "--suite", "likeness", *LEAST, "--out", tmp_path)
    assert said.code == 0 and "llava writes no pictures; left out: drawing, likeness" in said.words
    found = json.loads((tmp_path / "llava.json").read_text())
    assert list(found["plan"]["cases"]) == ["questions"] and "questions.overall" in found["scores"]
    assert not any(name.startswith(("drawing", "codec")) for name in found["scores"])
    assert {"oracle.readable", "teacher_forced.text", "excess.caption"} <= found["scores"].keys()
    assert list(found["sampling"]) == ["text"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", "--suite", "drawing"), "evaluate: drawing of llava; it writes no pictures; name exams of what it says"),
        (("evaluate", "--suite", "questions", "--guidance", "2"), "llava: {'guidance': 2.0} for pictures; it writes none"),
        (("draw", "a red circle"), "llava: Image(learn=True) is taken by 0 ports"),
    ],
)
def test_what_it_cannot_do_is_said(tessera, run, words, said):
    found = tessera(*words, "--run", run, "--device", "cpu")
    assert found.code != 0 and said in found.words


def test_it_is_asked(tessera, run, tmp_path):
    from PIL import Image

    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    assert tessera("ask", tmp_path / "red.png", "what is it?", "--run", run, "--longest", "3", "--device", "cpu").code == 0
