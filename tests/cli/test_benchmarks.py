import hashlib
import json
import shlex
import shutil

import pytest
from PIL import Image as Pillow
from typer.main import get_command
from verbs.small import TINY

from tessera.cli.app import app
from tessera.laws import Sampling
from tessera.verbs import evaluate
from tessera.verbs.recipes import build
from tessera.verbs.weights import save
from tessera.world import World

FORMATS = get_command(app).commands["benchmark"].commands


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A tiny system that has learned nothing."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save(build("chameleon", arguments=TINY), path)
    return path


@pytest.fixture
def score(tessera, weights):
    """Calls `tessera benchmark` on that system."""
    return lambda *words: tessera(
        "benchmark", *words, "--run", weights, "--device", "cpu", *(() if "geneval" in words else ("--longest", 4))
    )


@pytest.fixture
def writing(monkeypatch):
    """How many requests are written, call by call."""
    counts, write = [], evaluate.write
    monkeypatch.setattr(evaluate, "write", lambda system, requests, **how: counts.append(len(requests)) or write(system, requests, **how))
    return counts


@pytest.fixture
def files(tmp_path):
    """Files of every format, three rows each, about three of the world's pictures."""
    world, folder = World.easy(), tmp_path / "files"
    folder.mkdir()
    names = [f"{i}.png" for i in range(3)]
    for i, name in enumerate(names):
        Pillow.fromarray(world.picture(world.scene(i, "test")).permute(1, 2, 0).numpy()).save(folder / name)
    ask = "is there a star?"
    turns = [{"from": "human", "value": f"<image>\n{ask}"}, {"from": "gpt", "value": "yes"}]
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    lines = {
        "pope.json": [{"question_id": i, "image": name, "text": ask, "label": "yes"} for i, name in enumerate(names)],
        "prompts.jsonl": [{"tag": "t", "include": [{"class": "star", "count": 1}], "prompt": f"{n} stars"} for n in range(3)],
    }
    whole = {
        "llava.json": [{"id": name, "image": name, "conversations": turns} for name in names],
        "asked.json": {"questions": [{"question_id": i, "image_id": i, "question": ask} for i in range(3)]},
        "answers.json": {
            "annotations": [{"question_id": i, "answer_type": "yes/no", "answers": [{"answer": "yes"}] * 10} for i in range(3)]
        },
        "captions.json": {"images": images, "annotations": [{"id": i, "image_id": i, "caption": "a star"} for i in range(3)]},
        "instances.json": {
            "images": images,
            "annotations": [{"id": i, "image_id": i, "category_id": 1} for i in range(3)],
            "categories": [{"id": 1, "name": "ring"}],
        },
    }
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(map(json.dumps, rows)))
    for name, value in whole.items():
        (folder / name).write_text(json.dumps(value))
    (folder / "synonyms.txt").write_text("star\nring, hoop\n")
    return folder


def found(path) -> dict:
    return json.loads(path.read_text())


CALLS = {
    "pope": ("pope.json", "pope files/pope.json"),
    "vqa": ("asked.json", "vqa files/asked.json files/answers.json --pictures {}.png"),
    "questions": ("llava.json", "questions files/llava.json"),
    "chair": ("captions.json", "chair --captions files/captions.json --instances files/instances.json --synonyms files/synonyms.txt"),
}
SCORES = {
    "pope": {"pope.accuracy", "pope.precision", "pope.recall", "pope.f1", "pope.yes_ratio", "pope.unparsed"},
    "vqa": {"vqa.yes/no", "vqa.overall"},
    "questions": {"questions.exact", "questions.gqa"},
    "chair": {"chair.sentence", "chair.instance", "chair.recall", "chair.words"},
}


@pytest.mark.parametrize("format", CALLS)
def test_a_file_is_scored_and_the_results_say_how(score, files, tmp_path, format):
    file, words = CALLS[format]
    said = score(*words.split())
    assert said.code == 0, said.words
    path = tmp_path / "benchmarks" / f"chameleon-{format}-{file.removesuffix('.json')}.json"
    made, page = found(path), path.with_suffix(".md").read_text()
    assert made["scores"].keys() == SCORES[format] and all(name in page and name in said.words for name in SCORES[format])
    assert made["benchmark"]["format"] == format and made["benchmark"]["cases"] == 3 and made["benchmark"]["bad"] == []
    assert made["benchmark"]["files"][0] == {"name": file, "sha256": hashlib.sha256((files / file).read_bytes()).hexdigest()}
    assert made["plan"] == {"seed": 0, "longest": 4} and made["sampling"]["text"]["temperature"] == 0
    assert len(made["weights"]) == 12 and made["versions"]["torch"] and f"# chameleon on {format}, {file}" in page
    assert path.with_suffix(".html").read_text().count("<img") == 3
    assert (tmp_path / "benchmarks" / "sheets" / path.stem / f"{format}.png").is_file()


def test_what_was_answered_is_not_asked_again_and_may_be_judged_in_another_way(score, files, tmp_path, writing):
    ask = ("pope", "files/pope.json", "--out", "scores")
    assert score(*ask).code == 0 and writing == [3]
    first = found(tmp_path / "scores" / "chameleon-pope-pope.json")
    assert score(*ask).code == 0 and score(*ask, "--convention", "official").code == 0
    assert writing == [3] and found(tmp_path / "scores" / "chameleon-pope-pope.json") == first
    assert found(tmp_path / "scores" / "chameleon-pope-pope-official.json")["benchmark"]["convention"] == "official"
    assert score(*ask, "--seed", "1").code == 0 and writing == [3, 3]


def test_results_on_the_same_questions_are_held_against_each_other(score, files, tmp_path, writing):
    ask = ("questions", "files/llava.json")
    assert score(*ask).code == 0
    first = tmp_path / "benchmarks" / "chameleon-questions-llava.json"
    rights = dict.fromkeys(found(first)["right"], "000")
    first.write_text(json.dumps(found(first) | {"right": rights}))
    short = first.relative_to(tmp_path)  # a column's head may be wrapped
    said = score(*ask, "--out", "new", "--against", short)
    assert said.code == 0 and f"more than {short} by" in said.words and "│ questions.exact │ more │ +0.000 │" in said.words
    other = score("pope", "files/pope.json", "--against", first)
    assert other.code == 2 and "compare: format 'questions' against 'pope'; the same is accepted" in other.words
    worlds = tmp_path / "world.json"
    worlds.write_text('{"schema": 2}')
    assert "has schema 2; here 'benchmark 1' is read" in score(*ask, "--against", worlds).words
    assert writing == [3, 3], "what cannot be compared is not asked"


@pytest.mark.parametrize("format", CALLS)
def test_results_of_every_format_can_be_held_against_each_other(score, files, tmp_path, writing, format):
    file, words = CALLS[format]
    assert score(*words.split()).code == 0
    said = score(*words.split(), "--against", tmp_path / "benchmarks" / f"chameleon-{format}-{file}")
    assert said.code == 0 and "p (Holm)" in said.words and all(name in said.words for name in SCORES[format]) and writing == [3]


@pytest.mark.parametrize("changed", ["llava.json", "1.png"])
def test_another_file_or_picture_of_the_same_name_is_asked_anew(score, files, writing, changed):
    score("questions", "files/llava.json")
    path = files / changed
    path.write_bytes(path.read_bytes() + b"\n")
    assert score("questions", "files/llava.json").code == 0 and writing == [3, 3]


def test_a_stopped_benchmark_goes_on_where_it_was(score, files, tmp_path, writing, monkeypatch):
    monkeypatch.setattr(evaluate, "LEAST", 2)
    monkeypatch.setattr(evaluate, "MOST", 2)
    write = evaluate.write
    monkeypatch.setattr(evaluate, "write", lambda *what, **how: 1 / 0 if len(writing) == 1 else write(*what, **how))
    with pytest.raises(ZeroDivisionError):
        score("questions", "files/llava.json")
    monkeypatch.setattr(evaluate, "write", write)
    assert score("questions", "files/llava.json").code == 0
    assert writing == [2, 1]


def test_bad_rows_stop_the_command_or_are_left_out_and_listed(score, files, tmp_path):
    path = files / "pope.json"
    path.write_text(path.read_text() + '\n{"question_id": 9, "image": "lost.png", "text": "?", "label": "no"}')
    refused = score("pope", "files/pope.json")
    assert refused.code == 2 and "pope.json, line 4: no picture 'lost.png'" in refused.words and not (tmp_path / "benchmarks").exists()
    said = score("pope", "files/pope.json", "--skip-bad")
    assert said.code == 0 and "1 bad rows were left out:" in said.words and "line 4: no picture 'lost.png'" in said.words
    (bad,) = found(tmp_path / "benchmarks" / "chameleon-pope-pope.json")["benchmark"]["bad"]
    assert bad.startswith("pope.json, line 4: no picture 'lost.png'")


def test_prompts_are_drawn_into_genevals_folders_once(score, files, tmp_path, writing):
    ask = ("geneval", "files/prompts.jsonl", "--samples", "2", "--guidance", "1.5", "--steps", "3")
    said = score(*ask)
    (folder,) = (tmp_path / "benchmarks" / "pictures").iterdir()
    assert said.code == 0 and f"evaluate_images.py benchmarks/pictures/{folder.name}" in said.words
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")) == sorted(
        f"{prompt:05d}/{name}" for prompt in range(3) for name in ("metadata.jsonl", "samples/00000.png", "samples/00001.png")
    )
    assert [(folder / f"{n:05d}" / "metadata.jsonl").read_text().strip() for n in range(3)] == (
        files / "prompts.jsonl"
    ).read_text().splitlines()
    made = found(tmp_path / "benchmarks" / "chameleon-geneval-prompts.json")
    assert made["scores"] == {} and made["benchmark"]["samples"] == 2
    assert made["sampling"]["image"] | {"guidance": 1.5, "steps": 3} == made["sampling"]["image"] and Sampling(**made["sampling"]["image"])
    assert score(*ask).code == 0 and writing == [6]


def test_a_run_keeps_its_benchmarks_with_it(tessera, run, files, tmp_path):
    own = shutil.copytree(run, tmp_path / "own")
    assert tessera("benchmark", "pope", "files/pope.json", "--run", own, "--device", "cpu", "--longest", "2").code == 0
    made = found(own / "benchmarks" / "chameleon-pope-pope.json")
    assert made["training"] and made["benchmark"]["cases"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("fhir files/pope.json", "No such command 'fhir'"),
        ("pope", "Missing argument 'file'"),
        ("pope files/none.json", "none.json does not exist; a file of POPE's questions"),
        ("pope files/pope.json --convention lenient", "convention 'lenient'; strict, official, lmms_eval"),
        ("vqa files/asked.json files/answers.json", "no picture 'COCO_val2014_000000000000.jpg'"),
        ("chair --synonyms files/synonyms.txt", "neither captions nor instances of COCO"),
        ("chair --captions files/captions.json", "Missing option '--synonyms'"),
        ("chair --captions files/captions.json --synonyms files/none.txt", "No such file or directory: 'files/none.txt'"),
        ("geneval files/prompts.jsonl --samples 0", "0 pictures of each prompt; at least 1 is accepted"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_a_line(tessera, files, words, said):
    refused = tessera("benchmark", *words.split())
    assert refused.code == 2 and said in refused.words


def test_shipped_weights_and_a_run_at_once_are_refused(score, files):
    refused = score("pope", "files/pope.json", "--system", "chameleon")
    assert refused.code == 2 and "one of them is accepted" in refused.words


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_and_each_of_its_options_is_explained(tessera, name):
    assert f"Example: tessera benchmark {name} " in tessera("benchmark", name, "--help").words
    assert [option.name for option in FORMATS[name].params if not option.help] == []
    words = shlex.split(FORMATS[name].epilog.removeprefix("Example: "))
    assert FORMATS[name].make_context(name, words[3:]).params
