"""Norms that know one head from another."""

import math

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


class CosineNorm(nn.Module):
    """Vectors of one length for each head: as norm of queries and of keys it makes scaled cosine attention, at most `most` times a cosine.

    `SelfAttention(..., qk_norm=partial(CosineNorm, heads))`: queries and keys share in the learned scale, which starts at 10. Heads of
    keys must be as many.
    Source: Swin v2 (Liu et al. 2021, arXiv:2111.09883, section 3.2); Unified-IO 2 has it in the perceiver that condenses past pictures.
    """

    def __init__(self, heads: int, size: int, *, most: float = 100.0):
        super().__init__()
        self.log_scale, self.most, self.root = nn.Parameter(torch.full((heads, 1, 1), math.log(10.0))), math.log(most), size**0.25

    def forward(self, x: Float[Tensor, "row head place size"]) -> Float[Tensor, "row head place size"]:
        """What attention divides by the root of the size again."""
        return F.normalize(x, dim=-1) * (self.root * (self.log_scale.clamp(max=self.most) / 2).exp())
