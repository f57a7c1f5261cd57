"""Commands that go on from a picture: in-painting, edits and stories."""

import json

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from tessera.cli import writing
from tessera.document import Document, Image, Text
from tessera.verbs import weights
from tessera.verbs.generate import generate
from tessera.verbs.writing import Written
from tessera.world import World


@pytest.fixture(scope="module")
def system(run):
    return weights.load(run, device="cpu")


@pytest.fixture
def shown(tmp_path):
    """A picture file of the world."""
    world = World.easy()
    Pillow.fromarray(world.picture(world.scene(0)).permute(1, 2, 0).numpy()).save(tmp_path / "shown.png")
    return tmp_path / "shown.png"


def pixels(path) -> torch.Tensor:
    with Pillow.open(path) as picture:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def test_what_is_kept_of_a_picture_stays(tessera, run, system, shown, tmp_path):
    options = ("--run", run, "--scale", 1, "--temperature", 1, "--guidance", 1)
    assert tessera("draw", "a", *options, "--over", shown, "--keep", "0,0,16,32", "--out", "over.png").code == 0
    assert tessera("draw", "a", *options, "--out", "free.png").code == 0
    codec = system.by_name["image"].codec
    before, after, free = (codec.encode([pixels(tmp_path / f"{name}.png")]).clean[0] for name in ("shown", "over", "free"))
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[:, :16] = True
    wanted = codec.decode(codec.encode([pixels(shown)]).clean)[0]
    assert codec.keep(mask).any()
    document = Document((Text("a"), Image(pixels(shown), learn=True, keep=mask)))
    (clean,) = [one.clean[1] for one in [generate(system, document)]]
    assert torch.equal(clean[codec.keep(mask)], before[codec.keep(mask)])
    assert not torch.equal(after, free) and wanted.shape == pixels(tmp_path / "over.png").shape


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--keep", "0,0,16,32"), "draw: --over None and --keep '0,0,16,32'; both or neither are accepted"),
        (("--over", "shown.png", "--keep", "left"), "draw: --keep 'left'; left,top,right,bottom is accepted; for example --keep 0,0,16,32"),
        (("--over", "shown.png", "--keep", "0,0,33,32"), "draw: --keep '0,0,33,32'; a box inside 0,0,32,32 is accepted"),
        (("--over", "none.png", "--keep", "0,0,16,32"), "picture: none.png is no file"),
    ],
)
def test_what_cannot_be_kept_is_refused(tessera, run, shown, words, said):
    code, found = tessera("draw", "a", "--run", run, *words)
    assert code == 2 and said in found


def test_an_edit_is_drawn_behind_the_picture_and_the_instruction(tessera, run, system, shown, tmp_path):
    said = tessera("edit", shown, "make it red", "--run", run, "--device", "cpu", "--scale", 1, "--seed", 4)
    assert said.code == 0 and "edited.png" in said.words and "'make it red'" in said.words
    expected = generate(system, [Image(pixels(shown)), Text("make it red")], want=Image, seed=4).pictures[-1]
    assert torch.equal(pixels(tmp_path / "edited.png"), expected)


def test_a_story_is_told_and_its_pictures_are_files(tessera, run, monkeypatch, tmp_path):
    world, asked = World.easy(), []
    pictures = [world.picture(world.scene(i)) for i in range(2)]

    def told(system, requests):
        asked.extend(requests)
        parts = (Text("a dot"), Image(pictures[0], True), Text("make it blue", True), Image(pictures[1], True), Text("", True))
        return [Written(Document(parts), ())]

    monkeypatch.setattr(writing, "write", told)
    code, words = tessera("story", "a dot", "--run", run, "--more", 3, "--scale", 1, "--out", "told")
    assert code == 0 and words == "a dot told/1.png make it blue told/2.png (no more)"
    assert asked[0].more == 3
    assert all(torch.equal(pixels(tmp_path / f"told/{i + 1}.png"), pictures[i]) for i in range(2))


def test_a_mix_of_ones_own_reaches_the_stages_that_train_the_system(tessera, small, tmp_path):
    assert tessera("train", "chameleon", *small, "--mix", "edit=3", "--mix", "story=1", "--run", "mixed").code == 0
    stages = {stage["name"]: stage["mix"] for stage in json.loads((tmp_path / "mixed/run.json").read_text())["stages"]}
    assert stages["joint"] == stages["tuned"] == {"edit": 3, "story": 1} and "draw" in stages["codec"]


@pytest.mark.parametrize("mix", ["edits=1", "edit=-1", "edit=lots", "edit=0"])
def test_a_mix_that_makes_no_sense_is_refused(tessera, small, mix):
    code, words = tessera("train", "chameleon", *small, "--mix", mix)
    assert (
        code == 2 and "--mix: {" in words and "shares from 0 on of draw, caption, question, text, edit, story, read are accepted" in words
    )
