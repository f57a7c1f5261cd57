import torch
from torch import nn

from tessera.weightless import allot, weightless


class Tied(nn.Module):
    """A table that is also a head, a norm, and a buffer."""

    def __init__(self):
        super().__init__()
        self.table, self.norm, self.head = nn.Embedding(5, 3), nn.LayerNorm(3), nn.Linear(3, 5, bias=False)
        self.head.weight = self.table.weight
        nn.init.normal_(self.head.weight, std=0.1)
        self.register_buffer("steps", torch.arange(4))


def test_parameters_have_shapes_and_no_memory_and_buffers_are_real():
    before = torch.get_rng_state()
    with weightless():
        made = Tied()
    assert torch.equal(torch.get_rng_state(), before)  # nothing was drawn
    assert all(parameter.is_meta for parameter in made.parameters()) and made.head.weight is made.table.weight
    assert made.steps.tolist() == [0, 1, 2, 3] and made.table.weight.shape == (5, 3)
    assert not Tied().head.weight.is_meta


def test_memory_is_given_once_to_what_is_shared():
    with weightless():
        made = Tied()
    made.norm.weight.requires_grad_(False)
    allot(made, torch.bfloat16)
    assert made.head.weight is made.table.weight and len(list(made.parameters())) == 3
    assert {parameter.dtype for parameter in made.parameters()} == {torch.bfloat16} and not made.norm.weight.requires_grad
    kept = made.table.weight
    allot(made, torch.float32)
    assert made.table.weight is kept
