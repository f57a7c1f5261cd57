import pytest
import torch
from torch import nn

from tessera.codecs import FSQ
from tessera.readers import Digits, SoftReader, TokenReader

START = torch.tensor([0])


@pytest.fixture
def tokens():
    """Ids 5 to 13 are the codes of a picture of 2 x 2 squares."""
    quantizer = FSQ((3, 3))
    return TokenReader(nn.Embedding(14, 8), scale=2.0, columns=2, digits=Digits(quantizer, 8, first=5), positions=nn.Embedding(4, 8))


def book():
    quantizer = FSQ((3, 3))
    return quantizer.lookup(torch.arange(9)[None])[0]


def soft(tokens, temperature):
    return SoftReader(tokens, book(), first=5, temperature=temperature)


def test_codes_count_by_a_softmax_of_their_distances(tokens):
    x = torch.randn(3, 4, 2)
    weights = soft(tokens, 0.7).weights(x)
    distances = (x[..., None, :] - book()).square().sum(-1)
    torch.testing.assert_close(weights, (-distances / 0.7).softmax(-1))


def test_a_place_is_the_average_of_what_codes_are_read_as(tokens):
    reader, x = soft(tokens, 0.5), torch.randn(1, 4, 2)
    read = reader(x, START)
    each = tokens.table.weight[5:] * 2 + tokens.digits(torch.arange(5, 14))
    expected = reader.weights(x) @ each + tokens.positions.weight
    torch.testing.assert_close(read.embeddings, expected)
    assert read.coordinates[0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]


def test_without_warmth_features_are_read_as_their_code(tokens):
    x = torch.rand(1, 4, 2) * 2 - 1
    nearest = (x[..., None, :] - book()).square().sum(-1).argmin(-1)
    hard, read = tokens(5 + nearest, START), soft(tokens, 1e-4)(x, START)
    torch.testing.assert_close(read.embeddings, hard.embeddings, rtol=1e-3, atol=1e-3)
    warm = soft(tokens, 1e6)(x, START)
    torch.testing.assert_close(warm.embeddings[:, 0], warm.embeddings[:, 1] - tokens.positions.weight[1] + tokens.positions.weight[0])


def test_elements_know_where_they_stand(tokens):
    reader, x = soft(tokens, 0.5), torch.randn(1, 4, 2)
    whole, last = reader(x, START), reader(x[:, 3:], torch.tensor([3]))
    torch.testing.assert_close(last.embeddings[:, 0], whole.embeddings[:, 3])
    assert torch.equal(last.coordinates[:, 0], whole.coordinates[:, 3])


def test_the_codebook_learns_and_the_table_too(tokens):
    reader = soft(tokens, 0.5)
    reader(torch.randn(1, 4, 2), START).embeddings.square().sum().backward()
    assert bool(reader.codebook.weight.grad.any()) and bool(tokens.table.weight.grad[5:].any()) and not tokens.table.weight.grad[:5].any()
    assert "ids" not in reader.state_dict()


def test_distances_keep_their_digits_under_autocast(tokens):
    reader, x = soft(tokens, 0.01), torch.randn(1, 4, 2) + 20
    with torch.autocast("cpu", torch.bfloat16):
        found = reader.weights(x)
    torch.testing.assert_close(found, reader.weights(x))


def test_a_temperature_is_more_than_nothing(tokens):
    with pytest.raises(ValueError, match=r"SoftReader: temperature 0\.0; more than 0 is accepted; near 0 it rounds"):
        soft(tokens, 0.0)


def test_features_may_come_scaled_and_the_codebook_not(tokens):
    x = torch.randn(2, 4, 2)
    reader = SoftReader(tokens, book(), first=5, scale=0.1)
    torch.testing.assert_close(reader.weights(0.1 * x), soft(tokens, 1.0).weights(x))
    assert not torch.allclose(reader.weights(x), soft(tokens, 1.0).weights(x))
