"""The linear writer: logits, a velocity, a feature."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class LinearWriter(nn.Module):
    """One linear layer: logits, a velocity, a feature. Pass `tied`, an embedding table, to share its weight.

    A head of its own starts normal with variance 1 / width squared: the first predictions are nearly uniform. A tied one
    starts the table at variance 1 / width; a reader of it wants `scale` width ** 0.5.
    """

    def __init__(self, width: int, features: int, *, bias: bool = False, tied: nn.Embedding | None = None):
        super().__init__()
        self.out = nn.Linear(width, features, bias=bias)
        if tied is not None:
            self.out.weight = tied.weight
        nn.init.normal_(self.out.weight, std=1 / width if tied is None else width**-0.5)

    def forward(self, hidden: Float[Tensor, "*answers width"], aside: Tensor | None = None) -> Float[Tensor, "*answers feature"]:
        """The features of each answer."""
        return self.out(hidden)

    def some(self, hidden: Float[Tensor, "*answers width"], features: slice) -> Float[Tensor, "*answers feature"]:
        """Some of the features of each answer; the others are not computed."""
        bias = self.out.bias
        return F.linear(hidden, self.out.weight[features], None if bias is None else bias[features])
