"""Eyes and the pooling head against transformers' SigLIP and CLIP, with random weights."""

import copy

import pytest
import torch
from hub.oracle import exactly, rounds_as_theirs, transformers
from torch import nn

from tessera import vision
from tessera.codecs.patches import patchify
from tessera.hub.eyes import CLIP, SIGLIP, siglip_pool
from tessera.hub.filling import filled

SIZES = {
    "even": {"pixels": 16, "patch": 4, "width": 32, "depth": 3, "heads": 4, "hidden": 48},
    "odd": {"pixels": 15, "patch": 5, "width": 30, "depth": 2, "heads": 3, "hidden": 41},
    "one head": {"pixels": 24, "patch": 4, "width": 20, "depth": 4, "heads": 1, "hidden": 30},
}


@pytest.fixture(params=SIZES.values(), ids=SIZES)
def sizes(request):
    return request.param


def theirs_of(sizes):
    """The same as transformers' configurations name them."""
    named = {"image_size": "pixels", "patch_size": "patch", "hidden_size": "width", "num_hidden_layers": "depth"}
    named |= {"num_attention_heads": "heads", "intermediate_size": "hidden"}
    return {name: sizes[ours] for name, ours in named.items()}


def random(made: nn.Module) -> nn.Module:
    """Weights large enough that nothing hides: none is left at 0 or 1."""
    rng = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng) * 0.2 + (parameter.ndim == 1)
    return made.eval().requires_grad_(False)


@pytest.fixture
def pixels(sizes):
    return torch.rand(2, 3, sizes["pixels"], sizes["pixels"], generator=torch.Generator().manual_seed(1)) * 2 - 1


def another_epsilon(eye):
    """Norms with a tenth added."""
    for module in eye.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 0.1


def rows_change_places(eye):
    """The first queries of the first block go to the last place: of one head to another, where there are several."""
    attention = eye.blocks[0].parts[0]
    heads = attention.split[0] * attention.size
    attention.qkv.weight.data[:heads] = attention.qkv.weight.data[:heads].roll(max(1, attention.size // 2), 0)


def places_are_one_off(eye):
    """Every square is taken for the one before it."""
    eye.positions.weight.data = eye.positions.weight.data.roll(1, 0)


MUTATIONS = [another_epsilon, rows_change_places, places_are_one_off]


def keys_are_values(pool):
    """What is looked for is what is found, and the other way round."""
    pool.kv.weight.data = pool.kv.weight.data.roll(len(pool.kv.weight) // 2, 0)


def what_comes_out_changes_places(pool):
    """Of one head to another, where there are several."""
    pool.out.weight.data = pool.out.weight.data.roll(max(1, pool.size // 2), 1)


@pytest.mark.parametrize(("named", "activation"), [("gelu_pytorch_tanh", nn.GELU(approximate="tanh")), ("gelu", nn.GELU())])
def test_siglips_eye_and_its_head(named, activation, sizes, pixels):
    width = sizes["width"]
    theirs = random(transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**theirs_of(sizes), hidden_act=named)))
    weights = {name.removeprefix("vision_model."): weight for name, weight in theirs.state_dict().items()}
    ours = filled(vision.siglip(**sizes, activation=activation), SIGLIP, weights, unread=["head.*"])
    head = {name.removeprefix("head."): weight for name, weight in weights.items() if name.startswith("head.")}
    pool = filled(vision.AttentionPool(width, sizes["heads"], hidden=sizes["hidden"], activation=activation), siglip_pool(width), head)
    expected, features = theirs(pixels), ours(patchify(pixels, sizes["patch"]))
    torch.testing.assert_close(features, expected.last_hidden_state, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(pool(features), expected.pooler_output, rtol=1e-5, atol=1e-5)
    for mutation in (another_epsilon, keys_are_values, what_comes_out_changes_places):
        changed = copy.deepcopy(pool)
        mutation(changed)
        assert not torch.allclose(changed(features), expected.pooler_output, atol=1e-2)
    mixed = {**siglip_pool(width), "out.bias": "layernorm.bias"}
    pool = filled(pool, {"out.bias": mixed.pop("out.bias"), **mixed}, head, unread=["attention.out_proj.bias"])
    assert not torch.allclose(pool(features), expected.pooler_output, atol=1e-2)


def test_clips_eye_read_at_its_last_layer_but_one(sizes, pixels):
    theirs = random(transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**theirs_of(sizes), hidden_act="quick_gelu")))
    weights = {name.removeprefix("vision_model."): weight for name, weight in theirs.state_dict().items()}
    ours = filled(vision.clip(**sizes), CLIP, weights, unread=[f"encoder.layers.{sizes['depth'] - 1}.*", "post_layernorm.*"])
    states, features = theirs(pixels, output_hidden_states=True).hidden_states, ours(patchify(pixels, sizes["patch"]))
    torch.testing.assert_close(features, states[-2][:, 1:], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(features, states[-1][:, 1:], atol=1e-2)


def test_in_half_precision_eyes_round_as_theirs(sizes, pixels):
    siglip = transformers.SiglipVisionConfig(**theirs_of(sizes), vision_use_head=False, hidden_act="gelu")
    clip = transformers.CLIPVisionConfig(**theirs_of(sizes))
    behind = [f"encoder.layers.{sizes['depth'] - 1}.*", "post_layernorm.*"]
    for theirs, ours, names, unread, seen in (
        (transformers.SiglipVisionModel(siglip), vision.siglip(**sizes), SIGLIP, [], lambda out: out.last_hidden_state),
        (transformers.CLIPVisionModel(clip), vision.clip(**sizes), CLIP, behind, lambda out: out.hidden_states[-2][:, 1:]),
    ):
        rounded = random(theirs).to(torch.bfloat16)
        weights = {name.removeprefix("vision_model."): weight for name, weight in rounded.state_dict().items()}
        half = filled(copy.deepcopy(ours).to(torch.bfloat16), names, weights, unread=unread)
        states = lambda made, pictures, seen=seen: seen(made(pictures.to(made.dtype), output_hidden_states=True))
        found = half(patchify(pixels, sizes["patch"]).bfloat16())
        assert found.dtype == torch.bfloat16
        assert rounds_as_theirs(found, states(rounded, pixels), states(exactly(rounded), pixels.bfloat16().float()))


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_eye_sees_something_else(mutation, sizes, pixels):
    siglip = random(
        transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**theirs_of(sizes), vision_use_head=False, hidden_act="gelu"))
    )
    clip = random(transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**theirs_of(sizes))))
    bare = lambda theirs: {name.removeprefix("vision_model."): weight for name, weight in theirs.state_dict().items()}
    behind = [f"encoder.layers.{sizes['depth'] - 1}.*", "post_layernorm.*"]
    ours = [filled(vision.siglip(**sizes), SIGLIP, bare(siglip)), filled(vision.clip(**sizes), CLIP, bare(clip), unread=behind)]
    seen = [siglip(pixels).last_hidden_state, clip(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]]
    for eye, expected in zip(ours, seen, strict=True):
        assert torch.allclose(eye(patchify(pixels, sizes["patch"])), expected, atol=1e-4)
        mutation(eye)
        assert not torch.allclose(eye(patchify(pixels, sizes["patch"])), expected, atol=1e-2)
