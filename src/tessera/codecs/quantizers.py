"""Quantizers: continuous features rounded to finitely many codes, with gradients let through."""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.precision import unrounded

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

    def unrounded(self, x: Features) -> Features:
        """What is rounded of features: as they are, or bounded or scaled first. Codes looked up lie in the same space."""
        ...

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
        bounded = self._bounded(x)
        rounded = bounded.round()
        digits = rounded.long() + self.levels // 2
        codes = (digits * self.basis).sum(-1)
        scale = self.levels // 2
        return Quantized(straight_through(bounded, rounded) / scale, codes, x.new_zeros(x.shape[:-1]))

    def unrounded(self, x: Features) -> Features:
        """Bounded, from about -1 to 1."""
        return self._bounded(x) / (self.levels // 2)

    def _bounded(self, x: Features) -> Features:
        half = (self.levels - 1) * (1 - 1e-3) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        return (x + (offset / half).tan()).tanh() * half - offset

    def lookup(self, codes: Int[Tensor, "batch element"]) -> Features:
        """The features of codes."""
        return (self.digits(codes) - self.levels // 2) / (self.levels // 2)

    def digits(self, codes: Int[Tensor, "*answers"]) -> Int[Tensor, "*answers feature"]:
        """Which level each feature of a code has, counted from 0."""
        return codes[..., None] // self.basis % self.levels


class LFQ(nn.Module):
    """Lookup-free quantization: each feature is rounded to -1 or 1, and the code is read off the signs; no codebook to learn.

    The first feature is the highest binary digit of the code, and 0 rounds to -1. `commitment` weighs how hard features are
    pulled to their signs, `entropy` how much sure roundings and evenly used signs are worth: the entropy of a feature's sign,
    under a softmax of minus the squared distances to -1 and 1, less that of the batch's average. It is spread over the
    elements, so it depends on the batch.
    Source: Yu et al. 2023, arXiv:2310.05737 (MAGVIT-v2), section 3.1, in the form in which Show-o's code has it. Differs from
    the paper: entropies are taken feature by feature and averaged, not over whole codes.
    """

    levels: Tensor
    basis: Tensor

    def __init__(self, features: int, *, commitment: float = 0.1, entropy: float = 0.1):
        super().__init__()
        self.features, self.size, self.digit_values = features, 2**features, 2 * features
        self.commitment, self.entropy = commitment, entropy
        self.register_buffer("levels", torch.full((features,), 2), persistent=False)
        self.register_buffer("basis", 2 ** torch.arange(features - 1, -1, -1), persistent=False)

    def forward(self, x: Features) -> Quantized:
        """Each feature becomes its sign."""
        signs = x > 0
        rounded = torch.where(signs, 1.0, -1.0).to(x.dtype)
        loss = self.commitment * (x - rounded).square().mean(-1) + self.entropy * self._unsure(x)
        return Quantized(straight_through(x, rounded), (signs * self.basis).sum(-1), loss)

    def unrounded(self, x: Features) -> Features:
        """As they are."""
        return x

    def lookup(self, codes: Int[Tensor, "batch element"]) -> Features:
        """The signs that a code stands for."""
        return self.digits(codes) * 2.0 - 1

    def digits(self, codes: Int[Tensor, "*answers"]) -> Int[Tensor, "*answers feature"]:
        """0 or 1 for each feature."""
        return codes[..., None] // self.basis % 2

    @staticmethod
    def _unsure(x: Features) -> Float[Tensor, "batch element"]:
        logit = 4 * x.to(torch.promote_types(x.dtype, torch.float32))  # the squared distance of -1 less that of 1
        chance = logit.sigmoid()
        own = F.softplus(logit) - logit * chance
        average = chance.mean((0, 1)).clamp(1e-6, 1 - 1e-6)  # all sure of one sign: no evenness, and no gradient
        shared = -(average * average.log() + (1 - average) * (1 - average).log())
        return (own - shared).mean(-1)


class VQ(nn.Module):
    """Vector quantization against a codebook that follows its members by moving averages.

    Codes that no feature has chosen for more than `patience` batches are revived at features of the batch. `commitment`
    weighs how hard features are pulled to their code. With `normalized`, features and codes are brought to length 1 before they
    are compared, and a code stands for its direction alone (Yu et al. 2021, arXiv:2110.04627, section 3.2).
    Source: van den Oord et al. 2017, arXiv:1711.00937, appendix A.1; revival as in Dhariwal et al. 2020, arXiv:2005.00341.
    Published picture tokenizers train their codebooks by gradient instead; rounding is the same.
    """

    book: Tensor
    members: Tensor
    sums: Tensor
    idle: Tensor

    def __init__(
        self,
        *,
        size: int,
        features: int,
        decay: float = 0.99,
        commitment: float = 0.25,
        patience: int = 50,
        normalized: bool = False,
    ):
        super().__init__()
        self.size, self.features, self.decay, self.commitment = size, features, decay, commitment
        self.patience, self.normalized = patience, normalized
        book = torch.randn(size, features) / features**0.5
        self.register_buffer("book", book)
        self.register_buffer("members", torch.ones(size))
        self.register_buffer("sums", book.clone())
        self.register_buffer("idle", torch.zeros(size, dtype=torch.long))  # batches since anybody chose it

    def forward(self, x: Features) -> Quantized:
        """Each feature vector becomes its nearest code. In training, where gradients are taken, the codebook moves."""
        x = self._scaled(x)
        flat = x.reshape(-1, self.features)
        codes = self._distances(flat.detach()).argmin(-1)
        if self.training and torch.is_grad_enabled() and len(flat):  # encoding ahead of time, beside the step, must move nothing
            self._follow(flat.detach(), codes)
        rounded = self._scaled(self.book[codes]).view_as(x).to(x.dtype)
        commitment = self.commitment * (x - rounded.detach()).square().mean(-1)
        return Quantized(straight_through(x, rounded), codes.view(x.shape[:-1]), commitment)

    @torch.no_grad()
    def settle(self) -> None:
        """The codebook as it stands is what moving averages go on from: for one that was put here by somebody else."""
        self.members.fill_(1)
        self.sums.copy_(self.book)
        self.idle.zero_()

    def unrounded(self, x: Features) -> Features:
        """As they are, or of length 1."""
        return self._scaled(x)

    def lookup(self, codes: Int[Tensor, "batch element"]) -> Features:
        """The features of codes."""
        return self._scaled(self.book[codes])

    def soft(self, x: Features) -> Float[Tensor, "batch element value"]:
        """How much each code has of each feature vector: a softmax of minus the squared distances. Rounding takes the largest.

        Where codes are read through an embedding table, its rows averaged so stand in place of one of them.
        Source: Orthus (Kou et al. 2024, arXiv:2412.00127).
        """
        x = self._scaled(x)
        return (-self._distances(x)).softmax(-1).to(x.dtype)

    def _scaled(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1) if self.normalized else x

    def _distances(self, x: Tensor) -> Tensor:
        """Squared, less the part that is the same for all codes."""
        x, book = x.to(self.book.dtype), self._scaled(self.book)
        with unrounded(x):
            return book.square().sum(-1) - 2 * x @ book.T

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

    def unrounded(self, x: Features) -> Features:
        """As they are."""
        return x

    def lookup(self, codes: Int[Tensor, "batch element level"]) -> Features:
        """The features of codes, summed over the stages."""
        first, *finer = (quantizer.lookup(codes[..., i]) * self.scale**i for i, quantizer in enumerate(self.quantizers))
        return sum(finer, first)
