"""The grid writer: hidden states of whole pictures through a net of convolutions, joined by what went round the trunk."""

from jaxtyping import Float
from torch import Tensor, nn

from tessera.unets import Up


class GridWriter(nn.Module):
    """What a `GridReader` is in front of the trunk: a layer into `net` (`unets`), which is told what the reader sent aside.

    `columns` is the width, and the height, of a picture in elements. `norm` stands in front, where given. Whole pictures are asked for.
    """

    def __init__(self, width: int, net: Up, *, columns: int, norm: nn.Module | None = None):
        super().__init__()
        self.net, self.columns, self.elements = net, columns, columns**2
        self.norm, self.into = norm or nn.Identity(), nn.Linear(width, net.channels)

    def forward(self, hidden: Float[Tensor, "*answers width"], aside: Tensor | None = None) -> Float[Tensor, "*answers feature"]:
        """What is said of each element; answers are those of picture after picture."""
        assert aside is not None
        features, skips, told = (
            x.reshape(-1, self.columns, self.columns, x.shape[-1])
            for x in (self.into(self.norm(hidden)), *aside.split([self.net.skips, aside.shape[-1] - self.net.skips], -1))
        )
        return self.net(features, skips, told).reshape(*hidden.shape[:-1], -1)
