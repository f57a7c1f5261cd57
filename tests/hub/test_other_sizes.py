"""Systems whose official code gave numbers of one size, at others: of texts they say what the language model's class says.

The rest of a folder is the fixture's. A class stands in for the language model, saved under the official names, at three sizes that the
fixture has not: grouped or not, tied or not, odd ones.
"""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hub import test_janusflow, test_metamorph, test_monoformer, test_omnimamba, test_orthus, test_show_o
from hub.official import lacking, said, write
from hub.oracle import MUTATIONS, another_epsilon, ids_of, near, redrawn, states, transformers
from safetensors.torch import load_file
from torch import Tensor

from tessera.document import Document, Text
from tessera.hub import load_published
from tessera.verbs.generate import generate

MORE_LAYERS = {"num_hidden_layers": 3, "rms_norm_eps": 1e-4, "intermediate_size": 41}
SIZES = {
    "grouped, odd": {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 10, **MORE_LAYERS},
    "not grouped, tied": {"num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "one layer, long features": {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 14, "num_hidden_layers": 1},
}
PHI = {
    "odd": {"num_attention_heads": 4, "intermediate_size": 41, "num_hidden_layers": 3},
    "two heads, half of the features turn more": {"num_attention_heads": 2, "partial_rotary_factor": 0.75},
    "one layer, another norm": {"num_attention_heads": 4, "num_hidden_layers": 1, "layer_norm_eps": 1e-3},
}
CHAMELEON = {
    "grouped, odd": {"num_attention_heads": 4, "num_key_value_heads": 2, **MORE_LAYERS},
    "two heads": {"num_attention_heads": 2, "num_key_value_heads": 2, "rope_theta": 500.0},
    "one layer": {"num_attention_heads": 4, "num_key_value_heads": 1, "num_hidden_layers": 1},
}
MAMBA = {
    "grouped": {"n_layer": 3, "headdim": 24, "d_state": 8, "ngroups": 2},
    "odd": {"n_layer": 2, "headdim": 8, "d_state": 5, "ngroups": 1, "d_conv": 3},
    "four groups": {"n_layer": 1, "headdim": 12, "d_state": 6, "ngroups": 4},
}


class Language(NamedTuple):
    """A class: its states of ids, its head, its tensors by their published names."""

    states: Callable[[Tensor], Tensor]
    head: Callable[[Tensor], Tensor]
    weights: dict[str, Tensor]


def named(theirs: Any, front: str) -> dict[str, Tensor]:
    """The tensors of a language model and its head, once where they are one."""
    tied = theirs.config.tie_word_embeddings
    kept = {name: weight for name, weight in theirs.state_dict().items() if name.startswith(("model.", "lm_head.")) and ".vq" not in name}
    return {front + name: weight for name, weight in kept.items() if not (tied and name == "lm_head.weight")}


def causal(theirs: Any, front: str = "") -> Language:
    """A class of transformers with a head."""
    return Language(lambda ids: theirs.model(ids).last_hidden_state[0], theirs.lm_head, named(theirs, front))


def changed(folder: Path, at: Sequence[str], changes: dict[str, Any], weights: dict[str, Tensor], front: str = "") -> None:
    """A folder with another language model: its configuration, under these keys, and its tensors, behind what stands in front of them."""
    config = json.loads((folder / "config.json").read_text())
    inner = config
    for key in at:
        inner = inner[key]
    inner.update(changes)
    others = load_file(folder / "model.safetensors")
    language = tuple(front + name for name in ("model.layers.", "model.norm.", "model.embed_tokens.", "lm_head."))
    write(folder, {name: tensor for name, tensor in others.items() if not name.startswith(language)} | weights, config)


def llama(sizes: dict[str, Any], changes: dict[str, Any]) -> Any:
    """Llama's class, as wide as the fixture's and with as many words."""
    usual = {"num_hidden_layers": 2, "rms_norm_eps": 1e-6, "intermediate_size": sizes["intermediate_size"], **changes}
    kept = {name: sizes[name] for name in ("vocab_size", "hidden_size")}
    return redrawn(transformers.LlamaForCausalLM(transformers.LlamaConfig(**kept, **usual)))


def janusflow(folder, changes):
    front, made = "language_model.", test_janusflow.official(folder / "JanusFlow-1.3B")
    theirs = causal(llama(test_janusflow.SIZES, changes), front)
    changed(made, ["language_config"], changes, theirs.weights, front)
    return made, theirs


def monoformer(folder, changes):
    theirs, made = causal(llama(test_monoformer.SIZES, changes)), test_monoformer.official(folder / "MonoFormer_ImageNet_256")
    changed(made, [], changes, theirs.weights)
    return made, theirs


def metamorph(folder, changes):
    theirs, made = causal(llama(test_metamorph.CONFIG, changes)), test_metamorph.official(folder)
    changed(made, [], changes, theirs.weights)
    return made, theirs


def orthus(folder, changes):
    made = test_orthus.official(folder)
    c = test_orthus.CONFIG
    usual = {"num_hidden_layers": 2, "rms_norm_eps": c["rms_norm_eps"], "intermediate_size": c["intermediate_size"], **changes}
    kept = {name: c[name] for name in ("vocab_size", "hidden_size")}
    vq = {"num_embeddings": 4, "embed_dim": 4, "latent_channels": 4, "resolution": 8, "base_channels": 32, "channel_multiplier": [1]}
    map = {"<image>": 50, **{f"IMGIMG{letter}Z": 4 + i for i, letter in enumerate("ABCD")}}
    config = transformers.ChameleonConfig(**kept, **usual, vq_config=vq, vocabulary_map=map)
    theirs = causal(redrawn(transformers.ChameleonForConditionalGeneration(config)))
    changed(made, [], changes, theirs.weights)
    return made, theirs


def show_o(folder, changes):
    made, theirs = test_show_o.official(folder), causal(redrawn(test_show_o.phi(**changes)), "showo.")
    beside = made.parent / "phi-1_5"
    (beside / "config.json").write_text(json.dumps(json.loads((beside / "config.json").read_text()) | changes))
    changed(made, [], {}, theirs.weights, "showo.")
    return made, theirs


def omnimamba(folder, changes):
    """Its adapters for telling belong to the class's projections here."""
    c = test_omnimamba.CONFIG
    made = test_omnimamba.official(folder)
    sizes = {**{name: c[name] for name in ("n_layer", "headdim", "d_state", "ngroups", "d_conv")}, **changes}
    config = transformers.Mamba2Config(
        hidden_size=c["d_model"], vocab_size=c["vocab_size"], num_hidden_layers=sizes["n_layer"], head_dim=sizes["headdim"],
        num_heads=2 * c["d_model"] // sizes["headdim"], state_size=sizes["d_state"], n_groups=sizes["ngroups"], expand=2,
        conv_kernel=sizes["d_conv"], layer_norm_epsilon=c["norm_eps"], tie_word_embeddings=True, time_step_limit=(0.0, float("inf")),
        residual_in_fp32=False,
    )  # fmt: skip
    theirs = redrawn(transformers.Mamba2ForCausalLM(config))
    front = test_omnimamba.LANGUAGE
    of_class = {
        front + name.replace("embeddings.", "embedding."): weight for name, weight in theirs.backbone.state_dict(prefix="backbone.").items()
    }
    config = json.loads((made / "config.json").read_text()) | changes
    others = {
        name: tensor
        for name, tensor in load_file(made / "model.safetensors").items()
        if not name.startswith((f"{front}backbone.layers.", f"{front}lm_head."))
    }
    write(made, {}, config)
    there = others | of_class
    there |= lacking(made, there)
    write(made, there, config)
    for i, layer in enumerate(theirs.backbone.layers):
        down, up = (there[f"{front}backbone.layers.{i}.mixer.in_proj.mmu_lora_{half}0.weight"] for half in "AB")
        layer.mixer.in_proj.weight += c["lora_scale"] * up @ down
    positions = there[f"{front}backbone.mmu_pos_embed"]

    def of(ids):
        embeds = theirs.backbone.embeddings(ids)
        return theirs.backbone(inputs_embeds=embeds + positions.view(1, -1, embeds.shape[-1])[:, : ids.shape[1]]).last_hidden_state[0]

    return made, Language(of, theirs.lm_head, of_class)


SYSTEMS = {
    janusflow: SIZES, monoformer: SIZES, metamorph: SIZES, orthus: CHAMELEON, show_o: PHI, omnimamba: MAMBA,
}  # fmt: skip
TEXT = Document((Text(said([11, 12, 13])), Text(said([14, 15, 16, 17]), learn=True)))


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(
    scope="module", params=[(make, name) for make, sizes in SYSTEMS.items() for name in sizes], ids=lambda p: f"{p[0].__name__}: {p[1]}"
)
def pair(request, tmp_path_factory):
    """Our system, and the class of its language model, from one folder."""
    make, size = request.param
    with torch.no_grad(), pytest.MonkeyPatch.context() as patched:
        test_janusflow.small(patched)
        folder, theirs = make(tmp_path_factory.mktemp(make.__name__), SYSTEMS[make][size])
        return load_published(folder), theirs


def test_states_and_logits_of_a_text(pair):
    system, theirs = pair
    ids = torch.tensor([ids_of(system, TEXT, list)])
    found, expected = states(system, TEXT), theirs.states(ids)
    assert ids.shape[1] >= 8 and near(found, expected)
    assert near(system.text.writer(found), theirs.head(expected))


def test_it_goes_on_greedily(pair):
    system, theirs = pair
    prompt = Document((Text(said([11, 12, 13])),))
    allowed = system.text.law.allowed
    sent = ids_of(system, Document((*prompt, Text("", learn=True))), list)[:-1]
    expected = []
    while len(expected) < 10 and (not expected or expected[-1] != system.markers.end):
        logits = theirs.head(theirs.states(torch.tensor([sent + expected]))[-1])
        expected.append(int(allowed[logits[allowed].argmax()]))
    written = generate(system, prompt, want=Text, longest=11)
    assert written.clean[-1].tolist()[: len(expected)] == expected


@pytest.mark.parametrize("number", range(3))
def test_a_mutated_language_model_says_something_else(pair, number):
    system, theirs = pair
    system = copy.deepcopy(system)
    of_mamba = (test_omnimamba.what_came_before_is_read_backwards, another_epsilon, test_omnimamba.heads_change_places)
    (of_mamba if system.name == "omnimamba" else MUTATIONS)[number](system)
    assert not near(states(system, TEXT), theirs.states(torch.tensor([ids_of(system, TEXT, list)])), 1e-2)
