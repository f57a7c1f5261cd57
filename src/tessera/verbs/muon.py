"""Muon: momentum, turned into the nearest orthogonal matrix, as a step for matrices."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Matrix = Float[Tensor, "row feature"]
QUINTIC = (3.4445, -4.7750, 2.0315)  # of x, x cubed and x to the fifth: steepest at 0, and then near 1
ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """What `torch.optim.Muon` does, with steps as long as AdamW's, where bfloat16 is slow.

    torch turns in bfloat16 whatever is asked: without instructions for it that takes ten times as long as the pass forward and back.
    Here matrices are turned in the precision they have, unless they are to be `rounded` to bfloat16 first. Source: Jordan et al. 2024,
    "Muon"; length of steps: Liu et al. 2025, arXiv:2502.16982, section 2.2.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float = 0.95, rounded: bool = False):
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})
        self.rounded = rounded

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient, with Nesterov's momentum."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix)
                kept = state["momentum_buffer"].lerp_(matrix.grad, 1 - group["momentum"])
                towards = matrix.grad.lerp(kept, group["momentum"])
                turned = orthogonal(towards.bfloat16() if self.rounded else towards)
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(turned, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)


def orthogonal(matrix: Matrix) -> Matrix:
    """The matrix with all its singular values brought near 1 (0.7 to 1.2), those that are nearly 0 excepted.

    Long matrices are turned by their Gram matrix, which takes half the time and needs more than half precision: its values are squares.
    """
    short, long = sorted(matrix.shape)
    lying = matrix if matrix.shape[0] == short else matrix.mT
    lying = lying / lying.norm().clamp(min=1e-7)
    turned = _by_gram(lying) if long > 2 * short and matrix.itemsize > 2 else _by_products(lying)
    return turned if matrix.shape[0] == short else turned.mT


def _by_products(x: Matrix) -> Matrix:
    """Five rounds of the quintic, as published."""
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _by_gram(x: Matrix) -> Matrix:
    """The same, where every round multiplies squares as small as the matrix is short; the matrix itself is multiplied twice in all."""
    a, b, c = QUINTIC
    gram, product = x @ x.mT, None
    for i in range(ROUNDS):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else product @ factor
        if i < ROUNDS - 1:
            gram = factor @ gram @ factor
    assert product is not None
    return product @ x
