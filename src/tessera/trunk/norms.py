"""Norms that torch does not have."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class OffsetRMSNorm(nn.Module):
    """RMSNorm whose weight is 1 + scale, the scale from 0 on: weight decay then pulls towards the plain norm. Gemma's.

    Source: Gemma Team 2024, arXiv:2403.08295, in its published code.
    """

    def __init__(self, width: int, eps: float = 1e-6):
        super().__init__()
        self.scale, self.eps = nn.Parameter(torch.zeros(width)), eps

    def forward(self, x: Float[Tensor, "*answers width"]) -> Float[Tensor, "*answers width"]:
        """Features of root mean square 1, scaled."""
        return F.rms_norm(x, self.scale.shape, 1 + self.scale.to(x.dtype), self.eps)


class GroupRMSNorm(nn.Module):
    """RMSNorm over each of `groups` equal parts of the features by itself, with one weight a feature (as in Mamba-2's code)."""

    def __init__(self, width: int, groups: int, eps: float = 1e-5):
        super().__init__()
        self.weight, self.groups, self.eps = nn.Parameter(torch.ones(width)), groups, eps

    def forward(self, x: Float[Tensor, "*answers width"]) -> Float[Tensor, "*answers width"]:
        """The same shape."""
        parts = x.unflatten(-1, (self.groups, -1))
        return F.rms_norm(parts, parts.shape[-1:], eps=self.eps).flatten(-2) * self.weight
