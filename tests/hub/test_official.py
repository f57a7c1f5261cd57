"""What holds of all systems whose official code is not at hand: its numbers, precisions, mutations, pickles, learning, and shapes alone."""

import inspect
from importlib import import_module

import pytest
import torch
from hub import folders
from hub.oracle import MUTATIONS
from parity.fixture import load
from safetensors.torch import load_file

from tessera.codecs import Painter
from tessera.document import Document, Image, Task, Text
from tessera.draws import Draw
from tessera.hub import load_published
from tessera.hub.loading import outline_published
from tessera.verbs.generate import generate
from tessera.verbs.optimizing import thaw

MODULES = {name: import_module(f"hub.test_{name}") for name in folders.OFFICIAL}


@pytest.fixture(scope="module", params=folders.OFFICIAL)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def folder(name, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        yield folders.official(name, tmp_path_factory.mktemp(name) / "model", patched)


# ---------------------------------------------------------------- numbers


@pytest.fixture(scope="module")
def said(name, places):
    """What a system says where the fixture says it, too: by the output's name, what it says and what is expected."""
    outputs = MODULES[name].outputs

    @torch.no_grad()
    def say(system):
        given = (places,) if "places" in inspect.signature(outputs).parameters else ()
        return {output: (found.float(), expected) for output, found, expected in outputs(system, *given)}

    return say


def error(found, expected):
    """How far off numbers are, as a share of how large they are (root mean squares)."""
    return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt())


def test_it_says_what_the_published_code_said(name, folder, said):
    tolerance = load(getattr(MODULES[name], "FIXTURE", name)).tolerance
    for output, (found, expected) in said(load_published(folder)).items():
        torch.testing.assert_close(found, expected, **tolerance.get(output, tolerance["default"]), msg=lambda why, o=output: f"{o}: {why}")


@pytest.fixture(scope="module")
def rounding(folder, said):
    """How far off the outputs of a system in bfloat16 may be.

    Weights rounded to 8 bits, and computed with in float32, make an output wrong by so much. Computed with 8 bits, what passes a layer is
    rounded, too: normed, said, turned, weighed, added, some fifteen times where its weights are once. Errors of either sign add up like
    steps of a walk, so sixteen roundings are off by the root of sixteen times what one is.
    """
    exact = load_published(folder, precision="bfloat16").float()
    return {output: 16**0.5 * error(*both) for output, both in said(exact).items()}


def test_in_half_precision_it_says_nearly_that(folder, said, rounding):
    half = load_published(folder, precision="bfloat16")
    found = {output: error(*both) for output, both in said(half).items()}
    assert all(found[output] < rounding[output] < 0.15 for output in found), (found, rounding)


@pytest.mark.parametrize("which", range(3))
def test_a_mutated_system_says_something_else(name, folder, said, rounding, which):
    """Further off than rounding makes it: rotary positions, norms and heads, or what stands for them."""
    system = load_published(folder)
    getattr(MODULES[name], "MUTATIONS", MUTATIONS)[which](system)
    assert any(error(*both) > rounding[output] for output, both in said(system).items())


# ---------------------------------------------------------------- precisions, pickles, learning


def pictures(system):
    """One to look at, where it looks at any, and one as it is drawn."""
    reads = next((port for port in system.ports if port.accepts(Image(None))), None)
    grey = lambda port: torch.full((3, port.codec.pixels, port.codec.pixels), 90, dtype=torch.uint8)
    return [grey(reads)] if reads else [], grey(system.by_name["image"])


def documents(system):
    """What is said of a picture, or else of a text, and a picture of a text."""
    seen, drawn = pictures(system)
    told = [Image(picture) for picture in seen] or [Text("w05")]
    return [Document((*told, Text("w06 w07", learn=True))), Document((Text("w08"), Image(drawn, learn=True)))]


def test_everything_is_learned_that_its_stage_names(folder):
    system = load_published(folder)
    system.train()
    thaw(system, system.stages[0])
    losses = system.losses(documents(system), [Draw(0), Draw(1)])
    assert losses["text"][1] > 0 and losses["image"][1] > 0 and all(torch.isfinite(total) for total, _ in losses.values())
    sum(total for total, _ in losses.values()).backward()
    learned = {name for name, parameter in system.named_parameters() if parameter.grad is not None and parameter.grad.any()}
    still = {name for name, _ in system.named_parameters() if ".codec." in name or ".encoder." in name}
    assert learned == {name for name, _ in system.named_parameters()} - still


def test_it_is_taught_what_it_can(name, folder):
    """MonoFormer does not look, and D-DiT reads a question together with its answer, which is not built."""
    other = {"monoformer": {Task.DRAW, Task.TEXT}, "d_dit": {Task.DRAW, Task.CAPTION}}
    assert load_published(folder).stages[0].mix.keys() == other.get(name, {Task.DRAW, Task.CAPTION, Task.QUESTION, Task.TEXT})


def test_in_half_precision_it_writes(folder):
    half = load_published(folder, precision="bfloat16")
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    codec = half.by_name["image"].codec
    if getattr(codec, "painter", codec) is None:
        codec.painter = Painter(features=codec.features, elements=codec.elements, columns=0, pixels=codec.pixels, patch=2, channels=8)
    seen, drawn = pictures(half)
    assert generate(half, [Image(picture) for picture in seen] or "w05", want=Text, longest=5).texts
    assert generate(half, "w05 w06", want=Image).pictures[0].shape == drawn.shape


def test_a_pickle_holds_the_same(folder):
    alone, file = load_published(folder).state_dict(), min(folder.rglob("*.safetensors"))
    tensors, kept = load_file(file), file.with_name("kept")
    file.rename(kept)
    torch.save({"state_dict": tensors}, file.with_name("model.pth"))
    with pytest.raises(ValueError, match="which may run code when"):
        load_published(folder)
    trusted = load_published(folder, trust_pickle=True).state_dict()
    kept.rename(file)
    assert all(torch.equal(trusted[name], tensor) for name, tensor in alone.items())


def test_its_shape_is_known_without_a_number(folder):
    made, whole = outline_published(folder), load_published(folder)
    assert {name: tensor.shape for name, tensor in made.state_dict().items()} == {
        name: tensor.shape for name, tensor in whole.state_dict().items()
    }
