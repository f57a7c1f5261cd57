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
