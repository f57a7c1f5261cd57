import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from tessera.cli import writing
from tessera.data import open_picture
from tessera.document import Document, Image, Text
from tessera.laws.base import Sampling
from tessera.verbs import weights
from tessera.verbs.generate import generate, write
from tessera.verbs.writing import Request, Written
from tessera.world import Tile, World, save_sheet

WILD = ("--temperature", "1", "--guidance", "1")  # a system that has learned nothing writes something else for every seed


@pytest.fixture(scope="module")
def system(run):
    return weights.load(run, device="cpu")


@pytest.fixture
def shown(tmp_path):
    """A picture file of the world, 4 times as large as the system's."""
    world = World.easy()
    pixels = world.picture(world.scene(0)).permute(1, 2, 0).numpy()
    Pillow.fromarray(pixels).resize((128, 128), Pillow.Resampling.NEAREST).save(tmp_path / "shown.png")
    return tmp_path / "shown.png"


def drawn(system, prompt: str, seed: int, **sampling) -> torch.Tensor:
    """The picture that the library draws."""
    return generate(system, prompt, want=Image, sampling={Image: Sampling(**sampling)} if sampling else None, seed=seed).pictures[0]


def pixels(path) -> torch.Tensor:
    with Pillow.open(path) as picture:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def plain(words: str) -> str:
    """A text without white space and characters that no terminal shows."""
    return "".join(one for one in words if one.isprintable() and not one.isspace())


def wrote(request: Request, text: str) -> Written:
    """What a system would return that writes this text at the end of a document."""
    return Written(Document((*request.document.segments[:-1], Text(text, learn=True))), ())


def test_a_drawing_is_what_the_library_draws_each_pixel_as_a_square(tessera, run, system, tmp_path):
    said = tessera("draw", "a red circle", "--run", run, "--device", "cpu", "--seed", 5)
    assert said.code == 0 and said.words.startswith("drawing.png: 'a red circle', 1 time; temperature 0.5, guidance 2")
    expected = drawn(system, "a red circle", 5)
    assert torch.equal(pixels(tmp_path / "drawing.png"), expected.repeat_interleave(8, 1).repeat_interleave(8, 2))


def test_a_drawing_depends_on_its_seed_and_on_nothing_else(tessera, run, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert tessera("draw", "a", "--run", run, *WILD, "--scale", 1, "--out", f"{name}.png", "--seed", seed).code == 0
    a, b, c = (pixels(tmp_path / f"{name}.png") for name in "abc")
    assert a.shape == (3, 32, 32) and torch.equal(a, b) and not torch.equal(a, c)


def test_several_drawings_are_a_sheet_with_a_seed_for_each(tessera, run, system, tmp_path):
    assert tessera("draw", "a", "-n", 3, "--run", run, "--device", "cpu", *WILD, "--seed", 7, "--scale", 2, "--out", "sheet.png").code == 0
    requests = [Request(Document((Text("a"), Image(learn=True))), 7 + i, {Image: Sampling(temperature=1.0)}) for i in range(3)]
    tiles = [Tile(done.pictures[0], (f"seed {7 + i}",)) for i, done in enumerate(write(system, requests))]
    save_sheet(tmp_path / "expected.png", tiles, scale=2)
    assert (tmp_path / "sheet.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_what_is_asked_of_the_sampling_is_used_and_said(tessera, run, system, tmp_path):
    words = ("--temperature", "0.7", "--guidance", "3", "--top-k", "4", "--top-p", "0.9", "--steps", "2")
    said = tessera("draw", "a", "--run", run, "--device", "cpu", *words, "--scale", 1)
    assert "; temperature 0.7, top-k 4, top-p 0.9, guidance 3, steps 2" in said.words
    expected = drawn(system, "a", 0, temperature=0.7, guidance=3.0, top_k=4, top_p=0.9, steps=2)
    assert torch.equal(pixels(tmp_path / "drawing.png"), expected)


def test_an_answer_is_what_the_library_answers(tessera, run, system, shown):
    said = tessera("ask", "shown.png", "what colour is the star?", "--run", run, "--device", "cpu")
    answer = generate(system, [Image(open_picture(shown, 32)), Text("what colour is the star?")], want=Text).texts[-1]
    assert said == (0, said.words) and plain(said.words) == plain(answer) != ""


def test_an_answer_follows_its_seed_temperature_and_longest(tessera, run, system, shown):
    words = ("ask", "shown.png", "how many?", "--run", run, "--device", "cpu", "--temperature", 1, "--longest", 20)
    prompt = [Image(open_picture(shown, 32)), Text("how many?")]
    for seed in (3, 4):
        done = generate(system, prompt, want=Text, sampling={Text: Sampling(temperature=1.0)}, seed=seed, longest=20)
        assert plain(tessera(*words, "--seed", seed).words) == plain(done.texts[-1]) != ""
    assert tessera(*words, "--seed", 3) != tessera(*words, "--seed", 4)


def test_a_caption_is_what_the_library_says_of_a_picture(tessera, run, system, shown):
    said = tessera("caption", "shown.png", "--run", run, "--device", "cpu")
    expected = generate(system, [Image(open_picture(shown, 32))], want=Text).texts[0]
    assert said == (0, said.words) and plain(said.words) == plain(expected) != ""


def test_captions_of_several_pictures_are_a_line_each(tessera, run, shown, tmp_path, monkeypatch):
    Pillow.new("RGB", (50, 40), "red").save(tmp_path / "red.png")
    asked = []

    def say(system, requests):
        asked.extend(requests)
        return [wrote(request, f" picture {i}\n") for i, request in enumerate(requests)]

    monkeypatch.setattr(writing, "write", say)
    words = ("--run", run, "--temperature", 0.5, "--longest", 9, "--seed", 4)
    assert tessera("caption", "shown.png", "red.png", *words) == (0, "shown.png: picture 0 red.png: picture 1")
    first, second = (request.document[0].content for request in asked)
    assert torch.equal(first, open_picture(shown, 32)) and (second == torch.tensor([255, 0, 0])[:, None, None]).all()
    assert all((one.seed, one.sampling, one.longest) == (4, {Text: Sampling(temperature=0.5)}, 9) for one in asked)
    assert tessera("caption", "red.png", *words) == (0, "picture 0")


def test_weights_in_a_file_draw_as_the_run_does(tessera, run, tmp_path):
    assert tessera("weights", run, "whole.safetensors").code == tessera("weights", run, "half.safetensors", "--bits", 16).code == 0
    for name, weights_of in (("run", run), ("whole", "whole.safetensors"), ("half", "half.safetensors")):
        assert tessera("draw", "a", "--run", weights_of, "--temperature", 0, "--scale", 1, "--out", f"{name}.png").code == 0
    assert torch.equal(pixels(tmp_path / "run.png"), pixels(tmp_path / "whole.png"))
    assert pixels(tmp_path / "half.png").shape == (3, 32, 32)


def test_weights_that_come_with_the_library_go_by_system_and_level(tessera, run, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    tessera("weights", run, "shipped/chameleon-standard.safetensors")
    for words in ((), ("--system", "chameleon")):
        assert tessera("draw", "a", "--level", "standard", *words).code == 0
        refused = tessera("draw", "a", *words)
        said = "load: weights of chameleon on level easy; with the library come chameleon on standard; train it: `tessera train "
        assert refused.code == 2 and said in refused.words
    assert "recipe: 'gpt'; near it there are chameleon" in tessera("draw", "a", "--system", "gpt").words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("draw", "a", "--run", "nowhere"), "load: nowhere does not exist; the folder of a training run or a weights file is accepted"),
        (("draw", "a", "--run", "."), "run: . holds no checkpoint; the folder of a training run is accepted; check the path"),
        (("draw", "a", "--run", "shown.png"), "load: shown.png: "),
        (("ask", "nowhere.png", "what?", "--run", "RUN"), "picture: nowhere.png is no file; a picture file is accepted; check the path"),
        (("ask", "text.png", "what?", "--run", "RUN"), "picture: text.png: picture is none of PNG, JPEG, WEBP, BMP, GIF, TIFF; a picture"),
        (("caption", "shown.png", "nowhere.png", "--run", "RUN"), "picture: nowhere.png is no file; a picture file is accepted"),
        (("draw", "a", "--run", "RUN", "--device", "gpu"), "device: 'gpu': "),
        (("draw", "a", "--run", "RUN", "--temperature", "-1"), "Sampling: temperature -1, "),
        (
            ("draw", "a", "--run", "RUN", "--top-k", "0"),
            "temperature and nats >= 0, top_k, steps, denoising >= 1, 0 < top_p <= 1 and any guidance",
        ),
        (("ask", "shown.png", "what?", "--run", "RUN", "--temperature", "-1"), "Sampling: temperature -1, "),
        (
            ("ask", "shown.png", "what?", "--run", "RUN", "--longest", "0"),
            "request: longest 0, more 0; at least 1 id and 0 segments are accepted; raise it",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_with_what_can(tessera, run, shown, tmp_path, words, said):
    (tmp_path / "text.png").write_text("no picture")
    refused = tessera(*(run if word == "RUN" else word for word in words))
    assert refused.code == 2 and refused.words.startswith("error: ") and said in refused.words
    assert not (tmp_path / "drawing.png").exists()


@pytest.mark.parametrize("prompt", ["a [red] circle", "a [/b]", "a :star:"])
def test_a_prompt_is_shown_as_it_was_given(tessera, run, prompt):
    assert tessera("draw", prompt, "--run", run).words.startswith(f"drawing.png: '{prompt}', 1 time; ")


@pytest.mark.parametrize("answer", ["a [red] circle", "a [/b]", "a :star:"])
def test_an_answer_is_shown_as_it_was_written(tessera, run, shown, monkeypatch, answer):
    monkeypatch.setattr(writing, "write", lambda system, requests: [wrote(requests[0], answer)])
    assert tessera("ask", "shown.png", "what?", "--run", run).words == answer
