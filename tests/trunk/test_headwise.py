from functools import partial

import pytest
import torch
from torch import nn

from tessera.trunk import CosineNorm, SelfAttention
from tessera.trunk.layers import Sight

F64 = torch.float64


@pytest.mark.parametrize(("scales", "limit"), [((0.5, 1.0, 3.0), False), ((1.0, 9.0, 4.0), True)])
def test_cosine_norms_make_scaled_cosine_attention(scales, limit):
    attention, x = SelfAttention(12, 3, qk_norm=partial(CosineNorm, 3)).to(F64), torch.randn(2, 5, 12, dtype=F64)
    for norm in (attention.q_norm, attention.k_norm):
        norm.log_scale.data = torch.tensor(scales, dtype=F64)[:, None, None]
    q, k, v = (part.view(2, 5, 3, 4).transpose(1, 2) for part in attention.qkv(x).chunk(3, -1))
    cosine = nn.functional.cosine_similarity(q[..., :, None, :], k[..., None, :, :], dim=-1)
    scale = torch.tensor(scales, dtype=F64).exp()
    assert limit == bool((scale > 100).any())
    expected = (cosine * scale.clamp(max=100)[:, None, None]).softmax(-1) @ v
    torch.testing.assert_close(attention(x, Sight()), attention.out(expected.transpose(1, 2).flatten(-2)))


def test_it_is_swin_v2():
    """One window."""
    modeling = pytest.importorskip("transformers.models.swinv2.modeling_swinv2")
    config = modeling.Swinv2Config(qkv_bias=False, attention_probs_dropout_prob=0.0)
    theirs = modeling.Swinv2SelfAttention(config, dim=16, num_heads=2, window_size=(3, 3)).to(F64).eval()
    ours = SelfAttention(16, 2, qk_norm=partial(CosineNorm, 2)).to(F64)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.2)
        theirs.logit_scale.copy_(torch.tensor([1.0, 2.5])[:, None, None])
        theirs.continuous_position_bias_mlp[-1].weight.zero_()  # one bias for all distances
        q, k, v = (getattr(theirs, name) for name in ("query", "key", "value"))
        for part in (part for part in (q, k, v) if part.bias is not None):
            part.bias.zero_()
        ours.qkv.weight.copy_(torch.cat([part.weight for part in (q, k, v)]))
        ours.out.weight.copy_(torch.eye(16))
        for norm in (ours.q_norm, ours.k_norm):
            norm.log_scale.copy_(theirs.logit_scale)
        x = torch.randn(2, 9, 16, dtype=F64)
        torch.testing.assert_close(ours(x, Sight()), theirs(x)[0])


def test_it_starts_at_ten_times_the_cosine():
    norm, q, k = CosineNorm(2, 8), *torch.randn(2, 1, 2, 3, 8)
    cosine = nn.functional.cosine_similarity(q, k, dim=-1)
    torch.testing.assert_close((norm(q) * norm(k)).sum(-1) / 8**0.5, 10 * cosine)
