"""The MLP writer: a head with layers of its own."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tessera.perceptron import perceptron


class MLPWriter(nn.Module):
    """Linear layers with GELU between: `MLPWriter(width, hidden, features)`, or more of them.

    The last one starts so small that the first predictions are nearly uniform.
    """

    def __init__(self, *widths: int):
        super().__init__()
        *first, inner, features = widths
        self.before = perceptron(*first, inner)
        self.out = nn.Linear(inner, features)
        nn.init.normal_(self.out.weight, std=1 / inner)

    def forward(self, hidden: Float[Tensor, "*answers width"], aside: Tensor | None = None) -> Float[Tensor, "*answers feature"]:
        """The features of each answer."""
        return self.out(F.gelu(self.before(hidden)))
