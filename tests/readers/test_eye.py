"""The eye as a reader: one place per square, and gradient that reaches the eye where it shall."""

import pytest
import torch
from torch import nn

from tessera import vision
from tessera.codecs import Patches
from tessera.perceptron import perceptron
from tessera.readers import EyeReader, Reader


@pytest.fixture
def seen(pictures):
    """Squares of four pictures."""
    return Patches(pixels=8, patch=4).encode(list(pictures)).clean


def reader(**changes) -> EyeReader:
    eye = vision.siglip(pixels=8, patch=4, width=16, depth=1, heads=2)
    return EyeReader(eye, perceptron(16, 24, 20), **changes)


def test_a_place_for_each_square_with_its_row_and_column(seen):
    made = reader()
    read = made(seen, torch.zeros(4, dtype=torch.long))
    torch.testing.assert_close(read.embeddings, made.projector(made.eye(seen)))
    assert read.embeddings.shape == (4, 4, 20) and read.predicts.tolist() == [0, 1, 2, 3]
    assert read.coordinates[0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]
    assert isinstance(made, Reader) and not made.elementwise, "squares see each other"


def test_a_place_of_its_own_in_front(seen):
    begin = nn.Embedding(1, 20)
    made = reader(begin=begin)
    read = made(seen, torch.zeros(4, dtype=torch.long))
    assert read.embeddings.shape == (4, 5, 20) and read.predicts.tolist() == [1, 2, 3, 4] and read.coordinates.shape == (4, 5, 3)
    assert torch.equal(read.embeddings[:, 0], begin.weight.expand(4, -1)) and not read.coordinates[:, 0].any()
    torch.testing.assert_close(read.embeddings[:, 1:], made.projector(made.eye(seen)))


def test_gradient_reaches_the_eye_and_its_pixels(seen):
    made = reader()
    made(seen.requires_grad_(), torch.zeros(4, dtype=torch.long)).embeddings.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in made.parameters()) and seen.grad.any()
