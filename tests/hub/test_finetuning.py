"""Published systems with adapters, beside peft's adapters of transformers' classes, and merged."""

import json
import re
import warnings

import pytest
import torch
from hub import folders, test_llama
from hub.oracle import ids_of, learned, near, states
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from tessera.document import Task
from tessera.draws import Draw
from tessera.hub import export_published, load_published
from tessera.hub.loading import outline_published
from tessera.trunk import LoRA
from tessera.verbs.adapters import adapted as learning
from tessera.verbs.adapters import keyed, restore_adapters, save_adapters
from tessera.verbs.memory import memory_of
from tessera.verbs.optimizing import thaw
from tessera.verbs.weights import load, save

RANK = 3
LAYERS = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split()


@pytest.fixture(params=folders.CLASSES)
def published(request, tmp_path):
    """A class, and its folder."""
    return folders.of_class(request.param, tmp_path / "published")


def stirred(module, seed=0):
    """Adapters that do something."""
    rng = torch.Generator().manual_seed(seed)
    for layer in (part for part in module.modules() if isinstance(part, LoRA)):
        for linear in (*layer.down, *layer.up):
            linear.weight.data = torch.randn(linear.weight.shape, generator=rng) * 0.2
    return module


def logits(system):
    return system.text.writer(states(system, test_llama.SAID))[:, system.text.law.allowed]


@pytest.fixture
def peft():
    """The library, which says itself that parts of it are old."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield pytest.importorskip("peft")


@torch.no_grad()
def theirs_say(made, system):
    ids = torch.tensor([ids_of(system, test_llama.SAID, list)])
    return made(input_ids=ids).logits[0][:, system.text.law.allowed]


def test_it_starts_as_it_was_published(published):
    _, folder = published
    assert torch.equal(logits(load_published(folder, lora=RANK)), logits(load_published(folder)))


def test_peft_reads_our_adapters_and_says_the_same(published, peft, tmp_path):
    made, folder = published
    system = stirred(load_published(folder, lora=RANK))
    before = theirs_say(made, system)
    save_adapters(system, tmp_path / "adapters")
    adapted = peft.PeftModel.from_pretrained(made, tmp_path / "adapters")
    assert near(logits(system), theirs_say(adapted, system)) and not near(logits(system), before, 1e-2)


def test_we_read_adapters_of_peft_and_learn_as_they_do(published, peft, tmp_path):
    made, folder = published
    inside = next((name for name in ("language_model", "text_model") if hasattr(made.model, name)), "")
    where = rf".*{inside}.*\.({'|'.join(LAYERS)})"
    system = load_published(folder, lora=RANK)
    adapted = peft.get_peft_model(made, peft.LoraConfig(r=RANK, lora_alpha=7, target_modules=where, init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapters")
    restore_adapters(system, tmp_path / "adapters")
    assert near(logits(system), theirs_say(adapted, system))

    thaw(system, system.stages[0])
    total, _ = system.losses([test_llama.SAID], [Draw(0)])["text"]
    total.backward()
    ids = torch.tensor([ids_of(system, test_llama.SAID, list)])
    if hasattr(made.model, "vocabulary_mapping"):  # pictures are banned there, and learned here
        made.model.vocabulary_mapping.__dict__["image_tokens"] = []
    answers = learned(system, test_llama.SAID)[1:]
    said = adapted(input_ids=ids).logits[0, :-1]
    nn.functional.cross_entropy(said[answers], ids[0, 1:][answers], reduction="sum").backward()
    grads = {name.replace(".default", ""): p.grad for name, p in adapted.named_parameters() if p.grad is not None}
    factor = 7 / (2 * RANK)  # of their scale and ours: it went into the second matrices
    for key, weight in keyed(learning(system)[""]).items():
        assert near(weight.grad * (factor if "lora_B" in key else 1), grads[key])


def test_merged_weights_are_a_folder_whose_class_says_the_same(published, tmp_path):
    made, folder = published
    system = stirred(load_published(folder, lora=RANK))
    before = {name: tensor.clone() for name, tensor in system.state_dict().items()}
    export_published(system, tmp_path / "merged")
    assert all(torch.equal(tensor, before[name]) for name, tensor in system.state_dict().items())
    assert near(logits(system), theirs_say(type(made).from_pretrained(tmp_path / "merged").eval(), system))
    again = load_published(tmp_path / "merged")
    assert near(logits(again), logits(system)) and again.state_dict().keys() == load_published(folder).state_dict().keys()


def test_files_hold_adapters_alone(published, tmp_path):
    _, folder = published
    system = stirred(load_published(folder, lora=RANK))
    save(system, tmp_path / "mine.safetensors")
    with safe_open(tmp_path / "mine.safetensors", "pt") as file:
        kept = set(file.keys())
    assert kept == {name for name in system.state_dict() if re.search(r"\.(down|up)\.\d\.weight$", name)} and len(kept) > 20
    again = load(tmp_path / "mine.safetensors", device="cpu")
    assert torch.equal(logits(again), logits(system)) and again.origin == system.origin


def test_the_stage_moves_adapters_or_all_but_codecs(published):
    _, folder = published
    system = load_published(folder, lora=RANK)
    (stage,) = system.stages
    thaw(system, stage)
    assert {name for name, p in system.named_parameters() if p.requires_grad} == system.state_dict().keys() - set(system.settled)
    whole = load_published(folder)
    (stage,) = whole.stages
    thaw(whole, stage)
    codecs = {p for port in whole.ports if isinstance(port.codec, nn.Module) for p in port.codec.parameters()}
    assert {p for p in whole.parameters() if not p.requires_grad} == codecs
    assert (Task.DRAW in stage.mix) == whole.draws and Task.TEXT in stage.mix


def test_peft_is_told_what_it_changes(published, tmp_path):
    _, folder = published
    save_adapters(load_published(folder, lora=RANK), tmp_path / "adapters")
    config = json.loads((tmp_path / "adapters" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (RANK, 2 * RANK, str(folder))
    layers = {name.rsplit(".", 2)[0] for name in load_file(tmp_path / "adapters" / "adapter_model.safetensors")}
    assert {f"base_model.model.{name}" for name in config["target_modules"]} == layers


def test_ranks_below_one_are_refused(tmp_path):
    with pytest.raises(ValueError, match="hub: adapters of rank -1; ranks from 1 on, and 0 for none, are accepted"):
        load_published(tmp_path, lora=-1)


def test_an_outline_is_the_system_without_its_numbers(published):
    _, folder = published
    whole = load_published(folder, lora=RANK)
    (folder / "model.safetensors").unlink()
    outline = outline_published(folder, lora=RANK)
    shapes = lambda system: {name: (p.shape, p.dtype) for name, p in system.named_parameters()}
    drawn = lambda found: {name: one for name, one in found.items() if ".decoder." not in name and ".from_latents." not in name}
    assert drawn(shapes(outline)) == drawn(shapes(whole)) and all(p.is_meta for p in outline.parameters())
    little, much = (memory_of(one, one.stages[0]) for one in (outline, outline_published(folder)))
    size = sum(p.numel() * p.element_size() for name, p in whole.named_parameters() if name not in whole.settled)
    assert little.gradients == size < much.gradients and 0 < little.recomputed.all < little.plain.all < much.plain.all
