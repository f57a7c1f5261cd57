import torch
from torch import nn

from tessera.dryrun import dry

WIDTH, ROWS, FLOAT = 16, 8, 4


def chain(device, depth=3):
    """Linear layers with a tanh behind each: of every one, what goes in and what comes out of the tanh is kept for the way back."""
    layers = (part for _ in range(depth) for part in (nn.Linear(WIDTH, WIDTH, device=device), nn.Tanh()))
    return nn.Sequential(*layers).requires_grad_(True)


def learned(net, device):
    with dry(net) as ledger:
        loss = net(torch.ones(ROWS, WIDTH, device=device)).sum()
        torch.autograd.backward(loss)
        gradients = {ledger.number(parameter.grad) for parameter in net.parameters()}
        return ledger.peak(without=gradients), ledger.peak()


def test_what_is_kept_is_what_the_closed_form_says():
    """The most is there when the last tanh speaks: the input, what the others said, what it hears, what it says. With gradients, when the
    first layer has its own: its input, what its tanh said and the gradient of that are there, and all gradients of weights."""
    place, weights = ROWS * WIDTH * FLOAT, 5 * WIDTH * (WIDTH + 1) * FLOAT
    plain, _ = learned(chain("meta", depth=5), "meta")
    assert 0 <= plain - (1 + 4 + 2) * place <= 3 * FLOAT  # the loss and its gradient
    _, both = learned(chain("meta", depth=5), "meta")
    assert 0 <= both - weights - place <= 2 * place


def test_without_memory_as_much_is_written_down_as_with_it():
    assert learned(chain("meta"), "meta") == learned(chain("cpu"), "cpu")


def test_what_nobody_holds_any_more_is_gone():
    with dry() as ledger:
        for _ in range(5):
            torch.empty(100, device="meta")
        kept = [torch.empty(50, device="meta") for _ in range(3)]
    assert ledger.peak() == FLOAT * max(100, 50 * len(kept))


def test_whole_numbers_are_real_and_others_have_shapes_alone():
    net = nn.Embedding(10, 4, device="meta")
    with dry(net):
        ids = torch.arange(6, device="meta").to("meta")
        rows = net(ids)
        assert ids.tolist() == [0, 1, 2, 3, 4, 5] and rows.is_meta and rows.shape == (6, 4)
        assert rows[(ids > 2).to("meta")].shape == (3, 4)
        rows[ids < 2] = 0.0
        assert rows.argmin(1).tolist() == [0] * 6 and torch.ones(2, device="meta").is_meta
        assert rows.cpu().is_meta and torch.ones(2).mean().item() == 1.0
    assert torch.arange(2, device="meta").is_meta
