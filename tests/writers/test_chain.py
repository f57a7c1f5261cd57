import math

import pytest
import torch
from torch import nn

from tessera.draws import Streams, generator
from tessera.laws import Categorical, Chain, Sampling
from tessera.orders import Seen
from tessera.trunk import Block, PreNorm, SelfAttention, SwiGLU
from tessera.writers import ChainWriter

WIDTH, HIDDEN, VALUES, LENGTH = 6, 8, 5, 4
F64 = torch.float64


@pytest.fixture
def writer() -> ChainWriter:
    norm = lambda inner: PreNorm(nn.RMSNorm(HIDDEN), inner)
    blocks = [Block(norm(SelfAttention(HIDDEN, 2)), norm(SwiGLU(HIDDEN))) for _ in range(2)]
    codes = nn.Embedding(VALUES, HIDDEN)
    made = ChainWriter(WIDTH, VALUES, blocks, codes=codes, length=LENGTH, norm=nn.RMSNorm(HIDDEN), hidden=HIDDEN).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made


def test_told_all_it_says_of_each_what_it_says_step_by_step(writer):
    hidden, codes = torch.randn(2, 3, WIDTH, dtype=F64), torch.randint(VALUES, (2, 3, LENGTH))
    together = writer(hidden, None, codes[..., :-1])
    assert together.shape == (2, 3, LENGTH, VALUES)
    for i in range(LENGTH):
        step = writer(hidden, None, codes[..., :i])
        assert step.shape == (2, 3, i + 1, VALUES)
        torch.testing.assert_close(step[..., -1, :], together[..., i, :])


def test_a_code_moves_what_is_said_of_those_behind_it_alone(writer):
    hidden, codes = torch.randn(3, WIDTH, dtype=F64), torch.randint(VALUES, (3, LENGTH - 1))
    before = writer(hidden, None, codes)
    for i in range(LENGTH - 1):
        changed = codes.clone()
        changed[1, i] = (changed[1, i] + 1) % VALUES
        after = writer(hidden, None, changed)
        assert torch.equal(after[[0, 2]], before[[0, 2]]) and torch.equal(after[1, : i + 1], before[1, : i + 1])
        assert not torch.isclose(after[1, i + 1 :], before[1, i + 1 :]).all(-1).any()


def test_equal_codes_are_told_apart_by_their_positions_and_the_trunk_is_heard_at_all(writer):
    hidden = torch.randn(1, WIDTH, dtype=F64, requires_grad=True)
    said = writer(hidden, None, torch.zeros(1, LENGTH - 1, dtype=torch.long))[0]
    assert torch.pdist(said).min() > 1e-3
    for i in range(LENGTH):
        (gradient,) = torch.autograd.grad(said[i, 0], hidden, retain_graph=True)
        assert gradient.any()


def test_it_starts_nearly_uniform():
    norm = lambda inner: PreNorm(nn.RMSNorm(64), inner)
    fresh = ChainWriter(
        64, 100, [Block(norm(SelfAttention(64, 2)), norm(SwiGLU(64)))], codes=nn.Embedding(100, 64), length=3, norm=nn.RMSNorm(64)
    )
    said = fresh(torch.randn(50, 64), None, torch.randint(100, (50, 2)))
    assert (said.detach().log_softmax(-1) + math.log(100)).abs().max() < 1


def test_what_is_drawn_is_as_likely_as_the_loss_says(writer):
    """Told code by code in writing, and all at once in training."""
    law, hidden = Chain(Categorical(allowed=range(VALUES)), length=LENGTH), torch.randn(1, 40, WIDTH, dtype=F64)
    drawn = law.draw(writer, Seen(hidden), Sampling(), Streams([generator(0)], [40], hidden))
    assert drawn.value.shape == (40, LENGTH)
    torch.testing.assert_close(drawn.confidence, -law.loss(writer, hidden[0], None, drawn.value, None))


def test_guided_branches_are_told_the_same_codes(writer):
    law, hidden, told = Chain(Categorical(allowed=range(VALUES)), length=LENGTH), torch.randn(2, 40, WIDTH, dtype=F64), []

    def watched(hidden, aside, before):
        told.append(before)
        return writer(hidden, aside, before)

    drawn = law.draw(watched, Seen(hidden), Sampling(guidance=3.0), Streams([generator(0)], [40], hidden))
    for i, before in enumerate(told):
        assert torch.equal(before, drawn.value[:, :i].expand(2, -1, -1))
    asked, dropped = (writer(branch, None, drawn.value[:, :-1]) for branch in hidden)
    guided = (dropped + 3 * (asked - dropped)).log_softmax(-1)
    torch.testing.assert_close(drawn.confidence, guided.gather(-1, drawn.value[..., None])[..., 0].sum(1))
