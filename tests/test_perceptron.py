"""Perceptrons."""

import torch
from torch import nn

from tessera.perceptron import perceptron


def test_linear_layers_with_exact_gelu_between():
    made = perceptron(4, 6, 3)
    assert [type(layer) for layer in made] == [nn.Linear, nn.GELU, nn.Linear] and made[1].approximate == "none"
    assert perceptron(4, 3)[0].weight.shape == (3, 4) and len(perceptron(4, 3)) == 1


def test_features_keep_their_spread():
    out = perceptron(256, 256)(torch.randn(512, 256))
    assert 0.8 < out.std() < 1.25
