import torch
from torch import nn

from tessera.writers import AdaptedWriter


def test_the_time_scales_and_shifts_what_is_normed():
    writer = AdaptedWriter(4, 3, told=2)
    hidden, aside = torch.randn(5, 4), torch.randn(5, 2)
    assert not writer(hidden, aside).any(), "it starts at zero"
    for parameter in writer.parameters():
        nn.init.normal_(parameter)
    shift, scale = writer.adapt(nn.functional.silu(aside)).chunk(2, -1)
    normed = (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(writer(hidden, aside), (normed * (1 + scale) + shift) @ writer.out.weight.T + writer.out.bias)
