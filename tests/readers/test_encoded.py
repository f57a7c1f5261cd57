"""T5's encoder beside transformers' class, and the reader around it."""

import pytest
import torch
from hub.oracle import near, redrawn, transformers

from tessera.hub.d_dit import encoder, t5
from tessera.hub.filling import filled
from tessera.orders.masked import hide
from tessera.readers import EncodedReader

SHAPES = [
    {"d_model": 24, "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_heads": 3},
    {"d_model": 32, "d_kv": 10, "d_ff": 20, "num_layers": 3, "num_heads": 2, "layer_norm_epsilon": 1e-5},
]


@pytest.fixture(params=SHAPES, ids=["even", "odd"])
def pair(request):
    """Their class and our encoder."""
    config = transformers.T5Config(vocab_size=64, feed_forward_proj="gated-gelu", **request.param)
    theirs = redrawn(transformers.T5EncoderModel(config))
    weights = {name: tensor for name, tensor in theirs.state_dict().items() if "embed_tokens" not in name}
    return theirs, filled(t5(config.to_dict()), encoder("shared"), weights)


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 7, 300])
def test_texts_are_read_as_theirs(pair, length):
    theirs, ours = pair
    ids = torch.randint(0, 64, (2, length))
    assert near(ours(ids), theirs(input_ids=ids).last_hidden_state)


def sides_change(ours):
    ours.distances.numbers.weight.data = ours.distances.numbers.weight.data.roll(16, 0)


def far_is_near(ours):
    ours.distances.farthest = 32


def scores_are_scaled(ours):
    size = ours.blocks[0].size
    for block in ours.blocks:
        block.qkv.weight.data[: len(block.qkv.weight) // 3] /= size**0.5


@torch.no_grad()
@pytest.mark.parametrize("mutation", [sides_change, far_is_near, scores_are_scaled])
def test_a_mutated_encoder_is_not(pair, mutation):
    theirs, ours = pair
    mutation(ours)
    ids = torch.randint(0, 64, (2, 300))
    assert not near(ours(ids), theirs(input_ids=ids).last_hidden_state, 1e-2)


@torch.no_grad()
def test_what_is_hidden_is_an_id_and_a_text_is_filled_up(pair):
    theirs, ours = pair
    reader = EncodedReader(ours, 16, mask=60, pad=0, length=6)
    visible = hide(torch.tensor([5, 6, 7, 8]), torch.tensor([False, True, False, True]))
    read = reader(type(visible)(*(one[None] for one in visible)), torch.zeros(1, dtype=torch.long))
    expected = theirs(input_ids=torch.tensor([[5, 60, 7, 60, 0, 0]])).last_hidden_state
    assert near(read.embeddings, reader.project(expected)) and read.predicts.tolist() == [0, 1, 2, 3]


def test_the_encoder_stays_as_it_is(pair):
    reader = EncodedReader(pair[1], 16, mask=60, pad=0, length=6)
    visible = hide(torch.tensor([5, 6]), torch.tensor([False, True]))
    reader(type(visible)(*(one[None] for one in visible)), torch.zeros(1, dtype=torch.long)).embeddings.sum().backward()
    assert {name for name, parameter in reader.named_parameters() if parameter.grad is not None} == {"project.weight", "project.bias"}
