from itertools import pairwise
from math import prod

import numpy as np
import pytest
import torch

from tessera.codecs import FSQ, LFQ, VQ, Residual

LEVELS = [(2,), (3,), (4,), (5,), (8,), (2, 3), (8, 8, 8, 5), (5, 4, 2)]


def listing(z: np.ndarray, levels: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mentzer et al., appendix A: bound, round, renormalize; and the index of a code."""
    levels = np.array(levels)
    half = (levels - 1) * (1 - 1e-3) / 2
    offset = np.where(levels % 2 == 1, 0.0, 0.5)
    rounded = np.round(np.tanh(z + np.tan(offset / half)) * half - offset)
    normalized = rounded / (levels // 2)
    digits = normalized * (levels // 2) + levels // 2
    basis = np.concatenate([[1], np.cumprod(levels[:-1])])
    return normalized, (digits * basis).sum(-1).astype(int)


@pytest.mark.parametrize("levels", LEVELS, ids=str)
def test_fsq_is_the_listing_of_its_paper(levels):
    x = torch.randn(4, 500, len(levels), dtype=torch.float64) * 3
    quantized = FSQ(levels)(x)
    features, codes = listing(x.numpy(), levels)
    np.testing.assert_allclose(quantized.features.numpy(), features, atol=1e-12)
    assert np.array_equal(quantized.codes.numpy(), codes)
    assert quantized.commitment.abs().sum() == 0


@pytest.mark.parametrize("levels", LEVELS, ids=str)
def test_fsq_reaches_every_code_and_lookup_inverts(levels):
    fsq, grid = FSQ(levels), torch.linspace(-6, 6, 241)
    for feature, count in enumerate(levels):
        x = torch.zeros(1, 241, len(levels))
        x[0, :, feature] = grid
        assert len(fsq(x).features[0, :, feature].unique()) == count
    assert fsq.size == prod(levels)
    every = torch.arange(fsq.size)[None]
    centres = fsq.lookup(every)
    assert len(centres[0].unique(dim=0)) == fsq.size and centres.abs().max() <= 1
    x = torch.randn(1, 5000, len(levels)) * 4
    quantized = fsq(x)
    assert len(quantized.codes.unique()) == fsq.size if fsq.size < 100 else quantized.codes.max() < fsq.size
    torch.testing.assert_close(fsq.lookup(quantized.codes), quantized.features)


def test_fsq_lets_the_gradient_of_the_bounded_value_through():
    x = torch.randn(2, 6, 2, dtype=torch.float64, requires_grad=True)
    levels, weight = np.array([5, 4]), torch.randn(2, 6, 2, dtype=torch.float64)
    (FSQ((5, 4))(x).features * weight).sum().backward()
    half, offset = (levels - 1) * 0.999 / 2, np.array([0.0, 0.5])
    slope = torch.tensor(half / (levels // 2)) * (1 - (x + torch.tensor(np.tan(offset / half))).tanh().square())
    torch.testing.assert_close(x.grad, weight * slope.detach(), rtol=1e-6, atol=1e-7)


def vq(**changes) -> VQ:
    return VQ(**{"size": 4, "features": 2, **changes})


def test_vq_takes_the_nearest_code():
    quantizer, x = vq(size=50, features=3).eval(), torch.randn(2, 40, 3)
    codes = torch.cdist(x, quantizer.book[None]).argmin(-1)
    quantized = quantizer(x)
    assert torch.equal(quantized.codes, codes)
    torch.testing.assert_close(quantized.features, quantizer.book[codes])
    assert torch.equal(quantizer.lookup(codes), quantizer.book[codes])
    torch.testing.assert_close(quantized.commitment, 0.25 * (x - quantizer.book[codes]).square().mean(-1))


def test_vq_lets_gradients_through_and_pulls_features_to_their_code():
    quantizer, x = vq().eval(), torch.randn(1, 6, 2, requires_grad=True)
    weight = torch.randn(1, 6, 2)
    quantized = quantizer(x)
    (quantized.features * weight).sum().backward()
    assert torch.equal(x.grad, weight)
    x.grad = None
    quantizer(x).commitment.sum().backward()
    torch.testing.assert_close(x.grad, 0.25 * (x - quantizer.lookup(quantized.codes)).detach())  # 2 / features is 1


def test_vq_follows_its_members_by_moving_averages():
    quantizer = vq(size=2, decay=0.9)
    quantizer.book.copy_(torch.tensor([[0.0, 0.0], [10.0, 10.0]]))
    quantizer.sums.copy_(quantizer.book)
    quantizer(torch.tensor([[[1.0, 0.0], [0.0, 2.0], [12.0, 10.0]]]))
    torch.testing.assert_close(quantizer.members, torch.tensor([0.9 + 0.1 * 2, 0.9 + 0.1 * 1]))
    torch.testing.assert_close(quantizer.sums, torch.tensor([[0.1, 0.2], [9.0 + 1.2, 9.0 + 1.0]]))
    torch.testing.assert_close(quantizer.book, torch.tensor([[0.1 / 1.1, 0.2 / 1.1], [10.2, 10.0]]))


def test_vq_revives_codes_that_nobody_chose_for_its_patience():
    quantizer = vq(size=3, patience=20)
    quantizer.book.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [99.0, 99.0]]))
    quantizer.sums.copy_(quantizer.book)
    x = torch.tensor([[[0.1, 0.0], [0.9, 1.0], [1.1, 1.0]]])
    for _ in range(20):
        quantizer(x)
    assert quantizer.book[2].tolist() == pytest.approx([99.0, 99.0], abs=1e-3)
    quantizer(x)
    assert quantizer.book[2].tolist() in x[0].tolist() and quantizer.members[2] == 1


def test_vq_keeps_codes_that_are_chosen_now_and_then():
    quantizer = vq(size=2, patience=4)
    quantizer.book.copy_(torch.tensor([[0.0, 0.0], [9.0, 9.0]]))
    quantizer.sums.copy_(quantizer.book)
    for step in range(200):
        quantizer(torch.tensor([[[9.0, 9.0] if step % 4 == 0 else [0.1, 0.0]]]))
    assert quantizer.members[1] < 0.6 and quantizer.book[1].tolist() == pytest.approx([9.0, 9.0], abs=1e-3)


def test_vq_moves_nothing_in_eval_mode_nor_without_gradients():
    quantizer = vq().eval()
    before = {name: tensor.clone() for name, tensor in quantizer.state_dict().items()}
    quantizer(torch.randn(3, 10, 2))
    with torch.no_grad():
        quantizer.train()(torch.randn(3, 10, 2))
    assert all(torch.equal(before[name], tensor) for name, tensor in quantizer.state_dict().items())
    quantizer.train()(torch.randn(3, 10, 2))
    assert not any(torch.equal(before[name], getattr(quantizer, name)) for name in ("book", "members", "sums"))


def test_vq_learns_the_centres_of_clusters():
    centres = torch.tensor([[5.0, 5.0], [-5.0, 5.0], [5.0, -5.0], [-5.0, -5.0]])
    quantizer = vq(decay=0.9, patience=5)
    for _ in range(100):
        quantizer(centres[torch.randint(4, (1, 64))] + 0.1 * torch.randn(1, 64, 2))
    assert torch.cdist(centres, quantizer.book).min(-1).values.max() < 0.2


@pytest.mark.parametrize(
    "make", [lambda: [vq(size=16).eval() for _ in range(4)], lambda: [FSQ((5, 5)) for _ in range(4)]], ids=["vq", "fsq"]
)
def test_residual_stages_reduce_the_error_and_lookup_adds_them_up(make):
    x, quantizers = torch.randn(1, 300, 2).clamp(-1, 1), make()
    scale = 0.25 if isinstance(quantizers[0], FSQ) else 1.0
    if scale == 1.0:  # each next book on the scale of what is left
        for level, quantizer in enumerate(quantizers):
            quantizer.book.mul_(0.5**level)
    errors = []
    for count in range(1, 5):
        residual = Residual(quantizers[:count], scale=scale)
        quantized = residual(x)
        assert quantized.codes.shape == (1, 300, count)
        torch.testing.assert_close(residual.lookup(quantized.codes), quantized.features)
        errors.append(float((quantized.features - x).square().mean()))
    assert all(later < 0.8 * earlier for earlier, later in pairwise(errors)), errors


def test_residual_lets_gradients_through_once():
    x, weight = torch.randn(1, 5, 2, requires_grad=True), torch.randn(1, 5, 2)
    (Residual([vq().eval(), vq().eval()])(x).features * weight).sum().backward()
    assert torch.equal(x.grad, weight)


def test_a_normalized_vq_compares_directions_alone():
    quantizer, x = vq(size=50, features=3, normalized=True).eval(), torch.randn(2, 40, 3)
    quantizer.book.mul_(torch.rand(50, 1) * 5 + 0.1)  # lengths that would decide otherwise
    nearest = torch.nn.functional.cosine_similarity(x[:, :, None], quantizer.book, dim=-1).argmax(-1)
    quantized = quantizer(x)
    assert torch.equal(quantized.codes, nearest) and torch.equal(quantizer(x * 7).codes, nearest)
    torch.testing.assert_close(quantized.features.norm(dim=-1), torch.ones(2, 40))
    torch.testing.assert_close(quantizer.lookup(nearest), quantized.features)
    assert not torch.equal(vq_of(quantizer.book)(x).codes, nearest)


def vq_of(book: torch.Tensor) -> VQ:
    quantizer = vq(size=len(book), features=book.shape[1]).eval()
    quantizer.book.copy_(book)
    return quantizer


def test_a_normalized_vq_learns_the_directions_of_clusters():
    centres = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    quantizer = vq(decay=0.9, patience=5, normalized=True)
    for _ in range(100):
        x = centres[torch.randint(4, (1, 64))] + 0.1 * torch.randn(1, 64, 2)
        quantizer(x * (torch.rand(1, 64, 1) * 9 + 1))
    assert torch.cdist(centres, quantizer.lookup(torch.arange(4)[None])[0]).min(-1).values.max() < 0.2


@pytest.mark.parametrize("normalized", [False, True])
def test_soft_codes_are_a_softmax_of_distances_and_lean_to_the_code(normalized):
    quantizer, x = vq(size=7, features=3, normalized=normalized).eval(), torch.randn(2, 5, 3, dtype=torch.float64)
    quantizer.double()
    unit = lambda rows: rows / rows.norm(dim=-1, keepdim=True) if normalized else rows
    weights = quantizer.soft(x)
    torch.testing.assert_close(weights, (-torch.cdist(unit(x), unit(quantizer.book)[None]).square()).softmax(-1))
    assert torch.equal(weights.argmax(-1), quantizer(x).codes)


def test_signs_are_the_binary_digits_of_a_code_the_first_the_highest():
    quantizer = LFQ(3)
    x = torch.tensor([[[0.3, -2.0, 5.0], [-1.0, 0.0, -0.1], [-0.1, 9.0, 0.2]]])
    quantized = quantizer(x)
    assert quantized.codes.tolist() == [[5, 0, 3]] and quantizer.size == 8
    torch.testing.assert_close(quantized.features, torch.tensor([[[1.0, -1, 1], [-1, -1, -1], [-1, 1, 1]]]))
    every = torch.arange(8)[None]
    assert torch.equal(quantizer(quantizer.lookup(every)).codes, every)
    assert quantizer.digits(torch.tensor([[6]])).tolist() == [[[1, 1, 0]]]


def test_signs_let_gradients_straight_through():
    x, weight = torch.randn(1, 5, 4, requires_grad=True), torch.randn(1, 5, 4)
    (LFQ(4)(x).features * weight).sum().backward()
    assert torch.equal(x.grad, weight)


def test_the_loss_of_signs_is_commitment_and_two_entropies():
    x = torch.randn(3, 20, 4, dtype=torch.float64)
    choice = torch.distributions.Categorical(logits=torch.stack([-(x - 1).square(), -(x + 1).square()], -1))
    average = torch.distributions.Categorical(probs=choice.probs.mean((0, 1))).entropy()
    entropies = (choice.entropy() - average).mean(-1)
    pulled = (x - torch.where(x > 0, 1.0, -1.0)).square().mean(-1)
    torch.testing.assert_close(LFQ(4, commitment=0.3, entropy=0.7)(x).commitment, 0.3 * pulled + 0.7 * entropies)


def test_the_loss_of_signs_rewards_sure_and_even_ones_and_is_finite_where_all_are_sure():
    loss = lambda x: float(LFQ(1, commitment=0.0, entropy=1.0)(x.view(1, -1, 1)).commitment.mean())
    even, one_sided, unsure = torch.tensor([90.0, -90.0]), torch.tensor([90.0, 90.0]), torch.tensor([1e-3, -1e-3])
    assert loss(even) == pytest.approx(-np.log(2), abs=1e-4)
    assert loss(one_sided) == pytest.approx(0, abs=1e-4) and loss(unsure) == pytest.approx(0, abs=1e-4)
    x = torch.tensor([[[1e4], [1e4]]], requires_grad=True)
    LFQ(1)(x).commitment.sum().backward()
    assert x.grad.isfinite().all()
    assert LFQ(1)(x.detach().bfloat16()).commitment.isfinite().all()


@pytest.mark.parametrize("quantizer", [FSQ((4, 5, 8)), LFQ(3), VQ(size=9, features=3), VQ(size=9, features=3, normalized=True)], ids=repr)
def test_what_is_rounded_lies_where_codes_lie(quantizer):
    """Rounding takes the code nearest to the features before rounding, each counted in its own steps."""
    x = 2 * torch.randn(1, 200, 3)
    steps = quantizer.levels // 2 if isinstance(quantizer, FSQ) else 1
    book = quantizer.lookup(torch.arange(quantizer.size)[None])[0]
    distances = ((quantizer.unrounded(x)[..., None, :] - book) * steps).square().sum(-1)
    assert torch.equal(distances.argmin(-1), quantizer.eval()(x).codes)


def test_a_codebook_put_in_place_is_what_averages_go_on_from():
    quantizer, book = vq(size=2, decay=0.9), torch.tensor([[0.0, 0.0], [10.0, 10.0]])
    quantizer(torch.randn(1, 9, 2))
    quantizer.book.copy_(book)
    quantizer.settle()
    assert torch.equal(quantizer.sums, book) and quantizer.members.tolist() == [1, 1] and quantizer.idle.tolist() == [0, 0]
    quantizer(torch.tensor([[[1.0, 0.0], [10.0, 10.0]]]))
    torch.testing.assert_close(quantizer.book, torch.tensor([[0.1, 0.0], [10.0, 10.0]]))
