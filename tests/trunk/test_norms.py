import torch
from torch import nn

from tessera.trunk import OffsetRMSNorm
from tessera.trunk.norms import GroupRMSNorm


def test_the_scale_counts_from_one():
    norm, plain, x = OffsetRMSNorm(6), nn.RMSNorm(6, 1e-6), torch.randn(4, 6)
    torch.testing.assert_close(norm(x), plain(x))
    norm.scale.data, plain.weight.data = torch.linspace(-0.5, 0.5, 6), torch.linspace(0.5, 1.5, 6)
    torch.testing.assert_close(norm(x), plain(x))
    assert norm(x.bfloat16()).dtype == torch.bfloat16


def test_groups_are_normed_by_themselves():
    norm, x = GroupRMSNorm(6, 2), torch.randn(3, 6)
    norm.weight.data = torch.randn(6)
    parts = [part / (part.square().mean(-1, keepdim=True) + 1e-5).sqrt() for part in x.chunk(2, -1)]
    torch.testing.assert_close(norm(x), torch.cat(parts, -1) * norm.weight)
    torch.testing.assert_close(GroupRMSNorm(6, 1)(x), torch.nn.RMSNorm(6, eps=1e-5)(x))
