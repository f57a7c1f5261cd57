"""Commands on published folders: a small Janus as transformers writes it."""

import numpy as np
import pytest
import torch
from hub import test_janus
from hub.oracle import redrawn, saved, transformers
from PIL import Image as Pillow
from safetensors.torch import load_file

from tessera import save
from tessera.document import Document, Image, Text
from tessera.hub import load_published
from tessera.verbs.generate import generate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = redrawn(transformers.JanusForConditionalGeneration(test_janus.CONFIGS["Janus"]()))
    special = ("<begin_of_image>", "<end_of_image>", "<image_placeholder>")
    return saved(made, tmp_path_factory.mktemp("published") / "janus", special=special)


@pytest.fixture
def photo(tmp_path):
    """A wide picture file."""
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (20, 50, 3), dtype=torch.uint8, generator=rng)
    Pillow.fromarray(pixels.numpy()).save(tmp_path / "photo.png")
    return pixels.permute(2, 0, 1)


def told(system, photo, words):
    """What the library says of the picture, put to the system as its makers do."""
    document = system.manners.document(Document((Image(system.manners.picture(photo)), Text(words), Text(learn=True))))
    return " ".join(generate(system, document, longest=5).texts[0].split())


def test_a_published_model_answers(tessera, folder, photo):
    system = load_published(folder)
    asked = tessera("ask", "photo.png", "what is it?", "--hub", folder, "--longest", 5, "--device", "cpu")
    assert asked.code == 0 and asked.words == told(system, photo, "what is it?")
    described = tessera("caption", "photo.png", "--hub", folder, "--longest", 5, "--device", "cpu")
    assert described.code == 0 and described.words == told(system, photo, "Describe the picture.")


def test_a_published_model_draws(tessera, folder, tmp_path):
    system, prompt = load_published(folder), Document((Text("a fox"), Image(learn=True)))
    said = tessera("draw", "a fox", "--hub", folder, "--scale", 1, "--seed", 3, "--device", "cpu")
    assert said.code == 0 and said.words.startswith("drawing.png: 'a fox', 1 time; temperature 1, guidance 5")
    with Pillow.open(tmp_path / "drawing.png") as drawn:
        expected = generate(system, system.manners.document(prompt), seed=3).pictures[0]
        assert torch.equal(torch.from_numpy(np.array(drawn)).permute(2, 0, 1), expected)
    assert tessera("draw", "a fox", "--hub", folder, "--device", "cpu").code == 0
    with Pillow.open(tmp_path / "drawing.png") as drawn:
        assert drawn.size == (256, 256)  # small pictures are enlarged


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--hub", "nowhere"), "hub: nowhere is no folder; a folder, or an id owner/name is accepted"),
        (
            ("--hub", "x/y", "--system", "chameleon"),
            "load: --system chameleon and --hub x/y; one of them is accepted; leave out the others",
        ),
    ],
)
def test_what_cannot_be_loaded_is_a_red_line(tessera, words, said):
    done = tessera("draw", "a fox", *words)
    assert done.code == 2 and said in done.words


def test_a_text_with_a_special_token_is_refused(tessera, folder, photo):
    done = tessera("ask", "photo.png", "what</s>", "--hub", folder)
    assert done.code == 2 and "chat: a text holds </s>, which only the template may say" in done.words


def test_weights_that_came_from_a_folder_are_exported_into_one(tessera, folder, tmp_path):
    system = load_published(folder)
    system.text.writer.out.weight.data += 1
    save(system, tmp_path / "mine.safetensors")
    done = tessera("export", "mine.safetensors", "back")
    assert done.code == 0 and done.words.endswith("MB in 1 file")
    before, after = (load_file(where / "model.safetensors") for where in (folder, tmp_path / "back"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"lm_head.weight"} and torch.equal(after["lm_head.weight"], before["lm_head.weight"] + 1)
    assert tessera("export", "mine.safetensors", "other", "--format", "onnx").words.startswith(
        "error: export: format 'onnx'; transformers, peft are"
    )
