"""What holds of all systems whose official code is not at hand: precisions, pickles, learning, and a shape without numbers."""

from importlib import import_module

import pytest
import torch
from hub.oracle import MUTATIONS
from safetensors.torch import load_file

from tessera.codecs import Painter
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.hub import load_published
from tessera.hub.loading import outline_published
from tessera.verbs.generate import generate

NAMES = ("show_o", "orthus", "omnimamba", "metamorph")


@pytest.fixture(scope="module", params=NAMES)
def folder(request, tmp_path_factory):
    return import_module(f"hub.test_{request.param}").official(tmp_path_factory.mktemp(request.param) / "model")


def pictures(system):
    """One to look at, and one as it is drawn."""
    reads = next(port for port in reversed(system.ports) if port.kind is Image)
    sides = reads.codec.pixels, system.by_name["image"].codec.pixels
    return [torch.full((3, side, side), 90, dtype=torch.uint8) for side in sides]


def document(system):
    seen, drawn = pictures(system)
    return Document((Image(seen), Text("w05"), Text("w06 w07", learn=True), Text("w08"), Image(drawn, learn=True)))


def test_everything_is_learned(folder):
    """The codecs stand still, and an eye that belongs to one."""
    system = load_published(folder)
    system.train()
    losses = system.losses([document(system)], [Draw(0)])
    assert losses["text"][1] > 0 and losses["image"][1] > 0 and all(torch.isfinite(total) for total, _ in losses.values())
    sum(total for total, _ in losses.values()).backward()
    learned = {name for name, parameter in system.named_parameters() if parameter.grad is not None and parameter.grad.any()}
    codecs = {name for name, _ in system.named_parameters() if ".codec." in name}
    assert learned == {name for name, _ in system.named_parameters()} - codecs


def test_in_half_precision_it_writes(folder):
    half = load_published(folder, precision="bfloat16")
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    codec = half.by_name["image"].codec
    if getattr(codec, "painter", codec) is None:
        codec.painter = Painter(features=codec.features, elements=codec.elements, columns=0, pixels=codec.pixels, patch=2, channels=8)
    seen, drawn = pictures(half)
    assert generate(half, [Image(seen), Text("w05")], want=Text, longest=3).texts
    assert generate(half, "w05 w06", want=Image).pictures[0].shape == drawn.shape


def test_a_pickle_holds_the_same(folder, tmp_path):
    alone = load_published(folder).state_dict()
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder / "kept")
    torch.save({"state_dict": tensors}, folder / "model.pth")
    with pytest.raises(ValueError, match="which may run code when"):
        load_published(folder)
    trusted = load_published(folder, trust_pickle=True).state_dict()
    (folder / "kept").rename(folder / "model.safetensors")
    assert all(torch.equal(trusted[name], tensor) for name, tensor in alone.items())


def test_its_shape_is_known_without_a_number(folder):
    made, whole = outline_published(folder), load_published(folder)
    assert {name: tensor.shape for name, tensor in made.state_dict().items()} == {
        name: tensor.shape for name, tensor in whole.state_dict().items()
    }


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_trunk_says_something_else(folder, mutation):
    system = load_published(folder)
    if not hasattr(system.trunk.blocks[0], "parts"):
        pytest.skip("a state-space trunk has neither heads nor rotary positions: tests/parity/test_omnimamba.py mutates it")
    with torch.no_grad():
        before = system.hidden(system.arrange([document(system)], [Draw(0)]))[0]
        for module in system.trunk.modules():
            if isinstance(module, torch.nn.LayerNorm) and mutation.__name__ == "another_epsilon":
                module.eps = 0.1
        mutation(system)
        after = system.hidden(system.arrange([document(system)], [Draw(0)]))[0]
    assert (before - after).abs().max() > 1e-2 * before.abs().max()
