import json
from pathlib import Path

import pytest
import torch

from tessera.cli import looking
from tessera.data import open_data
from tessera.verbs import weights
from tessera.verbs.describe import count
from tessera.verbs.recipes import build, names, summary
from tessera.world import EASY, LEVELS, World, save_sheet
from tessera.world.agreement import audit
from tessera.world.bias import Bias
from tessera.world.export import MARK
from tessera.world.samples import samples

TINY = ("--set", "width=16", "--set", "depth=1", "--set", "heads=2", "--set", "levels=(3,3)", "--set", "channels=8")


def sizes(said) -> int:
    """The number of parameters in the title of a description."""
    return int(said.words.split(" parameters")[0].split()[-1].replace(",", ""))


def test_every_recipe_is_listed_with_what_it_is(tessera):
    said = tessera("systems")
    assert said.code == 0
    for name in names():
        assert name in said.words and summary(name)[:40] in said.words


def test_levels_with_weights_are_listed_and_a_dash_where_there_are_none(tessera, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    assert tessera("systems").words.count("│ - │") == len(names())
    for level in ("easy", "standard"):
        (tmp_path / f"chameleon-{level}.safetensors").touch()
    assert "│ easy, standard │" in tessera("systems").words


@pytest.mark.parametrize("preset", ["tiny", "default"])
def test_a_description_counts_the_parameters_of_a_preset(tessera, preset):
    assert sizes(tessera("describe", "chameleon", "--preset", preset)) == count(build("chameleon", preset=preset))


def test_arguments_change_what_is_described(tessera):
    said = tessera("describe", "chameleon", "--preset", "tiny", "--set", "depth=3", "--set", "channels=8")
    assert "Transformer, 3 blocks" in said.words
    assert sizes(said) == count(build("chameleon", preset="tiny", arguments={"depth": 3, "channels": 8}))


def test_the_sizes_of_the_paper_take_no_memory(tessera, monkeypatch):
    described, describe = [], looking.describing.describe
    monkeypatch.setattr(looking.describing, "describe", lambda system: described.append(system) or describe(system))
    said = tessera("describe", "chameleon", "--preset", "paper")
    assert said.code == 0 and "Transformer, 32 blocks" in said.words and sizes(said) > 6_000_000_000
    (system,) = described
    assert all(tensor.is_meta for tensor in system.parameters())


def test_a_document_is_shown_place_by_place_with_its_mask(tessera):
    said = tessera("describe", "chameleon", *TINY, "--document", "a red circle / image*")
    assert said.code == 0 and "chameleon: 22 places" in said.words  # a document marker, 3 words, their end, a picture marker, 16 codes
    for token in ("'<document>'", "'Ġred'", "'Ġcircle'", "'<end>'", "'<image>'", "image*"):
        assert token in said.words
    mask = said.words.split("a column for each it may look at ")[1].split()
    assert mask == [word for i in range(22) for word in (str(i), "█" * (i + 1) + "·" * (21 - i))]


@pytest.mark.parametrize("level", ["easy", "standard"])
def test_pictures_of_a_document_are_of_the_level_asked_for(tessera, monkeypatch, level):
    read, parse = [], looking.describing.parse_document
    monkeypatch.setattr(looking.describing, "parse_document", lambda *words: read.append(parse(*words)) or read[-1])
    assert "chameleon: 18 places" in tessera("describe", "chameleon", *TINY, "--document", "image", "--level", level).words
    world = World(LEVELS[level])
    assert torch.equal(read[0][0].content, world.picture(world.scene(0)))


def test_a_run_is_described_as_it_was_built(tessera, run):
    said = tessera("describe", "chameleon", "--run", run)
    assert sizes(said) == count(weights.load(run)) and "Transformer, 1 blocks" in said.words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("chamelion",), "recipe: 'chamelion'; near it there are chameleon; `tessera systems` lists all of them"),
        (("chameleon", "--preset", "huge"), "chameleon: preset 'huge'; there are default, tiny, paper; choose one of them"),
        (("chameleon", "--set", "breadth=3"), "chameleon: argument breadth=3; accepted are, by default, width=192, "),
        (("chameleon", "--set", "width"), "--set: 'width'; name=value is accepted"),
        (("chameleon", "--set", "pixels=30"), "Autoencoder: stride 8 for 30 pixels; "),
        (("chameleon", *TINY, "--document", " "), "describe: document ' '; accepted are text and pictures separated by ' / '"),
        (("chameleon", *TINY, "--document", "image", "--level", "hard"), "world: level 'hard'; there are easy, standard; choose one"),
    ],
)
def test_what_cannot_be_described_is_refused_with_what_can(tessera, words, said):
    refused = tessera("describe", *words)
    assert refused.code == 2 and f"error: {said}" in refused.words


def test_a_run_that_is_not_there_is_called_a_run(tessera):
    assert tessera("describe", "chameleon", "--run", "nowhere").words.startswith("error: load: nowhere does not exist")


def test_the_sheet_of_the_world_shows_its_samples(tessera, tmp_path):
    said = tessera("world", 4, "--level", "standard", "--split", "val", "--out", "sheet.png")
    assert said == (0, "4 documents of standard in sheet.png")
    save_sheet(tmp_path / "expected.png", samples(World.standard(), 4, "val"))
    assert (tmp_path / "sheet.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_a_sheet_has_24_documents_unless_asked_otherwise(tessera, tmp_path):
    assert tessera("world") == (0, "24 documents of easy in world.png")
    save_sheet(tmp_path / "expected.png", samples(World.easy(), 24))
    assert (tmp_path / "world.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


@pytest.mark.parametrize("format", ["llava", "webdataset"])
def test_the_world_is_exported_to_be_trained_on(tessera, tmp_path, format):
    assert tessera("world", 4, "--export", "made", "--format", format) == (0, f"4 documents as {format} in made")
    assert len(open_data(tmp_path / "made", format=format)) == 4 and not (tmp_path / "world.png").exists()


def test_a_world_that_leans_or_holds_something_out_is_exported(tessera, tmp_path):
    made = tessera("world", 3, "--export", "made", "--bias", "topic=0.9", "--held-out", "pairs", "--split", "pairs")
    leaning = World(EASY, bias=Bias(topic=0.9), held_out="pairs")
    assert made == (0, "3 documents as llava in made") and leaning.hash() in (tmp_path / "made" / MARK).read_text()
    assert "split 'pairs'" in tessera("world", 3, "--export", "other", "--split", "pairs").words


def test_the_world_is_exported_for_coco(tessera, tmp_path):
    assert tessera("world", 3, "--export", "made", "--format", "coco", "--language", "zh").code == 0
    captions = json.loads((tmp_path / "made" / "captions.json").read_text())
    assert len(captions["images"]) == len(captions["annotations"]) == len(list((tmp_path / "made" / "images").iterdir())) == 3
    assert all(not one["caption"].isascii() for one in captions["annotations"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--level", "hard"), "world: level 'hard'; there are easy, standard; choose one"),
        (("--language", "fr"), "world: language 'fr' was asked for; there are en, zh and both"),
        (("--split", "dev"), "world: split 'dev' was asked for; there are train, val, test"),
        (("--export", "made", "--format", "parquet"), "export: format 'parquet' was asked for; there are llava, webdataset, coco"),
    ],
)
def test_what_the_world_does_not_have_is_refused(tessera, tmp_path, words, said):
    refused = tessera("world", 2, *words)
    assert refused.code == 2 and said in refused.words and not list(tmp_path.iterdir())


def test_another_export_in_the_folder_is_left_alone(tessera, tmp_path):
    tessera("world", 2, "--export", "made")
    before = {file: file.read_bytes() for file in (tmp_path / "made").rglob("*") if file.is_file()}
    refused = tessera("world", 3, "--export", "made")
    assert refused.code == 2 and "export: made holds another export" in refused.words
    assert {file: file.read_bytes() for file in (tmp_path / "made").rglob("*") if file.is_file()} == before


def test_the_oracle_is_certified_on_what_systems_draw_too(tessera, run, monkeypatch):
    monkeypatch.setattr(looking, "shipped", lambda: [("chameleon", "easy"), ("chameleon", "standard")])
    said = tessera("world", "--certify", 10, "--run", run)
    assert said.code == 0 and "### easy: passed" in said.words and "| **clean** | 0.00 %" in said.words
    assert "| through chameleon's codec | " in said.words
    for name in ("chameleon", "chameleon, temperature 2", str(run)):
        assert f"| {name} | " in said.words.split("| drawn by |")[1]


def test_who_draws_too_hot_draws_worse_and_both_readers_know_it():
    world = World.easy()
    system = weights.load("chameleon")
    cold, hot = (audit(world.level, *looking.drawings(world, system, temperature, 64)) for temperature in (None, looking.HOT))
    assert cold.right.share > 0.9 > 0.75 > hot.right.share and cold.readable.share > hot.readable.share
    assert cold.confirmed.share >= 0.98  # a floor of what the two readers share on drawings
    assert hot.confirmed.share >= 0.6  # where things begin to melt beside those asked for, the auditor gives up sooner
    for found in (cold, hot):
        assert found.agreement.scene.share >= 0.98 and found.agreement.verdict.share >= 0.6


def test_a_system_that_writes_no_pictures_is_left_out_and_hot_are_only_those_that_draw_codes(monkeypatch):
    built = {Path("a"): build("llava", preset="tiny"), Path("b"): build("transfusion", preset="tiny")}
    monkeypatch.setattr(looking, "load", lambda path, **_: built[path])
    assert list(looking.drawings_of(World.easy(), {}, list(built))) == ["b"]
    monkeypatch.setattr(looking, "shipped", lambda: [("a", "easy"), ("b", "easy"), ("b", "standard")])
    monkeypatch.setattr(looking, "load", lambda path, **_: built[Path(path)])
    assert list(looking.drawers(World.easy().level)) == ["b"]
    assert looking.draws_codes(build("chameleon", preset="tiny")) and not any(map(looking.draws_codes, built.values()))


def test_a_certificate_that_fails_ends_with_a_code_that_says_so(tessera, monkeypatch):
    class Failed:
        passed = False

        def markdown(self) -> str:
            return "### easy: failed"

    asked = []
    monkeypatch.setattr(looking, "certify", lambda level, n, **_: asked.append((level.name, n)) or Failed())
    assert tessera("world", "--certify") == (1, "### easy: failed")
    assert asked == [("easy", 2000)]


def test_a_run_is_described_under_its_own_name_alone(tessera, run):
    assert tessera("describe", "chameleon", "--run", run).code == 0
    for words in (("janus",), ("chameleon", "--preset", "tiny"), ("chameleon", "--set", "depth=3")):
        refused = tessera("describe", *words, "--run", run)
        assert (
            refused.code == 2
            and "which is of chameleon, built as it was trained; name that, and leave --set and --preset out" in refused.words
        )


def test_a_sheet_says_where_its_texts_are(tessera, tmp_path):
    said = tessera("world", 3, "--language", "zh", "--out", "zh.png")
    assert said.code == 0 and said.words.endswith("3 documents of easy in zh.png with zh.txt") and (tmp_path / "zh.txt").is_file()


def test_a_sheet_is_named_as_a_picture(tessera, tmp_path):
    refused = tessera("world", 3, "--out", "sheet")
    assert refused.code == 2 and "picture: sheet has the suffix ''; accepted are " in refused.words
