import torch
from torch import nn

from tessera.trunk import OffsetRMSNorm


def test_the_scale_counts_from_one():
    norm, plain, x = OffsetRMSNorm(6), nn.RMSNorm(6, 1e-6), torch.randn(4, 6)
    torch.testing.assert_close(norm(x), plain(x))
    norm.scale.data, plain.weight.data = torch.linspace(-0.5, 0.5, 6), torch.linspace(0.5, 1.5, 6)
    torch.testing.assert_close(norm(x), plain(x))
    assert norm(x.bfloat16()).dtype == torch.bfloat16
