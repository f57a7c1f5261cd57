"""Pictures in squares: nets that look at each square alone, and nets that join squares again."""

from jaxtyping import Float
from torch import Tensor, nn

from tessera.codecs.convolutions import ConvBlock
from tessera.codecs.patches import patchify

STEM = 4  # pixels along the side of the squares that the last layer of a decoder paints


class Widened(nn.Module):
    """A two-layer MLP added to what comes in (pre-activation, layer norm)."""

    def __init__(self, width: int):
        super().__init__()
        self.steps = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Float[Tensor, "batch element feature"]) -> Float[Tensor, "batch element feature"]:
        """Square by square."""
        return x + self.steps(x)


def square_encoder(stride: int, features: int, *, channels: int, depth: int = 1) -> nn.Sequential:
    """Squares of `stride` pixels, each by itself, to `features` numbers, through `depth` + 1 MLPs of width 4 times `channels`."""
    hidden = 4 * channels
    look = [Widened(hidden) for _ in range(depth + 1)]
    return nn.Sequential(nn.Linear(3 * stride**2, hidden), *look, nn.LayerNorm(hidden), nn.Linear(hidden, features))


def square_decoder(stride: int, features: int, *, channels: int, depth: int = 1) -> nn.Sequential:
    """A grid of `features` to pictures whose squares of `stride` pixels they are; each cell looks around on the way.

    The grid is doubled until its cells are squares of 4 pixels, its width halved down to `channels`. Layout of VQGAN's decoder (Esser et
    al. 2021, arXiv:2012.09841) without attention. Raises ValueError unless `stride` is 4 times a power of two.
    """
    doublings = max(stride // STEM, 1).bit_length() - 1
    if stride != STEM << doublings:
        raise ValueError(f"square_decoder: stride {stride}; {STEM} times a power of two is accepted; choose another")
    widths = [channels << i for i in range(doublings + 1)]
    paint: list[nn.Module] = [nn.Conv2d(features, widths[-1], 3, padding=1)]
    for i in reversed(range(doublings)):
        paint += [*(ConvBlock(widths[i + 1]) for _ in range(depth)), nn.ConvTranspose2d(widths[i + 1], widths[i], 2, 2)]
    paint += [ConvBlock(channels) for _ in range(depth)]
    paint += [nn.GroupNorm(1, channels), nn.SiLU(), nn.Conv2d(channels, 3 * STEM**2, 1), nn.PixelShuffle(STEM)]
    return nn.Sequential(*paint)


class SquareGrid(nn.Module):
    """What `look` says of each square of `stride` pixels, as a grid."""

    def __init__(self, stride: int, look: nn.Module):
        super().__init__()
        self.stride, self.look = stride, look

    def forward(self, pixels: Float[Tensor, "batch 3 height wide"]) -> Float[Tensor, "batch feature ..."]:
        """Features first."""
        return self.look(patchify(pixels, self.stride)).mT.unflatten(2, (-1, pixels.shape[3] // self.stride))
