"""Norms that know one head from another."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class HeadwiseLayerNorm(nn.Module):
    """LayerNorm of the features of each head, with a scale and a shift for each head: `SelfAttention(..., qk_norm=partial(..., heads))`.

    Chameleon's published weights have them so in the layout of `transformers`, and Orthus', which was trained on from there.
    """

    def __init__(self, heads: int, size: int, eps: float = 1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(heads, 1, size)), nn.Parameter(torch.zeros(heads, 1, size)), eps

    def forward(self, x: Float[Tensor, "row head place size"]) -> Float[Tensor, "row head place size"]:
        """Features of mean 0 and variance 1, scaled and shifted."""
        return F.layer_norm(x, x.shape[-1:], eps=self.eps) * self.weight + self.bias
