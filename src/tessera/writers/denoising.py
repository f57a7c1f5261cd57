"""The head of a Denoiser: a small residual MLP that is told the time and what the trunk says."""

from jaxtyping import Float
from torch import Tensor, nn

from tessera.clocks import Clock
from tessera.writers.adapted import AdaptedWriter


class DenoisingWriter(nn.Module):
    """An MLP of `depth` residual blocks `hidden` wide, scaled, shifted and gated by the time and the trunk's state (adaptive norms).

    `outputs` is how many numbers it says per element; by default as many as the element has `features`. Blocks start as the
    identity, and the last layer at zero. Source: Li et al. 2024, arXiv:2406.11838 (MAR), section 3.2 and its code.
    """

    def __init__(self, width: int, features: int, *, hidden: int | None = None, depth: int = 3, outputs: int | None = None):
        super().__init__()
        hidden = hidden or width
        self.features = features
        self.clock, self.told, self.into = Clock(hidden), nn.Linear(width, hidden), nn.Linear(features, hidden)
        blocks = [_Adapted(hidden) for _ in range(depth)]
        self.blocks = nn.ModuleList(blocks)
        self.last = AdaptedWriter(hidden, outputs or features, told=hidden)
        for block in blocks:
            nn.init.zeros_(block.adapt.weight)
            nn.init.zeros_(block.adapt.bias)

    def forward(
        self,
        hidden: Float[Tensor, "*answers width"],
        aside: Tensor | None,
        value: Float[Tensor, "*answers feature"],
        time: Float[Tensor, "*answers"],
    ) -> Float[Tensor, "*answers value"]:
        """What is predicted of each noisy value."""
        told, x = self.clock(time) + self.told(hidden), self.into(value)
        condition = nn.functional.silu(told)
        for block in self.blocks:
            x = block(x, condition)
        return self.last(x, told)


class _Adapted(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, width), nn.Linear(width, width)
        self.adapt = nn.Linear(width, 3 * width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale, gate = self.adapt(condition).chunk(3, -1)
        return x + gate * self.down(nn.functional.silu(self.up(self.norm(x) * (1 + scale) + shift)))
