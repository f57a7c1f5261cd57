import torch
from torch import nn

from tessera.writers import LinearWriter


def test_a_linear_writer_multiplies():
    writer = LinearWriter(4, 3, bias=True)
    hidden = torch.randn(2, 5, 4)
    assert torch.allclose(writer(hidden), hidden @ writer.out.weight.T + writer.out.bias)


def test_first_predictions_are_nearly_uniform():
    writer = LinearWriter(256, 1000)
    logits = writer(torch.randn(50, 256)).detach()  # unit hidden states give logits of variance 1 / width
    assert abs(float(logits.std()) * 256**0.5 - 1) < 0.05


def test_a_tied_writer_is_the_table_itself():
    table = nn.Embedding(10, 4)
    writer = LinearWriter(4, 10, tied=table)
    assert writer.out.weight is table.weight
    assert len({*writer.parameters(), *table.parameters()}) == 1
