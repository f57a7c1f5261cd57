import importlib
import json
import os
import subprocess
import sys
from dataclasses import fields
from importlib.metadata import entry_points
from inspect import signature
from io import BytesIO
from pathlib import Path

import lmms_stub
import pytest
import torch
from PIL import Image as Pillow
from verbs.small import TINY

from tessera.data import open_picture
from tessera.document import Document, Image, Text
from tessera.laws import Sampling
from tessera.lmms_eval import manifest
from tessera.lmms_eval.answering import Answers, rows_of
from tessera.lmms_eval.asking import chat, cut, longest_of, picture_of, sampling_of, simple
from tessera.scoring.answers import yes_no
from tessera.scoring.yesno import yes_no_scores
from tessera.verbs.generate import requests_for, write
from tessera.verbs.recipes import build
from tessera.verbs.weights import load, save
from tessera.world import World
from tessera.world.hallucination import Negatives, pope

ROUND = {"max_new_tokens": 6, "temperature": 1.0, "do_sample": True}


@pytest.fixture(scope="session")
def system():
    return build("chameleon", arguments=TINY)


@pytest.fixture
def picture():
    """12 x 8 pixels, so that it has to be cropped."""
    picture = Pillow.new("RGB", (12, 8), "red")
    picture.paste("blue", (6, 0, 12, 8))
    return picture


def contents(found):
    """What its segments hold, of pictures that `torch.tensor` sees their numbers."""
    return [part.content if isinstance(part, Text) else int(part.content) for part in found.segments]


def simply(context, settings=None, document=0):
    """A request tuple as tasks with one context make them."""
    return context, settings, lambda document: document["visuals"], document, "task", "test"


def asked_simply(context, visuals=()):
    return contents(simple(simply(context), {"task": {"test": [{"visuals": visuals}]}}, torch.tensor))


def asked_in_chat(*messages):
    return contents(chat(("", lambda document: document, {}, 0, "task", "test"), {"task": {"test": [list(messages)]}}, torch.tensor))


# ---------------------------------------------------------------- what is asked


@pytest.mark.parametrize(
    ("context", "visuals", "expected"),
    [
        ("Is it red?", [1], [1, "Is it red?"]),
        ("Same?", [1, 2], [1, 2, "Same?"]),
        ("<image>\nIs it red?", [1], [1, "Is it red?"]),
        ("First <image> then <image>, same?", [1, 2], ["First", 1, "then", 2, ", same?"]),
        ("Is <image> a tag?", [], ["Is <image> a tag?"]),
        ("<image> and?", [1, 2], [1, 2, "<image> and?"]),
        ("Two and two?", None, ["Two and two?"]),
        ("", [1], [1]),
        (" \n", [], []),
    ],
)
def test_a_context_and_its_pictures_are_read_in_order(context, visuals, expected):
    assert asked_simply(context, visuals) == expected


def test_messages_are_read_in_order():
    text, image = lambda words: {"type": "text", "text": words}, lambda visual: {"type": "image", "url": visual}
    user = lambda *content: {"role": "user", "content": list(content)}
    assert asked_in_chat(user(image(1), image(2), text("Same?"))) == [1, 2, "Same?"]
    assert asked_in_chat(user(text("Look"), text("here"), image(1), text(""))) == ["Look\nhere", 1]
    shot = {"role": "assistant", "content": "Yes."}
    assert asked_in_chat({"role": "system", "content": "Be brief."}, user(text("Q")), shot, user(text("R"))) == [
        "Be brief.",
        "Q",
        "Yes.",
        "R",
    ]
    assert asked_in_chat(user()) == []
    with pytest.raises(ValueError, match="lmms_eval: task shows video; text and images are accepted; choose another task"):
        asked_in_chat(user({"type": "video", "url": "x.mp4"}))


def test_a_picture_is_the_same_whatever_it_comes_as(picture, tmp_path):
    file, stream = tmp_path / "p.png", BytesIO()
    picture.save(file)
    picture.save(stream, "PNG")
    data = stream.getvalue()
    expected = open_picture(file, 8)
    forms = [picture, Pillow.open(file), file, str(file), data, {"bytes": data, "path": None}, {"bytes": None, "path": str(file)}]
    assert all(torch.equal(picture_of(form, 8), expected) for form in forms)
    assert picture_of(picture.convert("L"), 8).shape == (3, 8, 8) and picture_of(picture.resize((300, 2)), 8).shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("visual", "reason"),
    [
        ("https://a.org/a.png", "the visual https://a.org/a.png is an address; pictures are never fetched"),
        ("lost.png", "lost.png is no file"),
        (b"words", "picture is none of PNG"),
        (3, "a visual is a int; PIL images, paths and bytes of pictures are accepted"),
        ({}, "a visual is a NoneType"),
    ],
)
def test_what_is_no_picture_is_refused(visual, reason):
    with pytest.raises(ValueError, match=reason):
        picture_of(visual, 8)


# ---------------------------------------------------------------- settings

USUAL = Sampling(temperature=0.7, top_k=5)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Sampling(0.0)),
        ({"temperature": None, "do_sample": None, "top_p": None, "num_beams": None}, Sampling(0.0)),
        ({"temperature": 0, "top_p": 0.0, "top_k": 1, "num_beams": 1}, Sampling(0.0)),
        ({"temperature": 0.5}, Sampling(0.5)),
        ({"temperature": 0.5, "do_sample": False}, Sampling(0.0)),
        ({"temperature": 0, "do_sample": True}, Sampling(0.0)),
        ({"do_sample": True, "top_p": 1.0, "top_k": 0}, Sampling(1.0)),
        ({"do_sample": True, "temperature": 0.5, "top_p": 0.9, "top_k": 3}, Sampling(0.5, top_k=3, top_p=0.9)),
    ],
)
def test_the_task_says_how_text_is_written(settings, expected):
    assert sampling_of(USUAL, settings) == expected


def test_beams_are_refused():
    with pytest.raises(ValueError, match="lmms_eval: num_beams 3; 1 is accepted"):
        sampling_of(USUAL, {"num_beams": 3})


@pytest.mark.parametrize(
    ("until", "left"),
    [
        (None, "yes.\n\nIt is"),
        ([], "yes.\n\nIt is"),
        ("\n\n", "yes."),
        (["It", "."], "yes"),
        ([""], "yes.\n\nIt is"),
        (["y"], ""),
        ("no", "yes.\n\nIt is"),
    ],
)
def test_text_ends_where_the_first_end_stands(until, left):
    assert cut(" yes.\n\nIt is ", until) == left


def test_lengths_and_batch_sizes():
    assert [longest_of(s) for s in ({}, {"max_new_tokens": None}, {"max_new_tokens": 16})] == [64, 64, 16]
    assert [rows_of(size) for size in (1, "8", "auto", "auto:4")] == [1, 8, 64, 64]
    for wrong in ("many", 0, "-1"):
        with pytest.raises(ValueError, match=r"lmms_eval: batch_size .*; a whole number from 1 and auto are accepted"):
            rows_of(wrong)


# ---------------------------------------------------------------- answers


@pytest.fixture
def documents(picture):
    """Four documents: one picture, two, none, and another one."""
    grey = Pillow.new("L", (30, 20), 90)
    return {"task": {"test": [{"visuals": some} for some in ([picture], [picture, grey], [], [grey])]}}


def asked(settings=ROUND):
    return [simply(words, settings=settings, document=i) for i, words in enumerate(("red?", "same?", "two and two?", ""))]


def test_answers_do_not_depend_on_the_batch_or_on_what_else_is_asked(system, documents):
    alone = Answers(system, rows=1)(asked(), simple, documents)
    assert len(alone) == 4 and len(set(alone)) > 1
    assert Answers(system, rows=3)(asked(), simple, documents) == alone
    assert Answers(system)(asked()[::-1], simple, documents) == alone[::-1]
    assert [Answers(system)([one], simple, documents)[0] for one in asked()] == alone
    assert Answers(system, seed=1)(asked(), simple, documents) != alone


def test_chat_and_simple_requests_are_answered_alike(system, documents):
    spoken = lambda words: (
        lambda document: [
            {"role": "user", "content": [*({"type": "image", "url": v} for v in document["visuals"]), {"type": "text", "text": words}]}
        ]
    )
    messages = [("", spoken(context), settings, *key) for context, settings, _, *key in asked()]
    assert Answers(system)(messages, chat, documents) == Answers(system)(asked(), simple, documents)


def test_a_document_asked_again_is_answered_anew_where_text_is_drawn(system, documents):
    again = Answers(system)([asked()[0]] * 3, simple, documents)
    assert len(set(again)) > 1 and again[0] == Answers(system)(asked()[:1], simple, documents)[0]
    assert len(set(Answers(system)([asked({"max_new_tokens": 6})[0]] * 3, simple, documents))) == 1


def test_settings_are_honoured_request_by_request(system, documents):
    free, drawn, short = ({"max_new_tokens": 12}, {"max_new_tokens": 12, "do_sample": True}, {"max_new_tokens": 1})
    each = [Answers(system)([asked(s)[0]], simple, documents)[0] for s in (free, drawn, short)]
    assert Answers(system)([asked(s)[0] for s in (free, drawn, short)], simple, documents)[0] == each[0]
    assert each[0] != each[1] and len(each[2]) < len(each[0])
    end = each[0][len(each[0]) // 2]
    assert Answers(system)([asked(free | {"until": [end]})[0]], simple, documents) == [cut(each[0], end)] != [each[0]]


def test_pictures_are_answered_as_json_with_their_files(system, documents, tmp_path):
    for want, texts in (("picture", {""}), ("both", set(Answers(system)(asked(), simple, documents)))):
        found = [json.loads(one) for one in Answers(system, want, tmp_path / want)(asked() + asked()[:1], simple, documents)]
        assert {one["text"] for one in found[:4]} == texts
        paths = [path for one in found for path in one["images"]]
        assert paths == [str(tmp_path / want / f"task-test-{name}.png") for name in ("0-0", "1-0", "2-0", "3-0", "0-1")]
        drawn = [open_picture(path, 8) for path in paths]
        assert not torch.equal(drawn[0], drawn[4]) and not torch.equal(drawn[0], drawn[1])
        for path in paths:
            with Pillow.open(path) as opened:
                assert opened.size == (8, 8)


def test_what_is_wanted_and_where_it_goes_belong_together(system, tmp_path):
    with pytest.raises(ValueError, match="lmms_eval: want 'song'; text, picture, both are accepted; choose one"):
        Answers(system, "song")
    for want, out in (("picture", None), ("text", tmp_path)):
        with pytest.raises(ValueError, match=f"lmms_eval: want '{want}' and out {out}; a folder `out` is accepted, and needed, for"):
            Answers(system, want, out)


def test_a_request_holds_what_is_shown_said_and_wanted(system, documents, tmp_path):
    answers = Answers(system, "both", tmp_path)
    made = answers.request(simple(asked()[1], documents, lambda visual: picture_of(visual, 8)), ("task", "test", 1, 0))
    assert [(type(part), part.learn) for part in made.document] == [(Image, 0), (Image, 0), (Text, 0), (Text, 1), (Image, 1)]
    assert made.longest == 6 and made.sampling[Text].temperature == 1.0 and Image not in made.sampling


# ---------------------------------------------------------------- the harness itself


@pytest.fixture(params=["as we know it", "installed"])
def harness(request, monkeypatch):
    """The harness, or what stands in its place where it is not installed; our classes are made anew beside it."""
    if request.param == "installed":
        pytest.importorskip("lmms_eval.api.model")
    else:
        lmms_stub.install(monkeypatch)
    monkeypatch.delitem(sys.modules, "tessera.lmms_eval.models", raising=False)
    yield lambda name: importlib.import_module(f"lmms_eval.{name}")
    sys.modules.pop("tessera.lmms_eval.models", None)


def test_the_classes_are_what_the_harness_registers(harness, system, documents, tmp_path):
    model, Instance = harness("api.model"), harness("api.instance").Instance
    registry = harness("models.registry_v2").ModelRegistryV2()
    registry.register_manifest(manifest())
    save(system, tmp_path / "weights.safetensors")
    words = f"run={tmp_path / 'weights.safetensors'},seed=4"
    for force_simple in (False, True):
        found = registry.get_model_class("tessera", force_simple=force_simple)
        assert not found.__abstractmethods__, "a method that the harness asks for is missing"
        made = found.create_from_arg_string(words, {"batch_size": "2", "device": "cpu"})
        assert isinstance(made, model.lmms) and made.is_simple is force_simple and (made.answers.rows, made.answers.seed) == (2, 4)
        for refused in (made.loglikelihood, made.generate_until_multi_round):
            with pytest.raises(NotImplementedError, match=r"lmms_eval: a task .*; choose"):
                refused([])
    made.task_dict = documents
    requests = [Instance("generate_until", one, 0, {"task": "task", "doc_id": i, "repeats": 1}) for i, one in enumerate(asked())]
    assert made.generate_until(requests) == Answers(made.answers.system, seed=4)(asked(), simple, documents)


def test_what_stands_in_its_place_asks_as_much_as_the_harness_itself():
    model = pytest.importorskip("lmms_eval.api.model")
    assert lmms_stub.lmms.__abstractmethods__ == model.lmms.__abstractmethods__
    for name in (*model.lmms.__abstractmethods__, "create_from_arg_string"):
        parameters = [list(signature(getattr(one, name)).parameters) for one in (lmms_stub.lmms, model.lmms)]
        assert parameters[0] == parameters[1], name
    manifests = importlib.import_module("lmms_eval.models.registry_v2").ModelManifest
    assert [one.name for one in fields(lmms_stub.ModelManifest)] == [one.name for one in fields(manifests)]


def test_the_harness_finds_us_by_the_entry_point_that_it_looks_for():
    (entry,) = [one for one in entry_points(group="lmms_eval.models") if one.value.startswith("tessera")]
    assert entry.name == "tessera" and entry.load() is manifest


POPE_OF_OURS = """
include: {theirs}
task: pope_of_ours
dataset_path: parquet
dataset_kwargs: {{data_files: {{test: {file}}}}}
lmms_eval_specific_kwargs: {{tessera: {{pre_prompt: "", post_prompt: ""}}}}
"""


def test_its_own_pope_on_pictures_of_ours_gives_the_scores_that_we_give(tmp_path):
    """The command, from pictures on disk to its scores. Its yes ratio is that of the labels, so it is not ours."""
    task, datasets = pytest.importorskip("lmms_eval.tasks.pope"), pytest.importorskip("datasets")
    world = World.easy()
    probes = [probe for i in range(40) for probe in pope(world, Negatives.RANDOM, i, k=1)]
    shown = [i if i % 3 else i - 3 for i in range(len(probes))]  # with every third question another one's picture, lest all be right
    pictures = [probes[i].picture for i in shown]
    rows = [
        {
            "question_id": str(i),
            "image": Pillow.fromarray(picture.permute(1, 2, 0).numpy()),
            "question": probe.question.text,
            "answer": probe.question.answer,
        }
        for i, (picture, probe) in enumerate(zip(pictures, probes, strict=True))
    ]
    columns = {name: datasets.Image() if name == "image" else datasets.Value("string") for name in rows[0]}
    datasets.Dataset.from_list(rows, features=datasets.Features(columns)).to_parquet(tmp_path / "pope.parquet")
    theirs = Path(next(iter(task.__path__))) / "pope.yaml"
    (tmp_path / "pope.yaml").write_text(POPE_OF_OURS.format(theirs=theirs, file=tmp_path / "pope.parquet"))
    words = "--model tessera --model_args system=janus,level=easy,device=cpu --batch_size 16 --tasks pope_of_ours"
    alone = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "lmms_eval", *words.split(), "--include_path", tmp_path, "--output_path", tmp_path / "out"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = (tmp_path / "out").rglob("*results.json")
    found = json.loads(file.read_text())["results"]["pope_of_ours"]
    asked = [
        Document((Image(picture), Text(probe.question.text), Text(learn=True))) for picture, probe in zip(pictures, probes, strict=True)
    ]
    said = [one.texts[0] for one in write(load("janus", level="easy"), requests_for(asked, seed=0))]
    ours = yes_no_scores([yes_no(text, "lmms_eval") for text in said], [probe.present for probe in probes], "lmms_eval")
    assert 0.5 < ours.accuracy < 1, "known answers that are not all alike"
    names = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1_score": "f1"}
    assert {name: found[f"pope_{name},none"] for name in names} == {name: pytest.approx(getattr(ours, of)) for name, of in names.items()}
