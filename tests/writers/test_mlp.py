"""The MLP writer."""

import torch
import torch.nn.functional as F

from tessera.writers import MLPWriter, Writer


def test_layers_with_gelu_between():
    writer, hidden = MLPWriter(6, 8, 5, 3), torch.randn(2, 4, 6)
    first, _, second = writer.before
    inner = F.gelu(second(F.gelu(first(hidden))))
    torch.testing.assert_close(writer(hidden), inner @ writer.out.weight.T + writer.out.bias)
    assert writer(hidden).shape == (2, 4, 3) and isinstance(writer, Writer)


def test_first_predictions_are_nearly_uniform():
    writer = MLPWriter(192, 192, 1024)
    p = writer(torch.randn(64, 192)).softmax(-1)
    assert p.max() < 3 / 1024
