"""Published folders that are fine-tuned by the command: pictures to draw and to describe, and conversations, in one batch."""

import json
import shutil

import pytest
import torch
from cli.test_training import as_folder, as_llava
from hub import test_janus, test_llama
from hub.oracle import near, redrawn, saved, states, transformers
from safetensors import safe_open
from safetensors.torch import load_file

from tessera.document import Document, Image, Text
from tessera.hub import load_published
from tessera.verbs.weights import latest, load

QUICK = "--device cpu --precision float32 --batch 4 --documents finetune=8".split()
SPECIAL = ("<begin_of_image>", "<end_of_image>", "<image_placeholder>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small Janus."""
    made = redrawn(transformers.JanusForConditionalGeneration(test_janus.CONFIGS["Janus"]()))
    return saved(made, tmp_path_factory.mktemp("published") / "janus", special=SPECIAL)


@pytest.fixture
def data(tmp_path):
    """Pairs and conversations, as options."""
    for name, write in (("pairs", as_folder), ("talk", as_llava)):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    return ("--data", "pairs", "--data", "talk")


def said_of(system, seed=0):
    """Hidden states of a document with pictures that are seen and drawn."""
    rng = torch.Generator().manual_seed(seed)
    look, draw = (torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8, generator=rng) for _ in range(2))
    return states(system, Document((Text("a red"), Image(look), Text("what is it?"), Text(" it is", learn=True), Image(draw, learn=True))))


def test_adapters_are_trained_resumed_used_merged_and_given_to_peft(tessera, folder, data, tmp_path):
    asked = ("train", "--from", folder, *data, "--lora", 4, "--stage", "finetune", "--checkpointing", *QUICK, "--run", "mine")
    done = tessera(*asked)
    assert done.code == 0 and "try `tessera draw --run mine ...`" in done.words, done.words
    facts = json.loads((tmp_path / "mine" / "run.json").read_text())
    assert facts["rows"] == 8 and facts["data"] == f"{tmp_path / 'pairs'}, {tmp_path / 'talk'}" and facts["arguments"]["lora"] == 4
    lines = [json.loads(line) for line in (tmp_path / "mine" / "metrics.jsonl").read_text().splitlines()]
    assert any(line.get("loss", {}).keys() == {"text", "image"} for line in lines)
    with safe_open(latest(tmp_path / "mine") / "weights.safetensors", "pt") as file:
        assert all(".down." in name or ".up." in name for name in file.keys())

    system, before = load(tmp_path / "mine", device="cpu"), load_published(folder)
    assert all(layer.up[0].weight.any() for layer in system.modules() if hasattr(layer, "names"))
    assert not near(said_of(system), said_of(before), 1e-6)
    assert tessera(*asked, "--resume").code == 0
    assert tessera("ask", "pairs/red.png", "what?", "--run", "mine", "--longest", 3, "--device", "cpu").code == 0
    assert tessera("draw", "red", "--run", "mine", "--device", "cpu").code == 0

    assert tessera("export", "mine", "merged").code == 0
    assert near(said_of(load_published(tmp_path / "merged")), said_of(system))
    given = tessera("export", "mine", "adapters", "--format", "peft")
    assert given.code == 0 and given.words == "adapters: adapters of janus, for the model that they were trained from"
    keys = load_file(tmp_path / "adapters" / "adapter_model.safetensors").keys()
    assert "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight" in keys and len(keys) == 2 * 7 * 2
    again = tessera("export", "mine", "adapters", "--format", "peft")
    assert again.code == 2 and "adapters exists; a new folder is accepted" in again.words


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_adapters_of_rounded_weights_are_trained_in_full(tessera, folder, data, tmp_path, precision):
    rounded = transformers.JanusForConditionalGeneration.from_pretrained(folder).to(torch.bfloat16)
    saved(rounded, tmp_path / "half", special=SPECIAL)
    quick = [precision if word == "float32" else word for word in QUICK]
    assert tessera("train", "--from", "half", *data, "--lora", 2, *quick, "--run", "mine").code == 0
    system = load(tmp_path / "mine", device="cpu")
    kinds = {(name in system.settled, parameter.dtype) for name, parameter in system.named_parameters()}
    assert kinds == {(True, torch.bfloat16), (False, torch.float32)}


def test_without_a_rank_all_but_codecs_is_trained(tessera, folder, data, tmp_path):
    assert tessera("train", "--from", folder, *data, *QUICK).code == 0
    after, before = load(tmp_path / "runs" / "janus", device="cpu").state_dict(), load_published(folder).state_dict()
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert still == {name for name in before if name.startswith("by_name.image.codec.")}


def test_a_language_model_learns_from_conversations_alone(tessera, tmp_path):
    saved(redrawn(transformers.LlamaForCausalLM(test_llama.CONFIGS["llama"]())), tmp_path / "llama")
    turns = [{"from": "human", "value": "what is it?"}, {"from": "gpt", "value": "a star"}]
    (tmp_path / "talk.json").write_text(json.dumps([{"id": "1", "conversations": turns}]))
    done = tessera("train", "--from", "llama", "--data", "talk.json", "--lora", 2, *QUICK)
    assert done.code == 0 and "try `tessera ask" in done.words


def test_memory_is_told_without_weights_and_without_data(tessera, folder, data, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, bare / name)
    told = tessera("train", "--from", "bare", "--lora", 4, "--estimate", "--batch", 3)
    assert told.code == 0 and "finetune, 3 documents a step" in told.words and told.words.count("in all") == 2
    assert tessera("train", "--from", "bare", "--estimate", *data).code == 0
    recipe = tessera("train", "janusflow", "--preset", "tiny", "--estimate", "--stage", "unified")
    assert recipe.code == 0 and "unified, 64 documents a step" in recipe.words and not (tmp_path / "runs").exists()


def test_a_recipe_begins_with_a_published_language_model(tessera, tmp_path):
    saved(redrawn(transformers.LlamaForCausalLM(test_llama.CONFIGS["llama"]())), tmp_path / "llama")
    small = "--set channels=8 --set levels=3,3 --scale 0.0001 --device cpu --precision float32 --stage joint".split()
    begun = ("train", "show_o", "--init-trunk", "llama", *small)
    assert tessera(*begun, "--run", "mine").code == 0
    facts = json.loads((tmp_path / "mine" / "run.json").read_text())
    assert facts["recipe"] == "show_o" and facts["arguments"]["language"]["arguments"]["path"] == str(tmp_path / "llama")
    system = load(tmp_path / "mine", device="cpu")
    assert len(system.trunk.blocks) == 2 and system.text.codec.markers.end == 3
    (tmp_path / "llama" / "model.safetensors").unlink()
    told = tessera(*begun, "--estimate")
    assert told.code == 0 and "joint, 64 documents a step" in told.words
    for words, said in (
        (
            ("chameleon", "--init-trunk", "llama"),
            "--init-trunk for chameleon; lmfusion, metamorph, show_o, transfusion take a language model",
        ),
        ((*begun[1:], "--set", "width=8"), "--set width with --init-trunk llama, which has sizes of its own"),
        (("--from", "x", "--data", "y", "--init-trunk", "llama"), "--init-trunk for a published model; lmfusion"),
    ):
        done = tessera("train", *words)
        assert done.code == 2 and said in done.words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "train: SYSTEM not given, --from not given; one of them is accepted; name a recipe"),
        (("chameleon", "--from", "x", "--data", "y"), "train: SYSTEM chameleon, --from x; one of them is accepted"),
        (("chameleon", "--lora", 4), "train: --lora 4 with SYSTEM chameleon; it goes with --from"),
        (("--from", "x"), "train: --from x without --data; your own pictures and texts are needed"),
        (("--from", "nowhere", "--data", "pairs"), "hub: nowhere is no folder"),
    ],
)
def test_what_cannot_be_fine_tuned_is_a_red_line(tessera, data, words, said):
    done = tessera("train", *words)
    assert done.code == 2 and said in done.words
