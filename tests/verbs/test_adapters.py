"""Adapters in peft's layout, as its documentation and its `save_pretrained` describe it. Tests of fine-tuning ask peft itself."""

import json
from math import sqrt

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from tessera.trunk import TaskLoRA
from tessera.verbs.adapters import restore_adapters, save_adapters
from tessera.verbs.recipes import build
from tessera.verbs.weights import weights_hash

LAYERS = ["trunk.blocks.0.mixer.into", "trunk.blocks.1.mixer.into"]


@pytest.fixture
def system():
    """With adapters that do something."""
    made = build("omnimamba", preset="tiny").eval()
    for layer in (module for module in made.modules() if isinstance(module, TaskLoRA)):
        for up in layer.up:
            nn.init.normal_(up.weight, generator=torch.Generator().manual_seed(1))
    return made


def layer_of(system, number: int = 0) -> TaskLoRA:
    return system.trunk.blocks[number].mixer.into


def theirs(folder, task: str, layer: TaskLoRA, **config) -> dict[str, torch.Tensor]:
    """Files of one task as peft writes them, with random matrices."""
    rank, outputs = config.get("r", 8), layer.linear.out_features
    shapes = {"A": (rank, layer.linear.in_features), "B": (outputs, rank)}
    keys = {f"base_model.model.{name}.lora_{part}.weight": shape for name in LAYERS for part, shape in shapes.items()}
    tensors = {key: torch.randn(shape) for key, shape in keys.items()}
    (folder / task).mkdir(parents=True)
    save_file(tensors, folder / task / "adapter_model.safetensors", metadata={"format": "pt"})
    said = {"peft_type": "LORA", "target_modules": ["into"], **config}
    (folder / task / "adapter_config.json").write_text(json.dumps(said))
    return tensors


def test_files_and_keys_are_those_that_peft_writes(system, tmp_path):
    save_adapters(system, tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == [
        f"{task}/adapter_{file}" for task in ("image", "text") for file in ("config.json", "model.safetensors")
    ]
    tensors, config = (
        load_file(tmp_path / "text/adapter_model.safetensors"),
        json.loads((tmp_path / "text/adapter_config.json").read_text()),
    )
    assert set(tensors) == {f"base_model.model.{name}.lora_{part}.weight" for name in LAYERS for part in "AB"}
    down, up = layer_of(system).of(0)
    assert torch.equal(tensors[f"base_model.model.{LAYERS[0]}.lora_A.weight"], down.weight)
    assert torch.equal(tensors[f"base_model.model.{LAYERS[0]}.lora_B.weight"], up.weight)
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 8, 32) and config["target_modules"] == LAYERS
    assert config["bias"] == "none" and config["base_model_name_or_path"] == "omnimamba" and config["inference_mode"]
    with safe_open(tmp_path / "text/adapter_model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_saved_and_restored_bit_by_bit_and_nothing_else_moves(system, tmp_path):
    save_adapters(system, tmp_path)
    other = build("omnimamba", preset="tiny", seed=1).eval()
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    restore_adapters(other, tmp_path)
    after, ours = other.state_dict(), system.state_dict()
    for name, tensor in after.items():
        adapter = ".into.down." in name or ".into.up." in name
        assert torch.equal(tensor, ours[name] if adapter else before[name]), name


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"r": 8, "lora_alpha": 32}, 4.0),
        ({"r": 8, "lora_alpha": 8}, 1.0),
        ({}, 1.0),
        ({"r": 8, "lora_alpha": 4, "use_rslora": True}, sqrt(2)),
    ],
    ids=str,
)
def test_files_of_peft_change_a_layer_as_peft_does(system, tmp_path, places, config, scale):
    text, image = (theirs(tmp_path, task, layer_of(system), **config) for task in ("text", "image"))
    restore_adapters(system, tmp_path)
    layer, x = layer_of(system, 1), torch.randn(1, 3, layer_of(system).linear.in_features)
    numbers = {port.name: port.number for port in system.ports}
    laid = places(writes=[[numbers["text"], numbers["image"], -1]])
    found, plain = layer(x, laid)[0], layer.linear(x)[0]
    for i, tensors in enumerate((text, image)):
        a, b = (tensors[f"base_model.model.{LAYERS[1]}.lora_{part}.weight"] for part in "AB")
        torch.testing.assert_close(found[i], plain[i] + scale * b @ a @ x[0, i], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[2], plain[2])


def test_what_does_not_fit_is_refused_and_moves_nothing(system, tmp_path):
    theirs(tmp_path / "narrow", "text", layer_of(system), r=4)
    theirs(tmp_path / "dora", "text", layer_of(system), use_dora=True)
    theirs(tmp_path / "other", "text", layer_of(system), peft_type="IA3")
    before = weights_hash(system)
    with pytest.raises(ValueError, match=r"4 tensors of another shape .*; build it with their rank"):
        restore_adapters(system, tmp_path / "narrow")
    with pytest.raises(ValueError, match=r"use_dora True; plain LoRA is accepted"):
        restore_adapters(system, tmp_path / "dora")
    with pytest.raises(ValueError, match=r"peft_type 'IA3'"):
        restore_adapters(system, tmp_path / "other")
    with pytest.raises(ValueError, match=r"adapters: .*text: FileNotFoundError.*; check the path"):
        restore_adapters(system, tmp_path / "nowhere")
    theirs(tmp_path / "half", "text", layer_of(system))
    with pytest.raises(ValueError, match=r"image: FileNotFoundError"):
        restore_adapters(system, tmp_path / "half")
    assert weights_hash(system) == before
    with pytest.raises(ValueError, match=r"adapters: chameleon has none"):
        save_adapters(build("chameleon", preset="tiny"), tmp_path)
