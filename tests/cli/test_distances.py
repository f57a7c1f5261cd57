import hashlib
import json

import pytest
from exams.inception import stand_in
from PIL import Image as Pillow
from verbs.small import TINY

from tessera.exams import distance as module
from tessera.exams.likeness import shown
from tessera.scoring import intervals
from tessera.scoring.sets import least
from tessera.verbs import evaluate
from tessera.verbs.recipes import build
from tessera.verbs.weights import save
from tessera.world import Skill, World

EASY = World.easy()
MEASURES = ["distance.frechet", "distance.kid", "distance.precision", "distance.recall", "distance.density", "distance.coverage"]
ENOUGH = least(64)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    """An interval takes 2,000 resamples."""
    monkeypatch.setattr(intervals, "RESAMPLES", 50)


@pytest.fixture(scope="module")
def pictures():
    """The world's pictures of two splits."""
    return {split: shown(EASY, split, range(ENOUGH)) for split in ("test", "val")}


@pytest.fixture
def folders(tmp_path, pictures):
    """They as two folders of files."""
    for name, some in pictures.items():
        (tmp_path / name).mkdir()
        for i, picture in enumerate(some):
            Pillow.fromarray(picture.permute(1, 2, 0).numpy()).save(tmp_path / name / f"{i:03d}.png")
    return tmp_path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A tiny system that has learned nothing, of pictures as large as the world's."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save(build("chameleon", arguments={**TINY, "pixels": 32, "stride": 16}), path)
    return path


def found(path) -> dict:
    return json.loads(path.read_text())


def test_two_folders_are_compared_and_the_results_say_how(tessera, folders):
    said = tessera("benchmark", "distance", "test", "val")
    assert said.code == 0 and all(name in said.words for name in MEASURES)
    assert "There is no ceiling: halves of val need 131 pictures each, and it has 131." in said.words
    path = folders / "benchmarks" / "test-distance-val.json"
    made, page = found(path), path.with_suffix(".md").read_text()
    assert list(made["scores"]) == MEASURES and "# test on distance, val" in page
    asked = made["benchmark"]
    assert asked["made"]["folder"] == "test" and asked["real"]["pictures"] == ENOUGH and asked["made"]["hash"] != asked["real"]["hash"]
    assert asked["features"].keys() == {"name", "dimensions", "weights"} and asked["features"]["dimensions"] == 64
    assert asked["pictures"] == {"made": ENOUGH, "real": ENOUGH, "half": 0} and asked["pixels"] == [32, 32] and asked["bad"] == []
    assert path.with_suffix(".html").read_text().count("<img") == module.SHOWN
    assert (folders / "benchmarks" / "sheets" / path.stem / "distance.png").is_file()


def test_a_folder_alone_is_held_against_the_world(tessera, folders):
    assert tessera("benchmark", "distance", "val", "--out", "scores").code == 0
    made = found(folders / "scores" / "val-distance-world-easy.json")
    assert made["benchmark"]["real"]["world"] == EASY.hash() and made["benchmark"]["real"]["split"] == "test"
    assert made["references"].keys() == set(MEASURES) and made["benchmark"]["pictures"]["half"] == ENOUGH


def test_inceptions_features_are_named_with_their_package(tessera, folders, monkeypatch):
    stand_in(monkeypatch)
    assert tessera("benchmark", "distance", "test", "val", "--features", "inception-64").code == 0
    features = found(folders / "benchmarks" / "test-distance-val-inception-64.json")["benchmark"]["features"]
    assert features["name"] == "inception-64" and features["package"] == "torch-fidelity 0.4.0" and len(features["weights"]) == 12


def test_what_a_system_draws_is_judged_and_drawn_once(tessera, folders, weights, monkeypatch):
    counts, write = [], evaluate.write
    monkeypatch.setattr(evaluate, "write", lambda system, asked, **how: counts.append(asked) or write(system, asked, **how))
    ask = ("benchmark", "distance", "--run", weights, "--device", "cpu", "--n", ENOUGH)
    assert tessera(*ask).code == 0 and tessera(*ask, "val").code == 0
    assert sum(len(some) for some in counts) == ENOUGH
    caption = counts[0][3].document.segments[0].content
    assert caption == EASY.prompt(Skill.CAPTION, 3, "test").text
    for name in ("world-easy", "val"):
        made = found(folders / "benchmarks" / f"chameleon-distance-{name}.json")
        assert made["system"] == "chameleon" and made["sampling"]["image"] and made["parameters"]["total"] and made["plan"] == {"seed": 0}
    assert made["benchmark"]["made"]["drawn"] == ENOUGH and made["benchmark"]["real"]["folder"] == "val"


def test_prompts_of_ones_own_are_drawn(tessera, folders, weights, monkeypatch):
    counts, write = [], evaluate.write
    monkeypatch.setattr(evaluate, "write", lambda system, asked, **how: counts.append(asked) or write(system, asked, **how))
    told = [f"{i} red stars" for i in range(ENOUGH)]
    (folders / "prompts.txt").write_text("\n\n".join(told) + "\n")
    said = tessera("benchmark", "distance", "val", "--run", weights, "--device", "cpu", "--prompts", "prompts.txt")
    assert said.code == 0 and [one.document.segments[0].content for part in counts for one in part] == told
    digest = hashlib.sha256("\0".join(told).encode()).hexdigest()[:12]
    assert found(folders / "benchmarks" / "chameleon-distance-val.json")["benchmark"]["made"]["prompts"] == digest


def test_unreadable_files_stop_the_command_or_are_left_out_and_listed(tessera, folders):
    (folders / "test" / "torn.png").write_bytes((folders / "test" / "000.png").read_bytes()[:60])
    refused = tessera("benchmark", "distance", "test", "val")
    assert refused.code == 2 and f"data: {folders / 'test'}, torn.png: picture cannot be read" in refused.words
    assert not (folders / "benchmarks").exists()
    said = tessera("benchmark", "distance", "test", "val", "--skip-bad")
    assert said.code == 0 and "1 bad rows were left out:" in said.words and "torn.png: picture cannot be read" in said.words
    (bad,) = found(folders / "benchmarks" / "test-distance-val.json")["benchmark"]["bad"]
    assert bad.startswith("test, torn.png: picture cannot be read")


def test_other_sizes_are_scaled_and_cropped_on_request(tessera, folders):
    Pillow.open(folders / "val" / "003.png").resize((64, 48)).save(folders / "val" / "003.png")
    refused = tessera("benchmark", "distance", "test", "val")
    assert refused.code == 2 and "003.png has 64 x 48 pixels, and 130 of 131 pictures beside it have 32 x 32" in refused.words
    assert tessera("benchmark", "distance", "test", "val", "--pixels", 32).code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "0 sets of pictures were named; one folder, two, or a system's drawings and at most one are accepted"),
        ("test nowhere", "nowhere is no folder; a folder of pictures"),
        ("test val --features fid", "features: 'fid' was asked for; there are world, inception"),
        ("test val --n 200", "200 pictures of test were asked for; it has 131; lower --n"),
        ("test val --n 100", "100 pictures of test; features 'world' have 64 dimensions, and need 131 pictures of each set"),
        ("test val --level hard", "level 'hard'; there are easy, standard"),
        ("test val --run WEIGHTS", "3 sets of pictures were named"),
        ("test val --prompts empty.txt --top-k 3", "--prompts, --top-k without a system that draws; name one with --run or --system"),
        ("test --run WEIGHTS --prompts empty.txt", "empty.txt holds no prompts; a prompt a line is accepted"),
        ("test --run WEIGHTS --prompts none.txt", "none.txt does not exist; a file with a prompt in each line is accepted"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(tessera, folders, weights, words, said):
    (folders / "empty.txt").write_text("\n \n")
    refused = tessera("benchmark", "distance", *words.replace("WEIGHTS", str(weights)).split())
    assert refused.code == 2 and said in refused.words and not (folders / "benchmarks").exists()


def test_without_inception_it_is_said_what_to_install(tessera, folders):
    refused = tessera("benchmark", "distance", "test", "val", "--features", "inception")
    assert refused.code == 2 and "pip install 'tessera-multimodal[fid]', or choose --features world" in refused.words
