"""The causal former: a row whose elements see those before them; it collapses where it may choose what is predicted of it."""

import torch
from torch import nn

from tessera.codecs import CausalFormer


def former(**how) -> CausalFormer:
    return CausalFormer(**{"seen": 12, "squares": 7, "elements": 5, "features": 8, "width": 16, "depth": 2, "heads": 2, **how})


def test_elements_see_what_was_seen_and_those_before_them():
    made, seen = former(), torch.randn(1, 7, 12)
    for i in range(5):
        queries = made.queries.weight.detach().clone().requires_grad_()
        row = torch.func.functional_call(made, {"queries.weight": queries}, (seen,))
        (gradient,) = torch.autograd.grad(row[0, i].square()[:3].sum(), queries)
        moved = gradient.abs().sum(-1) > 0
        assert moved.tolist() == [j <= i for j in range(5)]
    seen.requires_grad_()
    (gradient,) = torch.autograd.grad(made(seen)[0, 0, 0], seen)
    assert (gradient[0].abs().sum(-1) > 0).all(), "the first element has seen all of the picture"


def test_every_element_has_mean_0_and_mean_square_1():
    row = former()(torch.randn(3, 7, 12))
    assert row.shape == (3, 5, 8)
    torch.testing.assert_close(row.mean(-1), torch.zeros(3, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(row.square().mean(-1), torch.ones(3, 5), atol=1e-2, rtol=0)


def spread(made: CausalFormer, seen: torch.Tensor) -> float:
    """How much the rows of several pictures differ: the variance between them, of 1."""
    with torch.no_grad():
        return float(made(seen).var(0).mean())


def predicted(made: CausalFormer, *, moves: bool, steps: int = 200) -> tuple[float, float]:
    """Error of a model that regresses each element from the one before it, at first and at last, the former beside it."""
    model = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
    optimizer = torch.optim.Adam([*model.parameters(), *(made.parameters() if moves else ())], lr=3e-3)
    errors = []
    for step in range(steps):
        row = made(torch.randn(32, 7, 12, generator=torch.Generator().manual_seed(step)))
        row = row if moves else row.detach()
        error = (model(row[:, :-1]) - row[:, 1:]).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    return errors[0], sum(errors[-10:]) / 10


def test_beside_its_own_target_it_collapses_and_apart_it_does_not():
    """Its error vanishes because its rows become alike: what is left of their variance is a hundredth."""
    seen = torch.randn(64, 7, 12)
    made = former()
    before = spread(made, seen)
    _, apart = predicted(made, moves=False)
    assert spread(made, seen) == before and apart > before / 4
    _, beside = predicted(made, moves=True)
    assert beside < apart / 20 and spread(made, seen) < before / 50
