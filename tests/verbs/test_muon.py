import pytest
import torch
from torch import nn

from tessera.verbs.muon import QUINTIC, ROUNDS, Muon, orthogonal

SHAPES = [(1, 1), (1, 7), (6, 6), (6, 4), (5, 11), (24, 5), (192, 1024)]


def by_svd(matrix):
    """Five rounds of the quintic, on singular values."""
    u, sizes, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    sizes = sizes / sizes.norm()
    for _ in range(ROUNDS):
        sizes = sum(factor * sizes ** (2 * i + 1) for i, factor in enumerate(QUINTIC))
    return (u * sizes) @ v


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_pass_through_the_quintic_and_nothing_else_changes(shape):
    matrix = torch.randn(shape)
    expected = by_svd(matrix)
    torch.testing.assert_close(orthogonal(matrix.double()), expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(orthogonal(matrix), expected.float(), rtol=0, atol=1e-4)
    torch.testing.assert_close(orthogonal(matrix.mT).mT, orthogonal(matrix), rtol=0, atol=1e-5)


def test_a_matrix_comes_out_nearly_orthogonal():
    matrix = torch.randn(40, 90)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    turned = orthogonal(matrix)
    sizes = torch.linalg.svdvals(turned)
    assert 0.6 < sizes.min() and sizes.max() < 1.25  # five rounds come no nearer
    assert torch.cosine_similarity(turned.flatten(), (u @ v).flatten(), 0) > 0.97


@pytest.mark.parametrize("shape", [(6, 9), (9, 20), (30, 8)])
def test_values_that_span_decades_are_told_apart_in_single_precision(shape):
    matrix = torch.randn(shape) @ torch.diag(torch.logspace(0, -4, shape[1]))
    torch.testing.assert_close(orthogonal(matrix), by_svd(matrix).float(), rtol=0, atol=2e-3)


def test_nothing_is_turned_to_nothing():
    assert not orthogonal(torch.zeros(3, 8)).any()


@pytest.mark.parametrize("shape", [(6, 9), (9, 20), (30, 8)])
def test_steps_are_those_of_torch_where_matrices_are_rounded(shape):
    ours, theirs = (nn.Parameter(torch.ones(shape)) for _ in range(2))
    settings = {"weight_decay": 0.2, "lr": 0.1}
    own = Muon([{"params": [ours], **settings}], lr=0.1, rounded=True)
    other = torch.optim.Muon([{"params": [theirs], **settings}], lr=0.1, adjust_lr_fn="match_rms_adamw")
    for seed in range(4):
        ours.grad = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        theirs.grad = ours.grad.clone()
        own.step()
        other.step()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert set(own.state[ours]) == set(other.state[theirs]) == {"momentum_buffer"}


def test_unrounded_steps_go_the_same_way_as_those_of_torch():
    ours, theirs = (nn.Parameter(torch.zeros(20, 50)) for _ in range(2))
    own, other = Muon([{"params": [ours]}], lr=0.1), torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    ours.grad = theirs.grad = torch.randn(20, 50)
    own.step()
    other.step()
    assert torch.cosine_similarity(ours.flatten(), theirs.flatten(), 0) > 0.999
    assert 0 < (ours - theirs).abs().max() < 0.05 * theirs.abs().max()


def test_what_has_no_gradient_stays():
    still = nn.Parameter(torch.ones(2, 3))
    optimizer = Muon([{"params": [still], "weight_decay": 0.5}], lr=0.1)
    optimizer.step()
    assert (still == 1).all() and not optimizer.state
