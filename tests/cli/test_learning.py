"""Every published system that is loaded, fine-tuned by the command: trained, resumed, its adapters alone and merged."""

import json

import pytest
import torch
from cli.test_finetuning import QUICK
from cli.test_training import as_folder, as_llava
from hub import folders
from safetensors.torch import load_file

from tessera.cli import training
from tessera.document import Task
from tessera.hub import load_published
from tessera.hub.filling import own
from tessera.trunk import LoRA
from tessera.verbs.adapters import restore_adapters
from tessera.verbs.weights import load

OTHERS = {"mistral", "qwen2", "qwen3"}  # whose loader and layers are Llama's


@pytest.fixture(params=[name for name in (*folders.CLASSES, *folders.OFFICIAL) if name not in OTHERS])
def published(request, tmp_path, monkeypatch):
    """Which system it is, and its folder."""
    return request.param, folders.any_of(request.param, tmp_path / "published" / request.param, monkeypatch)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Pairs, and conversations with pictures and without. Nobody looks at what is learned, which would take longer than learning it."""
    monkeypatch.setattr(training, "glance_data", lambda *_: {})
    for name, write in (("pairs", as_folder), ("talk", as_llava)):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    words = [{"from": "human", "value": "what is it?"}, {"from": "gpt", "value": "a star"}]
    (tmp_path / "words.json").write_text(json.dumps([{"id": "1", "conversations": words}]))


def test_it_is_trained_resumed_and_given_back(tessera, published, data, tmp_path):
    name, folder = published
    before = load_published(folder)
    able = before.looks or before.draws
    given = [word for name in (["pairs", "talk"] if able else ["words.json"]) for word in ("--data", name)]
    asked = ("train", "--from", folder, *given, "--lora", 4, "--stage", "finetune", "--checkpointing", *QUICK, "--run", "mine")
    done = tessera(*asked)
    assert done.code == 0, done.words
    assert (f"try `tessera {'draw' if before.shows else 'ask'} --run mine" in done.words) and tessera(*asked, "--resume").code == 0
    assert Task.DRAW not in before.stages[0].mix or before.draws

    assert tessera("export", "mine", "merged").code == 0 and tessera("export", "mine", "adapters", "--format", "peft").code == 0
    system, merged = load(tmp_path / "mine", device="cpu"), load_published(tmp_path / "merged")
    layers = {name: layer for name, layer in system.named_modules() if isinstance(layer, LoRA)}
    assert layers and all(name.startswith("trunk.") and layer.up[0].weight.any() for name, layer in layers.items())
    now = own(merged)
    for tensor_name, tensor in own(before).items():
        layer = layers.get(tensor_name.removesuffix(".weight"))
        expected = tensor if layer is None else layer.merged()
        assert torch.equal(now[tensor_name], expected) and (layer is None or not torch.equal(tensor, expected)), tensor_name

    again = load_published(folder, lora=4)
    restore_adapters(again, tmp_path / "adapters")
    state = again.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in system.state_dict().items())
    if name not in folders.CLASSES:  # of classes peft says so
        numbers = lambda place: {name: tensor for file in place.rglob("*.safetensors") for name, tensor in load_file(file).items()}
        there, changed, thin = numbers(folder), numbers(tmp_path / "merged"), numbers(tmp_path / "adapters")
        for layer in json.loads((tmp_path / "adapters" / "adapter_config.json").read_text())["target_modules"]:
            down, up = (thin[f"base_model.model.{layer}.lora_{part}.weight"] for part in "AB")
            torch.testing.assert_close(changed[f"{layer}.weight"], there[f"{layer}.weight"] + 2 * up @ down)
    assert tessera("train", "--from", folder, "--lora", 4, "--estimate").code == 0
