"""Eyes: what they are made of, and what they see."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tessera import vision
from tessera.codecs.patches import patchify
from tessera.vision import AttentionPool, QuickGELU, ViT

SIZES = {"pixels": 16, "patch": 4, "width": 16, "depth": 2, "heads": 2}


@pytest.fixture
def pixels():
    return torch.rand(3, 3, 16, 16) * 2 - 1


def test_the_embedding_is_the_convolution_of_its_weights(pixels):
    eye = vision.siglip(**SIZES)
    kernel = eye.embed.weight.unflatten(1, (3, 4, 4))
    convolved = F.conv2d(pixels, kernel, eye.embed.bias, stride=4).flatten(2).transpose(1, 2)
    torch.testing.assert_close(eye.embed(patchify(pixels, 4)), convolved)


def test_pixels_of_another_mean_and_spread_are_a_matter_of_the_embedding(pixels):
    """How a published eye is loaded whose pixels were normed otherwise."""
    mean, spread = torch.tensor([0.48, 0.46, 0.41]), torch.tensor([0.27, 0.26, 0.28])
    eye, theirs = vision.siglip(**SIZES), ((pixels + 1) / 2 - mean.view(3, 1, 1)) / spread.view(3, 1, 1)
    expected = eye.embed(patchify(theirs, 4))
    each = (0.5 / spread).repeat_interleave(16)
    shift = ((0.5 - mean) / spread).repeat_interleave(16)
    with torch.no_grad():
        eye.embed.bias += eye.embed.weight @ shift
        eye.embed.weight *= each
    torch.testing.assert_close(eye.embed(patchify(pixels, 4)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [vision.siglip, vision.clip], ids=["siglip", "clip"])
def test_one_feature_vector_for_each_square_wherever_it_is_and_whoever_is_beside_it(shape, pixels):
    eye = shape(**SIZES)
    features = eye(patchify(pixels, 4))
    assert features.shape == (3, 16, 16)
    torch.testing.assert_close(eye(patchify(pixels[1:2], 4))[0], features[1])
    moved = eye(patchify(pixels.roll(4, -1), 4)).roll(-1, 1)
    assert not torch.allclose(moved, features, atol=1e-3), "where a square stands matters"


def test_every_square_sees_the_whole_picture(pixels):
    squares = patchify(pixels[:1], 4).requires_grad_()
    (gradient,) = torch.autograd.grad(vision.siglip(**SIZES)(squares)[0, 3].square().sum(), squares)
    assert (gradient[0].abs().sum(-1) > 0).all()


def test_clip_is_siglip_but_for_what_is_said(pixels):
    one, other = vision.siglip(**SIZES), vision.clip(**SIZES)
    assert len(one.blocks) == 2 and len(other.blocks) == 1, "the last block is not read, so it is not there"
    assert other.positions.num_embeddings == one.positions.num_embeddings + 1 == 17
    assert isinstance(other.after, nn.Identity) and isinstance(one.before, nn.Identity)
    x = torch.linspace(-3, 3, 7)
    torch.testing.assert_close(QuickGELU()(x), x / (1 + (-1.702 * x).exp()))


def test_a_patch_must_divide_the_pixels():
    with pytest.raises(ValueError, match="ViT: patch 5 in pictures of 16 pixels"):
        ViT([], width=16, pixels=16, patch=5)


def test_the_pool_is_attention_of_its_query_and_an_mlp():
    """Against torch's own attention."""
    pool, features = AttentionPool(16, 4), torch.randn(3, 9, 16)
    k, v = pool.kv.weight.chunk(2)
    k_bias, v_bias = pool.kv.bias.chunk(2)
    query = pool.query.expand(1, 3, -1)
    seen, _ = F.multi_head_attention_forward(
        query,
        *[features.transpose(0, 1)] * 2,
        16,
        4,
        torch.cat([pool.q.weight, k, v]),
        torch.cat([pool.q.bias, k_bias, v_bias]),
        None,
        None,
        False,
        0.0,
        pool.out.weight,
        pool.out.bias,
    )
    mlp = pool.mlp.inner
    expected = seen[0] + mlp.down(F.gelu(mlp.up(pool.mlp.norm(seen[0]))))
    torch.testing.assert_close(pool(features), expected)


def test_registers_pass_in_front_of_all_and_are_no_features():
    eye = vision.dino(pixels=8, patch=4, width=8, depth=3, heads=2, registers=3)
    squares, seen = torch.randn(2, 4, 48), []
    eye.blocks[0].register_forward_hook(lambda module, given, out: seen.append(given[0]))
    assert eye(squares).shape == (2, 4, 8) and len(eye.blocks) == 2
    assert torch.equal(seen[0][:, :3], eye.registers.expand(2, -1, -1))
    torch.testing.assert_close(seen[0][:, 3:], eye.embed(squares) + eye.positions.weight)
    assert all(torch.equal(step.scale, torch.full((8,), 1e-5)) for block in eye.blocks for step in block.steps)


def test_two_eyes_are_shown_the_colours_that_each_of_them_wants():
    one, other = vision.siglip(pixels=8, patch=4, width=8, heads=2), vision.siglip(pixels=8, patch=4, width=16, heads=2)
    mean, spread = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    two, pixels = vision.TwoEyes(one, other, mean=mean, spread=spread), torch.rand(1, 3, 8, 8)
    wanted = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(spread).view(3, 1, 1)
    squares = patchify(2 * pixels - 1, 4)
    torch.testing.assert_close(two(squares)[..., :8], one(patchify(wanted, 4)), atol=1e-5, rtol=1e-5)
    assert torch.equal(two(squares)[..., 8:], other(squares)) and two.width == 24
