import io
import json
import re
import tarfile

import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import load_file
from tokenizers import Tokenizer

from tessera.cli import training
from tessera.cli.training import chosen_stages
from tessera.codecs.text import Markers
from tessera.data import open_data, schedule
from tessera.verbs.glance import glance
from tessera.verbs.recipes import build, recipe
from tessera.verbs.weights import latest, load, metadata
from tessera.world import World

COLOURS = ("red", "green", "blue", "orange")
TALK = [{"from": "human", "value": "<image>\nWhat colour?"}, {"from": "gpt", "value": "This one."}]


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (40, 32), colour).save(file, "PNG")
    return file.getvalue()


def as_folder(folder):
    for colour in COLOURS:
        (folder / f"{colour}.png").write_bytes(png(colour))
    rows = [json.dumps({"image": f"{colour}.png", "text": f"all {colour}"}) + "\n" for colour in COLOURS]
    (folder / "rows.jsonl").write_text("".join(rows))


def as_llava(folder):
    for colour in COLOURS:
        (folder / f"{colour}.png").write_bytes(png(colour))
    (folder / "chat.json").write_text(json.dumps([{"id": c, "image": f"{c}.png", "conversations": TALK} for c in COLOURS]))


def as_tar(folder):
    with tarfile.open(folder / "0.tar", "w") as tar:
        for colour in COLOURS:
            for name, data in ((f"{colour}.png", png(colour)), (f"{colour}.txt", f"all {colour}".encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def data(tmp_path):
    """A folder for a user's data, with the four pairs written as a folder with a .jsonl."""
    folder = tmp_path / "data"
    folder.mkdir()
    as_folder(folder)
    return folder


def about(run) -> dict:
    return json.loads((run / "run.json").read_text())


def stages_of(run) -> list[str]:
    """The stages that metrics.jsonl tells of, in order."""
    return list(dict.fromkeys(json.loads(line)["stage"] for line in (run / "metrics.jsonl").read_text().splitlines()))


def tensors(run) -> dict[str, torch.Tensor]:
    return load_file(latest(run) / "weights.safetensors")


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_on_the_world_leaves_all_that_it_promises(run, stages):
    assert {path.name for path in run.iterdir()} == {"run.json", "metrics.jsonl", "checkpoints"}
    assert stages_of(run) == list(stages) and int(latest(run).name) == len(stages) * 10**9
    facts = about(run)
    assert facts["recipe"] == "chameleon" and facts["arguments"] == {"width": 16, "depth": 1, "heads": 2, "levels": [3, 3], "channels": 8}
    assert (facts["level"], facts["language"], facts["world"]) == ("easy", "en", World.easy().hash())
    assert facts["settings"] | {"seed": 0, "scale": 0.0001, "device": "cpu", "precision": "float32"} == facts["settings"]
    assert facts["only_stages"] == [] and facts["start"] == ""


def test_training_on_the_world_is_looked_at_and_scored(tessera, small, stages, main_stage, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "glance", glance)
    said = tessera("train", "chameleon", *small, "--stage", main_stage, "--run", "run")
    assert said.code == 0 and re.search(r"chameleon: scores: drawing.overall 0\.\d+, questions.overall 0\.\d+", said.words)
    assert (tmp_path / "run" / "samples" / f"{main_stage}-{stages[main_stage].documents:08d}.png").exists()


def test_a_run_of_a_preset_goes_to_runs_by_its_name_and_says_what_to_try(tessera, tmp_path):
    said = tessera("train", "chameleon", *"--preset tiny --scale 0.0001 --device cpu --stage codec --seed 3 --fresh".split())
    tried = "try `tessera draw --run runs/chameleon ...` and `tessera evaluate --run runs/chameleon`"
    assert said.code == 0 and said.words.endswith(f"trained: runs/chameleon; {tried}")
    facts = about(tmp_path / "runs" / "chameleon")
    assert facts["arguments"] == json.loads(json.dumps(recipe("chameleon")[1]["tiny"])) and facts["settings"]["seed"] == 3


def test_another_level_and_language_of_the_world_can_be_learned(tessera, small, tmp_path):
    said = tessera("train", "chameleon", *small, "--level", "standard", "--language", "both", "--stage", "codec", "--run", "run")
    assert said.code == 0
    facts = about(tmp_path / "run")
    assert (facts["level"], facts["language"], facts["world"]) == ("standard", "both", World.standard("both").hash())


@pytest.mark.parametrize("write", [as_folder, as_tar, as_llava])
def test_a_users_own_data_are_learned_in_each_format(tessera, small, stages, main_stage, tmp_path, write):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    said = tessera("train", "chameleon", *small, "--data", "data", "--run", "run")
    assert said.code == 0 and "bad rows" not in said.words
    note = schedule(open_data(tmp_path / "data"), stages[main_stage].mix).note
    assert note.startswith("the source does not offer ") and f"chameleon: {main_stage}: {note}" in said.words
    facts = about(tmp_path / "run")
    assert (facts["data"], facts["rows"], facts["bad"]) == (str(tmp_path / "data"), 4, 0) and "world" not in facts
    assert stages_of(tmp_path / "run") == list(stages)
    assert (tmp_path / "run" / "samples" / f"{main_stage}-{stages[main_stage].documents:08d}.png").exists()


def test_a_format_can_be_named(tessera, small, data, tmp_path):
    as_tar(data)
    command = ("train", "chameleon", *small, "--stage", "codec", "--data", "data", "--run", "run")
    refused = tessera(*command)
    assert refused.code == 2 and "has both .jsonl and .tar files; one kind is expected; name the format or the file" in refused.words
    assert not (tmp_path / "run").exists()
    assert tessera(*command, "--format", "webdataset").code == 0


def test_the_pictures_of_a_conversation_may_lie_elsewhere(tessera, small, tmp_path):
    (tmp_path / "pictures").mkdir()
    as_llava(tmp_path / "pictures")
    (tmp_path / "pictures" / "chat.json").rename(tmp_path / "chat.json")
    command = ("train", "chameleon", *small, "--stage", "codec", "--data", "chat.json", "--run", "run")
    assert f"chat.json, entry 1 (id 'red'): no picture 'red.png' in {tmp_path} or {tmp_path}/images; " in tessera(*command).words
    assert tessera(*command, "--images", "pictures").code == 0 and about(tmp_path / "run")["rows"] == 4


def test_a_bad_row_stops_before_training_with_file_line_and_reason(tessera, small, data, tmp_path):
    with (data / "rows.jsonl").open("a") as rows:
        rows.write('{"image": "lost.png", "text": "lost"}\n')
    said = tessera("train", "chameleon", *small, "--data", "data", "--run", "run")
    assert said.code == 2 and not (tmp_path / "run").exists()
    assert f"error: data: {data}/rows.jsonl, line 5: no picture 'lost.png' in {data}; mend or remove the row, or " in said.words
    assert said.words.endswith("(--skip-bad)")


def test_bad_rows_are_left_out_on_request_and_all_listed(tessera, small, data, tmp_path):
    (data / "torn.png").write_bytes(png("red")[:60])
    with (data / "rows.jsonl").open("a") as rows:
        rows.write('{"image": "lost.png", "text": "lost"}\n{"image": "torn.png", "text": "torn"}\n')
        rows.write('{"image": "red.png"\n{"image": "red.png", "text": " "}\n')
    said = tessera("train", "chameleon", *small, "--stage", "codec", "--data", "data", "--run", "run", "--skip-bad")
    assert said.code == 0 and "4 bad rows were left out:" in said.words
    reasons = ("no picture 'lost.png' in ", "picture cannot be read", "bad JSON", "'text' is empty")
    assert all(f"{data}/rows.jsonl, line {5 + i}: {reason}" in said.words for i, reason in enumerate(reasons))
    facts = about(tmp_path / "run")
    assert (facts["rows"], facts["bad"]) == (4, 4)


def test_only_the_stages_named_are_trained(tessera, small, run, tmp_path):
    assert tessera("train", "chameleon", *small, "--stage", "codec", "--run", "run").code == 0
    assert stages_of(tmp_path / "run") == ["codec"] and about(tmp_path / "run")["only_stages"] == ["codec"]
    codec = {name for name in tensors(run) if ".codec." in name}
    ours, theirs, fresh = tensors(tmp_path / "run"), tensors(run), build("chameleon", arguments=about(run)["arguments"]).state_dict()
    assert codec and all(torch.equal(ours[name], theirs[name]) for name in codec)  # the same seed trains the same codec
    assert all(torch.equal(ours[name], fresh[name]) for name in ours.keys() - codec)


def test_stages_keep_the_order_of_the_recipe(tiny):
    system = tiny()
    known = [stage.name for stage in system.stages]
    for names in ([], known[:1], known[::-1], [known[0], known[0]]):
        assert [stage.name for stage in chosen_stages(system, names, {})] == [name for name in known if name in names or not names]
    with pytest.raises(ValueError, match=f"chameleon: stage jiont, odec; there are {', '.join(known)}; choose among them"):
        chosen_stages(system, ["jiont", known[0]], {"odec": 3})


def test_a_stage_may_read_another_number_of_documents(tessera, small, main_stage, tmp_path, tiny):
    system = tiny()
    usual = {stage.name: stage.documents for stage in system.stages}
    assert {stage.name: stage.documents for stage in chosen_stages(system, [], {main_stage: 80})} == usual | {main_stage: 80}
    words = ("--stage", main_stage, "--documents", f"{main_stage}=80", "--scale", "1")
    assert tessera("train", "chameleon", *small, *words, "--run", "run").code == 0
    assert [stage["documents"] for stage in about(tmp_path / "run")["stages"]] == [80]
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["documents"] == 80


def test_a_stage_reads_one_batch_at_least_and_says_so(tessera, small, main_stage):
    said = tessera("train", "chameleon", *small, "--stage", main_stage, "--documents", f"{main_stage}=2", "--run", "run")
    assert said.code == 0 and f"{main_stage}: 2 documents; it reads 64, one batch, which is the least (--batch)" in said.words


@pytest.mark.parametrize("whole", [True, False], ids=["run", "file"])
def test_training_starts_from_weights_where_asked(tessera, small, run, main_stage, tmp_path, whole):
    start = run if whole else latest(run) / "weights.safetensors"
    said = tessera("train", "chameleon", *small, "--start", start, "--stage", main_stage, "--rate", "0", "--run", "run")
    told = about(tmp_path / "run")
    assert said.code == 0 and told["start"] == str(start)
    assert told["before"]["documents"] > 0 and told["before"]["commit"] == about(run)["commit"]
    assert same(tensors(tmp_path / "run"), tensors(run))


def test_weights_of_other_sizes_are_no_start(tessera, small, run, tmp_path):
    refused = tessera("train", "chameleon", *small, "--set", "width=32", "--start", run, "--run", "run")
    assert refused.code == 2 and "of another shape" in refused.words and "it was written for {'recipe': 'chameleon'" in refused.words
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_refused_and_left_alone(tessera, small, run):
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    refused = tessera("train", "chameleon", *small, "--run", run)
    assert refused.code == 2
    assert f"error: train: {run} holds a run already; a new folder is accepted; add --resume to go on, or choose another" in refused.words
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before


def test_a_finished_run_is_resumed_without_doing_anything(tessera, small, run):
    before = tensors(run)
    said = tessera("train", "chameleon", *small, "--run", run, "--resume")
    assert said == (0, f"trained: {run}; try `tessera draw --run {run} ...` and `tessera evaluate --run {run}`")
    assert same(tensors(run), before)


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        (("--seed", "1"), "settings"),
        (("--set", "width=32"), "arguments"),
        (("--language", "zh"), "language"),
        (("--stage", "codec"), "only_stages"),
        (("--documents", "codec=99"), "stages"),
    ],
)
def test_a_run_is_resumed_with_what_it_began_with(tessera, small, run, other, changed):
    refused = tessera("train", "chameleon", *small, "--run", run, "--resume", *other)
    said = re.search(
        rf"error: train: --resume in {run} with other ([a-z_, ]+) than it began with; it began with {{.*; use the same", refused.words
    )
    assert refused.code == 2 and changed in said[1].split(", ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--stage", "jiont"), "chameleon: stage jiont; there are codec, "),
        (("--documents", "jiont=5"), "chameleon: stage jiont; there are codec, "),
        (("--documents", "codec"), "--documents: 'codec'; name=value is accepted; for example --documents codec=256"),
        (("--documents", "codec=0"), "--documents: {'codec': 0}; whole numbers from 1 on are accepted"),
        (("--documents", "codec=1e4"), "--documents: {'codec': 10000.0}; whole numbers from 1 on are accepted"),
        (("--level", "hard"), "world: level 'hard'; there are easy, standard; choose one"),
        (("--language", "fr"), "world: language 'fr' was asked for; there are en, zh and both"),
        (("--device", "gpu"), "device: 'gpu': "),
        (("--precision", "half"), "train: precision 'half'; auto, bfloat16 and float32 are accepted; choose one"),
        (("--preset", "huge"), "chameleon: preset 'huge'; there are default, tiny, paper; choose one of them"),
        (("--data", "nowhere"), "nowhere does not exist; accepted are a folder with pictures and one .jsonl file (or that file), a LLaVA"),
        (("--data", ".", "--format", "parquet"), "data: format 'parquet'; accepted are folder, llava, webdataset; name one of these"),
        (
            ("--set", "pixels=64", "--set", "stride=16"),
            "chameleon: pictures of 64 x 64 pixels; the world's level easy has 32 x 32; build it so",
        ),
        (("--images", "."), "train: --images with the world; that belongs to data of your own (--data); leave it out"),
        (("--skip-bad",), "train: --skip-bad with the world; that belongs to data of your own"),
        (("--data", ".", "--language", "zh"), "train: --language with data of your own (--data); that belongs to the world; leave it out"),
        (("--data", ".", "--level", "standard"), "train: --level with data of your own (--data); that belongs to the world"),
        (("--resume",), "train: --resume in run, where no run.json is; the folder of a run is accepted; check the path"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_folder_is_made(tessera, small, tmp_path, words, said):
    refused = tessera("train", "chameleon", *small, "--run", "run", *words)
    assert refused.code == 2 and refused.words.startswith("error: ") and said in refused.words
    assert not (tmp_path / "run").exists()


def test_data_without_pictures_train_what_they_can(tessera, small, main_stage, tmp_path):
    (tmp_path / "chat.json").write_text(json.dumps([{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}]))
    command = ("train", "chameleon", *small, "--data", "chat.json", "--run", "run")
    said = tessera(*command)
    assert said.code == 0 or not (tmp_path / "run").exists()
    assert tessera(*command[:-1], "other", "--stage", main_stage).code == 0


def test_rows_that_no_stage_learns_are_told(tessera, small, main_stage, tmp_path):
    (tmp_path / "red.png").write_bytes(png("red"))
    alone = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}
    (tmp_path / "chat.json").write_text(json.dumps([{"image": "red.png", "conversations": TALK}, alone]))
    said = tessera("train", "chameleon", *small, "--data", "chat.json", "--run", "run", "--stage", main_stage, "--mix", "question=1")
    assert (
        said.code == 0
        and "1 rows are of no task that these stages learn (question); --mix, or other stages, would learn them" in said.words
    )


def test_pictures_from_elsewhere_belong_to_conversations(tessera, small, data):
    refused = tessera("train", "chameleon", *small, "--data", data, "--images", data)
    assert refused.code == 2 and "of format folder; only LLaVA files take them from elsewhere; leave it out" in refused.words


def test_bad_rows_are_listed_beside_an_estimate_too(tessera, small, data):
    (data / "blue.png").write_bytes(b"no picture")
    said = tessera("train", "chameleon", *small, "--data", data, "--skip-bad", "--estimate")
    assert said.code == 0 and "1 bad rows were left out" in said.words


def test_the_path_of_a_bad_row_is_shown_as_it_is(tessera, small, tmp_path):
    (tmp_path / "[red]").mkdir()
    (tmp_path / "[red]" / "rows.jsonl").write_text("{\n")
    said = tessera("train", "chameleon", *small, "--data", "[red]", "--run", "run")
    assert said.code == 2 and f"{tmp_path}/[red]/rows.jsonl, line 1: bad JSON" in said.words


@pytest.mark.parametrize("half", [False, True], ids=["whole", "half"])
def test_weights_become_one_file_that_is_loaded_and_knows_its_training(tessera, run, stages, tmp_path, half):
    said = tessera("weights", run, "made/w.safetensors", *["--bits", 16] * half)
    assert said.code == 0 and said.words == f"made/w.safetensors: {(tmp_path / 'made/w.safetensors').stat().st_size / 2**20:.1f} MB"
    notes = metadata(tmp_path / "made/w.safetensors")["notes"]
    assert notes["documents_by_stage"] == {name: stage.documents for name, stage in stages.items()}
    assert notes["world"] == World.easy().hash() and notes["settings"]["scale"] == 0.0001
    shrunk = lambda tensor: tensor.half().float() if half and tensor.is_floating_point() else tensor
    expected = {name: shrunk(tensor) for name, tensor in load(run).state_dict().items()}
    assert same(load(tmp_path / "made/w.safetensors").state_dict(), expected)


def test_half_the_weights_take_half_the_space(tessera, run, tmp_path):
    tessera("weights", run, "whole"), tessera("weights", run, "half", "--bits", 16)
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "whole").stat().st_size


def test_weights_of_a_folder_without_a_run_are_refused(tessera, data):
    refused = tessera("weights", "data", "w")
    assert refused.code == 2 and "run: data holds no checkpoint; the folder of a training run is accepted; check the path" in refused.words


def test_a_tokenizer_is_trained_on_the_world_and_builds_a_system(tessera, tmp_path):
    said = tessera("tokenizer", "bpe.json", "--size", 400, "-n", 2)
    assert said == (0, "bpe.json: 400 ids")
    tokenizer = Tokenizer.from_file(str(tmp_path / "bpe.json"))
    assert tokenizer.get_vocab_size() == 400 and set(Markers()) <= tokenizer.get_vocab().keys()
    text = "a red circle 红色的圆形 and Zürich"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    build("chameleon", preset="tiny", arguments={"tokenizer": str(tmp_path / "bpe.json")})


def test_the_size_of_a_tokenizer_is_the_one_it_has(tessera, tmp_path):
    said = tessera("tokenizer", "bpe.json", "--size", 10, "-n", 1)
    assert said == (0, f"bpe.json: {Tokenizer.from_file(str(tmp_path / 'bpe.json')).get_vocab_size()} ids")
