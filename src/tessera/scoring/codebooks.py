"""How much of a codebook is used."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class CodebookUse:
    """Of one codebook, over `tokens` codes. What can be used is bounded by `tokens`, so print it with the rest.

    `perplexity` is the number of codes that, evenly used, would have this entropy: 2 to the `entropy` in bits.
    """

    size: int
    tokens: int
    used: int
    entropy: float

    @property
    def dead(self) -> int:
        """Codes that never occur."""
        return self.size - self.used

    @property
    def share(self) -> float:
        """Of the codes, those that occur."""
        return self.used / self.size

    @property
    def perplexity(self) -> float:
        return 2.0**self.entropy


def codebook_use(codes: Int[Tensor, "element level"], size: int) -> tuple[CodebookUse, ...]:
    """The use of each level's codebook of this size. Entropy is that of the frequencies, a little low for few tokens.

    Perplexity as in the code published with van den Oord et al. 2017, arXiv 1711.00937. Raises ValueError for codes outside 0 to size - 1.
    """
    if not len(codes) or codes.min() < 0 or codes.max() >= size:
        seen = f"codes from {int(codes.min())} to {int(codes.max())}" if len(codes) else "no codes"
        raise ValueError(f"codebook_use: {seen} of a codebook of {size}; 0 to {size - 1}, at least one; check size")
    uses = []
    for column in codes.T:
        counts = torch.bincount(column.long(), minlength=size).double()
        shares = counts[counts > 0] / len(column)
        uses.append(CodebookUse(size, len(column), len(shares), float(-(shares * shares.log2()).sum().clamp(max=0))))
    return tuple(uses)
