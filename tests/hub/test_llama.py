"""Language models loaded from the folders that transformers writes, beside transformers' classes."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hub.oracle import MUTATIONS, exactly, ids_of, near, redrawn, rounds_as_theirs, saved, states, transformers

from tessera.document import Document, Text
from tessera.draws import Draw
from tessera.hub import load_published
from tessera.hub.language import USUAL
from tessera.verbs.generate import generate

SIZES = {"vocab_size": 300, "intermediate_size": 40, "num_hidden_layers": 2, "bos_token_id": 0, "eos_token_id": 3}
FAR = {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 2.0, "original_max_position_embeddings": 16, "rope_theta": 20.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 20.0, "beta_fast": 2.0, "beta_slow": 0.5}
SHARP = {"mscale": 2.0, "mscale_all_dim": 0.5}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(
        **SIZES, hidden_size=24, num_attention_heads=4, num_key_value_heads=2, rope_parameters={"rope_type": "llama3", **FAR}
    ),
    "llama, biased and tied": lambda: transformers.LlamaConfig(
        **SIZES, hidden_size=36, num_attention_heads=3, num_key_value_heads=3, head_dim=10, attention_bias=True, mlp_bias=True,
        hidden_act="gelu_pytorch_tanh", tie_word_embeddings=True, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e3},
    ),
    "mistral": lambda: transformers.MistralConfig(
        **SIZES, hidden_size=40, num_attention_heads=4, num_key_value_heads=1, head_dim=8, rms_norm_eps=1e-5, sliding_window=None
    ),
    "qwen2": lambda: transformers.Qwen2Config(
        **SIZES, hidden_size=24, num_attention_heads=6, num_key_value_heads=3, rope_parameters={"rope_type": "default", "rope_theta": 1e6}
    ),
    "qwen3": lambda: transformers.Qwen3Config(
        **SIZES, hidden_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=16, tie_word_embeddings=True
    ),
}  # fmt: skip
ODD = {"hidden_size": 36, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 10, "rms_norm_eps": 1e-4}
TIED = {"hidden_size": 24, "num_attention_heads": 4, "num_key_value_heads": 4, "tie_word_embeddings": True}
MORE = {
    "llama, odd sizes": lambda: transformers.LlamaConfig(**SIZES, **ODD),
    "mistral, tied": lambda: transformers.MistralConfig(**SIZES, **TIED, sliding_window=None),
    "mistral, odd sizes": lambda: transformers.MistralConfig(**{**SIZES, "num_hidden_layers": 3}, **ODD, sliding_window=None),
    "mistral, a window": lambda: transformers.MistralConfig(**SIZES, **TIED, sliding_window=5),
    "qwen2, tied": lambda: transformers.Qwen2Config(**SIZES, **TIED),
    "qwen2, odd sizes": lambda: transformers.Qwen2Config(**SIZES, hidden_size=30, num_attention_heads=3, num_key_value_heads=1),
    "qwen3, not grouped": lambda: transformers.Qwen3Config(**SIZES, **{**TIED, "tie_word_embeddings": False}),
    "qwen2, yarn": lambda: transformers.Qwen2Config(**SIZES, **TIED, max_position_embeddings=32, rope_parameters=YARN),
    "llama, yarn sharpened otherwise": lambda: transformers.LlamaConfig(
        **SIZES, **ODD, rope_parameters={**YARN, "original_max_position_embeddings": 12, "truncate": False, **SHARP}
    ),
    "qwen3, odd sizes": lambda: transformers.Qwen3Config(**{**SIZES, "num_hidden_layers": 3}, **ODD, attention_bias=True),
}
SAID = Document((Text("a red circle and a blue star"), Text(" what is it?", learn=True)))


@pytest.fixture(scope="module", params={**CONFIGS, **MORE})
def pair(request, tmp_path_factory):
    """Their class and our system, from one folder."""
    theirs = redrawn(transformers.AutoModelForCausalLM.from_config({**CONFIGS, **MORE}[request.param]()))
    return theirs, load_published(saved(theirs, tmp_path_factory.mktemp("llama")))


def ids(system):
    return torch.tensor([ids_of(system, SAID, list)])


def test_states_logits_and_losses_are_theirs(pair):
    theirs, system = pair
    found, out = states(system, SAID), theirs(ids(system))
    assert near(found, theirs.model(ids(system)).last_hidden_state[0]) and near(system.text.writer(found), out.logits[0])
    total, count = system.losses([SAID], [Draw(0)])["text"]
    behind = int(count)
    assert near(total / count, F.cross_entropy(out.logits[0, -behind - 1 : -1], ids(system)[0, -behind:]))


def test_it_says_greedily_what_they_say(pair):
    theirs, system = pair
    allowed, given = system.text.law.allowed.tolist(), torch.tensor([[0, *system.text.codec.encode(["a red"]).clean[0].tolist()]])
    said = theirs.generate(given, max_new_tokens=12, do_sample=False, prefix_allowed_tokens_fn=lambda batch, sent: allowed)
    written = generate(system, "a red", want=Text, longest=13)
    assert said[0, given.shape[1] :].tolist() == written.clean[-1].tolist()[:12]


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_system_says_something_else(pair, mutation):
    theirs, system = pair
    system = copy.deepcopy(system)
    mutation(system)
    assert not near(states(system, SAID), theirs.model(ids(system)).last_hidden_state[0], 1e-2)


def test_in_half_precision_it_rounds_as_theirs(pair, tmp_path):
    theirs, _ = pair
    rounded = copy.deepcopy(theirs).to(torch.bfloat16)
    half = load_published(saved(rounded, tmp_path))
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    exact, said = (made.model(ids(half)).last_hidden_state[0] for made in (exactly(rounded), rounded))
    assert rounds_as_theirs(states(half, SAID), said, exact)


@pytest.mark.parametrize("kind", USUAL)
def test_what_a_configuration_leaves_out_means_what_the_class_takes_it_for(kind):
    usual = transformers.AutoConfig.for_model(kind)
    heads = lambda said: said["num_key_value_heads"] or said["num_attention_heads"]
    size = lambda said: said["head_dim"] or said["hidden_size"] // said["num_attention_heads"]
    ours, theirs = USUAL[kind], {**usual.to_dict(), "head_dim": getattr(usual, "head_dim", None)}
    same = set(ours) & set(theirs) - {"num_key_value_heads", "head_dim", "rope_parameters", "rope_scaling"}
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same} and heads(ours) == heads(theirs)
    assert size(ours) == size(theirs) and usual.rope_parameters["rope_theta"] == ours["rope_theta"]
