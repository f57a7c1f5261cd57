from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tessera.attention import causal
from tessera.trunk import LoRA, Mamba, MambaBlock, Mixer, TaskLoRA
from tessera.trunk.lean import LeanMamba, lean_form

WIDTH, ROWS = 16, 3
TASKS = tuple((SimpleNamespace(number=number),) for number in (0, 1))
ADAPTED = partial(TaskLoRA, tasks=TASKS, rank=3)


class Front(nn.Module):
    """Something that is done to places before the first layer."""

    def forward(self, x, places):
        return x + places.order[..., None]


def trunk(*, norm=nn.RMSNorm, front=None, **mixer) -> Mamba:
    """Two blocks with random weights, those of adapters too."""
    blocks = [MambaBlock(norm(WIDTH), Mixer(WIDTH, head=8, state=4, **mixer)) for _ in range(2)]
    made = Mamba(blocks, norm=nn.RMSNorm(WIDTH), front=front)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.eval()


def written(form, made: Mamba, places) -> torch.Tensor:
    """Hidden states of a prompt and of single places, of all rows and of some, one of which leaves nothing behind."""
    torch.manual_seed(1)
    cache, hidden = made.cache(rows=ROWS, capacity=1), []
    for rows, count, writes in (([0, 1, 2], 3, 0), ([2, 0], 1, 1), ([0, 1, 2], 1, 0), ([0, 1, 2], 1, -1), ([1, 2], 1, 1)):
        new = places(order=[[0] * count] * len(rows), writes=[[writes if row else 0] * count for row in rows])
        opened = cache.open(rows, new)
        hidden.append(form(torch.randn(len(rows), count, WIDTH).to(made.norm.weight), None, new, causal, opened).flatten())
        opened.commit([row != 1 for row in rows])
    return torch.cat(hidden)


@pytest.mark.parametrize(
    "of",
    [{}, {"project": ADAPTED}, {"project": partial(TaskLoRA, tasks=())}, {"norm": nn.LayerNorm}, {"front": Front()}, {"reach": 2}],
    ids=["plain", "adapted", "no-tasks", "layer-norm", "front", "reach"],
)
@pytest.mark.parametrize("dtype, near", [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str)
@torch.inference_mode()
def test_the_lean_form_says_what_the_trunk_says(of, dtype, near, places):
    made = trunk(**of).to(dtype)
    lean = lean_form(made)
    assert isinstance(lean, LeanMamba)
    expected = written(made, made, places)
    torch.testing.assert_close(written(lean, made, places), expected, rtol=0, atol=near * expected.abs().max())


@torch.inference_mode()
def test_single_places_do_not_pass_through_the_trunk_and_prompts_do(places, monkeypatch):
    made, counts = trunk(project=ADAPTED), []
    lean = lean_form(made)
    monkeypatch.setattr(lean, "trunk", lambda x, *others: counts.append(x.shape[1]) or made(x, *others))
    lean.trunk.front = None
    written(lean, made, places)
    assert counts == [3]


def wrapped(inputs: int, outputs: int) -> TaskLoRA:
    """Adapters by task that are adapted themselves."""
    layer = ADAPTED(inputs, outputs)
    layer.up[0] = LoRA(layer.up[0], parts={"up": outputs}, rank=2, alpha=4)
    return layer


@pytest.mark.parametrize("other", [{"groups": 2}, {"project": wrapped}], ids=["groups", "wrapped"])
def test_other_trunks_write_as_they_are(other):
    made = trunk(**other)
    assert lean_form(made) is made


def test_blocks_with_unlike_adapters_write_as_they_are():
    ranks = iter((2, 3))
    made = trunk(project=lambda *sizes: TaskLoRA(*sizes, tasks=TASKS, rank=next(ranks)))
    assert lean_form(made) is made
