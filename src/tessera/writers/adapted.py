"""The adapted writer: a linear layer behind a norm that the time scales and shifts."""

from jaxtyping import Float
from torch import Tensor, nn


class AdaptedWriter(nn.Module):
    """What is said of a noisy element, given the trunk's state and, aside, `told` numbers that tell its time. It starts at zero.

    Source: DiT's last layer (Peebles and Xie 2022, arXiv:2212.09748, section 3.2).
    """

    def __init__(self, width: int, features: int, *, told: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.adapt, self.out = nn.Linear(told, 2 * width), nn.Linear(width, features)
        for linear in (self.adapt, self.out):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, hidden: Float[Tensor, "*answers width"], aside: Tensor | None = None) -> Float[Tensor, "*answers feature"]:
        """The features of each answer."""
        assert aside is not None
        shift, scale = self.adapt(nn.functional.silu(aside)).chunk(2, -1)
        return self.out(self.norm(hidden) * (1 + scale) + shift)
