"""Eyes and the pooling head against transformers' SigLIP and CLIP, with random weights."""

import pytest
import torch
from hub.oracle import transformers
from torch import nn

from tessera import vision
from tessera.codecs.patches import patchify
from tessera.hub.eyes import CLIP, SIGLIP, siglip_pool
from tessera.hub.filling import filled

SIZES = {"pixels": 16, "patch": 4, "width": 32, "depth": 3, "heads": 4, "hidden": 48}
THEIRS = {"image_size": 16, "patch_size": 4, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}


def random(made: nn.Module) -> nn.Module:
    """Weights large enough that nothing hides: none is left at 0 or 1."""
    rng = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng) * 0.2 + (parameter.ndim == 1)
    return made.eval().requires_grad_(False)


@pytest.fixture
def pixels():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(("named", "activation"), [("gelu_pytorch_tanh", nn.GELU(approximate="tanh")), ("gelu", nn.GELU())])
def test_siglips_eye_and_its_head(named, activation, pixels):
    theirs = random(transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**THEIRS, hidden_act=named)))
    weights = {name.removeprefix("vision_model."): weight for name, weight in theirs.state_dict().items()}
    ours = filled(vision.siglip(**SIZES, activation=activation), SIGLIP, weights, unread=["head.*"])
    head = {name.removeprefix("head."): weight for name, weight in weights.items() if name.startswith("head.")}
    pool = filled(vision.AttentionPool(32, 4, hidden=48, activation=activation), siglip_pool(32), head)
    expected, features = theirs(pixels), ours(patchify(pixels, 4))
    torch.testing.assert_close(features, expected.last_hidden_state, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(pool(features), expected.pooler_output, rtol=1e-5, atol=1e-5)
    mixed = {**siglip_pool(32), "out.bias": "layernorm.bias"}
    pool = filled(pool, {"out.bias": mixed.pop("out.bias"), **mixed}, head, unread=["attention.out_proj.bias"])
    assert not torch.allclose(pool(features), expected.pooler_output, atol=1e-2)


def test_clips_eye_read_at_its_last_layer_but_one(pixels):
    theirs = random(transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**THEIRS, hidden_act="quick_gelu")))
    weights = {name.removeprefix("vision_model."): weight for name, weight in theirs.state_dict().items()}
    ours = filled(vision.clip(**SIZES), CLIP, weights, unread=["encoder.layers.2.*", "post_layernorm.*"])
    states, features = theirs(pixels, output_hidden_states=True).hidden_states, ours(patchify(pixels, 4))
    torch.testing.assert_close(features, states[-2][:, 1:], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(features, states[-1][:, 1:], atol=1e-2)
