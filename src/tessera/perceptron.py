"""Perceptrons: linear layers with GELU between, as adaptors and heads are made of."""

from itertools import pairwise

from torch import nn


def perceptron(*widths: int, bias: bool = True, approximate: str = "none") -> nn.Sequential:
    """Linear layers from each width to the next, GELU between (exact, or `approximate` "tanh"); weights start with variance 1 / inputs.

    `perceptron(128, 192, 192)` is the two-layer projector of LLaVA-1.5 (Liu et al. 2023, arXiv:2310.03744, section 3.2).
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        linear = nn.Linear(inputs, outputs, bias=bias)
        nn.init.normal_(linear.weight, std=inputs**-0.5)
        layers += [linear, nn.GELU(approximate)]
    return nn.Sequential(*layers[:-1])
