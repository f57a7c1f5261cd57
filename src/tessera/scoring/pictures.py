"""How close two pictures are: by pixel, by local structure, by features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03


def psnr(
    first: Float[Tensor, "batch channel height wide"], second: Float[Tensor, "batch channel height wide"], *, data_range: float
) -> Float[Tensor, "batch"]:
    """Peak signal-to-noise ratio in decibel of each pair; infinite where they are equal. `data_range` is 1 for [0, 1], 2 for [-1, 1].

    The mean over pictures is not the ratio of the pooled error: say which is reported. Source: as in Wang and Bovik 2009, IEEE Signal
    Processing Magazine 26(1).
    """
    error = (first.double() - second.double()).square().flatten(1).mean(1)
    return 10 * torch.log10(data_range**2 / error)


def ssim(
    first: Float[Tensor, "batch channel height wide"], second: Float[Tensor, "batch channel height wide"], *, data_range: float
) -> Float[Tensor, "batch"]:
    """Structural similarity of each pair, at most 1: the mean over channels and over windows that lie wholly inside.

    Raises ValueError for pictures smaller than the window of 11 x 11 pixels. Source: Wang et al. 2004, IEEE TIP 13(4), with its
    Gaussian window of standard deviation 1.5 and constants 0.01 and 0.03. Differs: each channel by itself, not luminance.
    torchmetrics also counts windows that reach over the edge, into the mirrored picture.
    """
    channels, height, wide = first.shape[1:]
    if min(height, wide) < WINDOW:
        raise ValueError(f"ssim: pictures of {height} x {wide} pixels; at least {WINDOW} x {WINDOW}; compare larger pictures")
    a, b = first.double(), second.double()
    line = torch.exp(-((torch.arange(WINDOW, dtype=torch.float64, device=a.device) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    line = line / line.sum()
    window = torch.outer(line, line).expand(channels, 1, WINDOW, WINDOW)
    local = lambda x: F.conv2d(x, window, groups=channels)
    mean_a, mean_b = local(a), local(b)
    var_a, var_b, both = local(a * a) - mean_a**2, local(b * b) - mean_b**2, local(a * b) - mean_a * mean_b
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    likeness = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return likeness.flatten(1).mean(1)


def perceptual_distance(
    first: Sequence[Float[Tensor, "batch ..."]], second: Sequence[Float[Tensor, "batch ..."]]
) -> Float[Tensor, "batch"]:
    """The squared distance between two pictures' features, of unit length at each pixel: mean over pixels, summed over layers.

    A layer is of shape batch, channel, height, wide; each adds between 0 and 4. Source: Zhang et al. 2018, arXiv 1801.03924,
    equation 1. Differs: no learned weights of channels (all are 1, so a layer adds the mean of 2 - 2 cos), and the features are
    any network's: not comparable with LPIPS.
    """
    unit = lambda x: F.normalize(x.double(), dim=1, eps=1e-10)
    layers = [(unit(a) - unit(b)).square().sum(1).flatten(1).mean(1) for a, b in zip(first, second, strict=True)]
    return torch.stack(layers).sum(0)
