"""A front does to a place what the task does that the place belongs to, and nothing else."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tessera.attention import causal
from tessera.trunk import Entry, Mamba, MambaBlock, Mixer, TaskFront

TEXT, IMAGE, EYE = (SimpleNamespace(name=name, number=number) for number, name in enumerate(("text", "image", "eye")))


@pytest.fixture
def front():
    return TaskFront([Entry((TEXT,), nn.Embedding(5, 4)), Entry((IMAGE,), nn.Embedding(6, 4), (TEXT,), nn.Linear(4, 4))])


def test_each_task_has_positions_and_only_what_it_reads_is_projected(front, places):
    x = torch.randn(1, 5, 4)
    where = places(writes=[0, 1, 1, -1, 0], port=[2, 0, 1, 0, 0], order=[4, 3, 5, 2, 0])
    found, (told, drawn) = front(x, where)[0], front.positions
    assert torch.equal(found[0], x[0, 0] + told.weight[4]) and torch.equal(found[4], x[0, 4] + told.weight[0])
    torch.testing.assert_close(found[1], front.project[1](x[0, 1]) + drawn.weight[3])
    assert torch.equal(found[2], x[0, 2] + drawn.weight[5]) and torch.equal(found[3], x[0, 3])


def test_it_stands_before_the_first_layer(front, places):
    block = lambda: MambaBlock(nn.RMSNorm(4), Mixer(4, head=4, state=3))
    torch.manual_seed(1)
    plain = Mamba([block()], norm=nn.RMSNorm(4))
    fronted = Mamba(list(plain.blocks), norm=plain.norm, front=front)
    x, where = torch.randn(1, 3, 4), places(writes=[[1, 1, 1]], port=[[0, 1, 1]])
    torch.testing.assert_close(fronted(x, None, where, causal), plain(front(x, where), None, where, causal))
    assert not torch.allclose(fronted(x, None, where, causal), plain(x, None, where, causal))
