import copy
import json
from pathlib import Path

import pytest
import torch
from jsonschema import Draft202012Validator

from tessera.codecs import BPE
from tessera.document import Image, Text
from tessera.exams import SCORER, Report
from tessera.laws import Sampling
from tessera.scoring import Score, bootstrap, rate
from tessera.stages import Stage
from tessera.verbs import recipes
from tessera.verbs import results as module
from tessera.verbs.evaluate import Plan, sampling_facts
from tessera.verbs.page import html, markdown
from tessera.verbs.results import (
    asked_of,
    judged,
    parameters,
    parts_hash,
    read_results,
    results,
    save_results,
)
from tessera.world import Tile, World

SCORES = {"drawing.single_object": Score(0.5, (0.25, 0.75), 8), "questions.overall": Score(1 / 3, (0.1, 0.6), 9)}
REPORT = Report(SCORES, {"questions.overall": {"chance": 0.25}}, {"questions.overall": [True, False, False] * 3})
TRAINING = {"documents": 480_000, "seconds": 1500, "level": "easy"}


@pytest.fixture
def found(tiny):
    """What was found of a tiny system on the easy level."""
    system = tiny()
    system.origin = {"recipe": "chameleon", "arguments": {"width": 16, "levels": (3, 3)}}
    return results(system, World.easy(), Plan(cases={"drawing": 8}, seed=3), REPORT, training=TRAINING)


@pytest.fixture(scope="module")
def schema():
    """Says whether results are as they should be."""
    described = json.loads(Path(module.__file__).with_name("results.schema.json").read_text())
    Draft202012Validator.check_schema(described)
    return Draft202012Validator(described)


# ---------------------------------------------------------------- what a result holds


def test_results_hold_what_is_needed_to_understand_them(found):
    assert (found["system"], found["recipe"], found["level"], found["language"]) == ("chameleon", "chameleon", "easy", "en")
    score = {"value": 0.5, "ci95": [0.25, 0.75], "n": 8, "method": "wilson", "unparsed": 0, "unreadable": 0}
    assert found["scores"]["drawing.single_object"] == score and found["schema"] == 2 and found["scorer"] == SCORER
    assert found["right"] == {"questions.overall": "100100100"} and found["references"] == {"questions.overall": {"chance": 0.25}}
    assert found["plan"] == {"cases": {"drawing": 8}, "pictures": 500, "seed": 3, "split": "test"} and found["seeds"] == {}
    assert found["world"] == World.easy().hash() and found["training"] == TRAINING
    assert found["versions"]["torch"] == torch.__version__ and len(found["date"].split("-")) == 3


def test_results_name_the_sampling_that_was_used(tiny):
    system, asked = tiny(), Sampling(temperature=0.25, top_k=4)
    sampling = results(system, World.easy(), Plan(sampling={Image: asked}), REPORT)["sampling"]
    assert sampling["image"] == {
        "temperature": 0.25,
        "top_k": 4,
        "top_p": None,
        "guidance": 1.0,
        "steps": None,
        "denoising": None,
        "nats": None,
    }
    assert sampling["text"]["temperature"] == system.port(Text(learn=True)).law.sampling.temperature == 0.0
    usual = results(system, World.easy(), Plan(), REPORT)
    assert usual["sampling"]["image"]["guidance"] == 2.0 and usual["training"] == {}


@pytest.mark.parametrize(
    ("name", "port", "asked", "steps", "denoising"),
    [
        ("d_dit", "text", {}, 16, None),
        ("d_dit", "image", {}, 32, None),
        ("mmar", "image", {}, 8, 3),
        ("mmar", "image", {Image: Sampling(steps=5, denoising=2)}, 5, 2),
        ("orthus", "image", {}, None, 3),
    ],
)
def test_steps_that_nobody_asks_for_are_named_too(name, port, asked, steps, denoising):
    facts = sampling_facts(recipes.build(name, preset="tiny"), Plan(sampling=asked))[port]
    assert (facts["steps"], facts["denoising"]) == (steps, denoising)


def test_results_are_read_again_as_they_were_written(found, tmp_path):
    path = tmp_path / "new" / "chameleon.json"
    save_results(found, path)
    again = json.loads(path.read_text())
    assert again == {**found, "arguments": {"width": 16, "levels": [3, 3]}}  # JSON has lists only
    assert again["scores"]["questions.overall"]["value"] == 1 / 3
    assert path.with_suffix(".md").read_text() == markdown(found)


def test_a_page_with_pictures_is_written_where_there_are_any(found, tmp_path, pictures):
    path, tiles = tmp_path / "chameleon.json", {"drawing": [Tile(pictures[0], ("a red circle",), True)]}
    save_results(found, path)
    assert not path.with_suffix(".html").exists()
    save_results(found, path, tiles)
    assert path.with_suffix(".html").read_text() == html(found, tiles)


def test_the_page_lists_every_score_and_all_settings(found):
    lines = markdown(found).splitlines()
    assert lines[0] == "# chameleon on easy (en)"
    assert "| drawing.single_object | 0.500 | 0.250 to 0.750 | 8 |  |" in lines
    assert "| questions.overall | 0.333 | 0.100 to 0.600 | 9 | 0.250 |" in lines
    settings = json.loads(markdown(found).split("```json\n")[1].split("```")[0])
    assert settings["training"] == TRAINING and settings["parts"] == found["parts"] and settings["plan"]["seed"] == 3


def test_the_spread_over_seeds_is_of_the_scores_that_all_of_them_have():
    reports = [Report({"a": rate([True, right]), **more}) for right, more in ((True, {"b": rate([True])}), (False, {}))]
    seeds = judged(reports[0], reports)["seeds"]
    assert seeds.keys() == {"a"}
    assert (seeds["a"]["mean"], seeds["a"]["least"], seeds["a"]["most"], seeds["a"]["seeds"]) == (0.75, 0.5, 1.0, 2)
    assert judged(reports[0], reports[:1])["seeds"] == judged(reports[0])["seeds"] == {}


def test_what_was_asked_is_the_same_for_the_same_world_and_plan(found):
    asked = asked_of(World.easy(), Plan(cases={"drawing": 8}, seed=3))
    assert asked == {key: found[key] for key in asked} and asked.keys() == {
        "level",
        "language",
        "bias",
        "held_out",
        "world",
        "plan",
        "scorer",
    }


# ---------------------------------------------------------------- as the schema says


def test_results_are_as_the_schema_says(found, schema, tiny, tmp_path):
    clustered = rate([True, False, True], clusters=["a", "a", "b"], unparsed=1)
    full = Report({"a": clustered, "b": bootstrap([1.0, 2.0], max)}, {"a": {"chance": 0.5}}, {"a": [True, False, True]})
    several = results(tiny(), World.easy("both"), Plan(), full, seeds=[full, full])
    assert several["seeds"] and "clusters" in several["scores"]["a"] and "recipe" not in several
    for one in (found, several):
        save_results(one, tmp_path / "one.json")
        schema.validate(read_results(tmp_path / "one.json"))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema",), 1),
        (("more",), 1),
        (("world",), "easy"),
        (("weights",), None),
        (("scores", "questions.overall", "ci95"), [0.1]),
        (("scores", "questions.overall", "mean"), 0.5),
        (("right", "questions.overall"), "10x"),
        (("references", "questions.overall", "chance"), "a quarter"),
        (("plan", "cases", "drawing"), -1),
        (("plan", "rows"), 64),
        (("sampling", "image", "temperature"), -1),
        (("parameters", "trained"), 0.5),
        (("seeds", "questions.overall"), {"mean": 0.5}),
        (("date",), "today"),
    ],
    ids=lambda what: ".".join(what) if isinstance(what, tuple) else "",
)
def test_what_is_otherwise_is_not_as_the_schema_says(found, schema, place, value):
    other = json.loads(json.dumps(found))
    assert schema.is_valid(other)
    *path, last = place
    inner = other
    for key in path:
        inner = inner[key]
    inner[last] = value
    assert not schema.is_valid(other)


@pytest.mark.parametrize("key", ["scores", "right", "sampling", "plan", "world", "weights", "scorer", "commit"])
def test_nothing_that_is_needed_may_lack(found, schema, key):
    assert not schema.is_valid({name: value for name, value in json.loads(json.dumps(found)).items() if name != key})


# ---------------------------------------------------------------- read again


def test_results_of_another_schema_are_not_read(found, tmp_path):
    path = tmp_path / "old.json"
    save_results({**found, "schema": 1}, path)
    with pytest.raises(ValueError) as refused:
        read_results(path)
    assert str(refused.value) == f"results: {path} has schema 1; here 2 is read; evaluate anew, or name other results"


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '"schema"'])
def test_what_is_no_result_is_not_read(tmp_path, text):
    path = tmp_path / "no.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=f"^results: {path}: .*; a JSON file written by `evaluate` is accepted; check the path$"):
        read_results(path)


# ---------------------------------------------------------------- parts and parameters


def test_the_hash_of_parts_changes_with_the_weights_of_a_codec_and_not_otherwise(tiny, pictures):
    system = tiny()
    before = parts_hash(system)
    assert len(before) == 12 and parts_hash(copy.deepcopy(system)) == before
    with torch.no_grad():
        system.trunk.norm.weight += 1
        system.text.writer.out.weight += 1
        system.by_name["image"].reader.positions.weight += 1
    system.train()
    system.text.codec.encode(["a red circle"])
    system.by_name["image"].codec.encode(list(pictures))
    assert parts_hash(system) == before
    for part in ("encoder.0.bias", "decoder.0.weight"):
        other = copy.deepcopy(system)
        with torch.no_grad():
            other.by_name["image"].codec.codec.get_parameter(part).view(-1)[0] += 1e-3
        assert parts_hash(other) != before, part


def test_the_hash_of_parts_knows_the_weights_alone_and_not_how_they_came(tiny):
    one, other = tiny(), tiny(width=32, depth=1)
    assert parts_hash(one) != parts_hash(other)
    other.by_name["image"].codec.load_state_dict(one.by_name["image"].codec.state_dict())
    assert parts_hash(one) == parts_hash(other)


def test_the_hash_of_parts_changes_with_the_tokenizer(tiny, tmp_path):
    longer = BPE().tokenizer
    longer.add_tokens(["tessera"])
    longer.save(str(tmp_path / "longer.json"))
    one, other = tiny(), tiny(tokenizer=str(tmp_path / "longer.json"))
    other.by_name["image"].codec.load_state_dict(one.by_name["image"].codec.state_dict())
    assert parts_hash(one) != parts_hash(other)


def test_parameters_are_counted_once(tiny):
    system = tiny()
    attention, mlp = 16 + 48 * 16 + 16 * 16 + 4 * 8, 16 + 96 * 16 + 16 * 48
    trunk = 2 * (attention + mlp) + 16
    sizes = {id(parameter): parameter.numel() for parameter in system.parameters()}
    found = parameters(system)
    assert (found["total"], found["trunk"], found["trunk_active_per_place"]) == (sum(sizes.values()), trunk, trunk)
    table, head = system.text.reader, system.by_name["image"].writer
    rest = sum(parameter.numel() for parameter in {*table.parameters(), *head.parameters()})
    assert trained(system, (system.trunk, table), (head, table)) == trunk + rest
    assert trained(system, (system.trunk,), (system.trunk.norm,)) == trunk
    assert trained(system) == 0


def trained(system, *parts) -> int:
    """How many parameters are counted as trained where stages train these parts."""
    system.stages = tuple(Stage("some", train=some, documents=1, mix={}) for some in parts)
    return parameters(system)["trained"]
