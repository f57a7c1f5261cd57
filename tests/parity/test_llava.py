"""LLaVA-1.5 from our parts against transformers' class, with random weights: CLIP's eye, projector, Llama."""

import pytest
import torch
from parity.eyes import CLIP, eye_state
from parity.llama import llama

from tessera import vision
from tessera.attention import causal, everywhere
from tessera.codecs.patches import patchify
from tessera.perceptron import perceptron
from tessera.readers import EyeReader

transformers = pytest.importorskip("transformers", reason="parity: install the extra `bench` to compare with transformers' LLaVA")

PICTURE = 60  # the id that stands where the picture does
EYE = {"image_size": 8, "patch_size": 4, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
LLAMA = {"vocab_size": 64, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
OURS = {
    "hidden_size": 24,
    "num_heads": 4,
    "num_kv_heads": 4,
    "num_layers": 2,
    "intermediate_size": 40,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e4,
}


@pytest.fixture(scope="module")
def theirs():
    text = transformers.LlamaConfig(**LLAMA, num_key_value_heads=4, rms_norm_eps=1e-6)
    config = transformers.LlavaConfig(
        text_config=text, vision_config=transformers.CLIPVisionConfig(**EYE), image_token_index=PICTURE, vision_feature_layer=-2
    )
    made, rng = transformers.LlavaForConditionalGeneration(config), torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng) * 0.2 + (parameter.ndim == 1)
    return made.eval().requires_grad_(False)


@pytest.fixture
def asked():
    """Ids around a picture of four squares, and its pixels."""
    ids = torch.tensor([[1, 5, *[PICTURE] * 4, 7, 9, 11]])
    return ids, torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def said(theirs, ids, pixels, places, rule=causal, depth=3) -> torch.Tensor:
    """Our logits, with their weights."""
    state = theirs.state_dict()
    under = lambda *prefixes: {n.removeprefix(p): w for p in prefixes for n, w in state.items() if n.startswith(p)}
    seeing = under("model.vision_tower.vision_model.") or under("model.vision_tower.")
    eye = vision.clip(pixels=8, patch=4, width=32, depth=depth, heads=4, hidden=48)
    eye.load_state_dict(eye_state(seeing, CLIP, depth - 1))
    projector, published = perceptron(32, 24, 24), under("model.multi_modal_projector.linear_")
    projector.load_state_dict({f"{layer}.{kind}": published[f"{i}.{kind}"] for layer, i in ((0, 1), (2, 2)) for kind in ("weight", "bias")})
    places_of_text = state["model.language_model.embed_tokens.weight"][ids]
    seen = EyeReader(eye, projector)(patchify(pixels, 4), torch.zeros(1, dtype=torch.long)).embeddings
    places_of_text[ids == PICTURE] = seen[0]
    hidden = llama(under("model.language_model."), OURS)(places_of_text, None, places(order=list(range(ids.shape[1]))), rule)
    return (hidden @ state["lm_head.weight"].T).detach()


def test_it_says_what_transformers_llava_says(theirs, asked, places):
    ids, pixels = asked
    expected = theirs(input_ids=ids, pixel_values=pixels).logits
    torch.testing.assert_close(said(theirs, ids, pixels, places), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("change", [{"rule": everywhere}, {"depth": 2}], ids=["pictures seen both ways", "another layer"])
def test_a_mutation_says_something_else(theirs, asked, places, change):
    ids, pixels = asked
    expected = theirs(input_ids=ids, pixel_values=pixels).logits
    assert not torch.allclose(said(theirs, ids, pixels, places, **change), expected, atol=1e-2)
