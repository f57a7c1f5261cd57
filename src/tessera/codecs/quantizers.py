"""Quantizers: continuous features rounded to finitely many codes, with gradients let through."""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Features = Float[Tensor, "batch element feature"]


class Quantized(NamedTuple):
    """Rounded features (gradients pass straight through), their codes, and the commitment loss of each element."""

    features: Features
    codes: Int[Tensor, "batch element ..."]
    commitment: Float[Tensor, "batch element"]


@runtime_checkable
class Quantizer(Protocol):
    """Rounds vectors of so many `features` to one of `size` codes, and looks codes up again."""

    features: int
    size: int

    def __call__(self, x: Features) -> Quantized: ...

    def lookup(self, codes: Int[Tensor, "batch element ..."]) -> Features: ...


def straight_through(x: Features, rounded: Features) -> Features:
    """The rounded value, with the gradient of the one before rounding (Bengio et al. 2013, arXiv:1308.3432)."""
    return x + (rounded - x).detach()


class FSQ(nn.Module):
    """Finite scalar quantization: each feature is bounded and rounded to one of a few levels; no codebook to learn.

    Source: Mentzer et al. 2023, arXiv:2309.15505, listing 1. Differs: none; even numbers of levels are offset by half.
    """

    levels: Tensor
    basis: Tensor

    def __init__(self, levels: Sequence[int]):
        super().__init__()
        self.features, self.size, self.digit_values = len(levels), prod(levels), sum(levels)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        basis = torch.tensor([1, *levels[:-1]]).cumprod(0)
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, x: Features) -> Quantized:
        """Each feature becomes one of its levels, spread evenly from -1 to 1."""
        half = (self.levels - 1) * (1 - 1e-3) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        bounded = (x + (offset / half).tan()).tanh() * half - offset
        rounded = bounded.round()
        digits = rounded.long() + self.levels // 2
        codes = (digits * self.basis).sum(-1)
        scale = self.levels // 2
        return Quantized(straight_through(bounded, rounded) / scale, codes, x.new_zeros(x.shape[:-1]))

    def lookup(self, codes: Int[Tensor, "batch element"]) -> Features:
        """The features of codes."""
        return (self.digits(codes) - self.levels // 2) / (self.levels // 2)

    def digits(self, codes: Int[Tensor, "batch element"]) -> Int[Tensor, "batch element feature"]:
        """Which level each feature of a code has, counted from 0."""
        return codes[..., None] // self.basis % self.levels


class VQ(nn.Module):
    """Vector quantization against a codebook that follows its members by moving averages.

    Codes that no feature has chosen for more than `patience` batches are revived at features of the batch. `commitment`
    weighs how hard features are pulled to their code.
    Source: van den Oord et al. 2017, arXiv:1711.00937, appendix A.1; revival as in Dhariwal et al. 2020, arXiv:2005.00341.
    """

    book: Tensor
    members: Tensor
    sums: Tensor
    idle: Tensor

    def __init__(self, *, size: int, features: int, decay: float = 0.99, commitment: float = 0.25, patience: int = 50):
        super().__init__()
        self.size, self.features, self.decay, self.commitment = size, features, decay, commitment
        self.patience = patience
        book = torch.randn(size, features) / features**0.5
        self.register_buffer("book", book)
        self.register_buffer("members", torch.ones(size))
        self.register_buffer("sums", book.clone())
        self.register_buffer("idle", torch.zeros(size, dtype=torch.long))  # batches since anybody chose it

    def forward(self, x: Features) -> Quantized:
        """Each feature vector becomes its nearest code. In training, where gradients are taken, the codebook moves."""
        flat = x.reshape(-1, self.features)
        codes = self._nearest(flat.detach())
        if self.training and torch.is_grad_enabled() and len(flat):  # encoding ahead of time, beside the step, must move nothing
            self._follow(flat.detach(), codes)
        rounded = self.book[codes].view_as(x).to(x.dtype)
        commitment = self.commitment * (x - rounded.detach()).square().mean(-1)
        return Quantized(straight_through(x, rounded), codes.view(x.shape[:-1]), commitment)

    def lookup(self, codes: Int[Tensor, "batch element"]) -> Features:
        """The features of codes."""
        return self.book[codes]

    def _nearest(self, flat: Tensor) -> Tensor:
        flat = flat.to(self.book.dtype)
        with torch.autocast(flat.device.type, enabled=False):
            return (self.book.square().sum(-1) - 2 * flat @ self.book.T).argmin(-1)

    @torch.no_grad()
    def _follow(self, flat: Tensor, codes: Tensor) -> None:
        flat = flat.to(self.book.dtype)
        counts = torch.zeros_like(self.members).index_add_(0, codes, torch.ones_like(codes, dtype=self.members.dtype))
        self.members.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, codes, flat), 1 - self.decay)
        self.idle.add_(1)[counts > 0] = 0
        dead = self.idle > self.patience
        revived = flat[torch.arange(self.size, device=flat.device) * 9973 % len(flat)]  # spread over the batch, no dice needed
        self.idle[dead] = 0
        self.members[dead] = 1.0
        self.sums[dead] = revived[dead]
        self.book.copy_(self.sums / self.members[:, None])


class Residual(nn.Module):
    """Several quantizers in turn, each rounding what the ones before left over. Codes gain a last axis.

    Source: Lee et al. 2022, arXiv:2203.01941 (RQ-VAE). With FSQ inside, each next stage works on a finer scale.
    """

    quantizers: Sequence[Quantizer]

    def __init__(self, quantizers: Sequence[Quantizer], *, scale: float = 1.0):
        super().__init__()
        self.quantizers = nn.ModuleList(quantizers)  # type: ignore[assignment, arg-type]  # torch's lists do not know what they hold
        self.scale = scale
        self.size, self.features = quantizers[0].size, quantizers[0].features

    def forward(self, x: Features) -> Quantized:
        """Features as the sum of the stages' roundings."""
        total, codes, commitment = torch.zeros_like(x), [], x.new_zeros(x.shape[:-1])
        for level, quantizer in enumerate(self.quantizers):
            finer = self.scale**level
            one = quantizer((x - total.detach()) / finer)
            total = total + one.features * finer
            codes.append(one.codes)
            commitment = commitment + one.commitment
        return Quantized(straight_through(x, total), torch.stack(codes, -1), commitment)

    def lookup(self, codes: Int[Tensor, "batch element level"]) -> Features:
        """The features of codes, summed over the stages."""
        first, *finer = (quantizer.lookup(codes[..., i]) * self.scale**i for i, quantizer in enumerate(self.quantizers))
        return sum(finer, first)
