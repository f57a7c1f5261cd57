import pytest
import torch
from torch import nn

from tessera.document import Task
from tessera.stages import Stage
from tessera.verbs import estimate
from tessera.verbs.estimate import Estimate
from tessera.verbs.optimizing import Average, optimizer_for

MEGABYTE = 2**18  # numbers of 32 bits


def held(monkeypatch, megabytes: float) -> None:
    monkeypatch.setattr(estimate, "peak_megabytes", lambda device: megabytes)


def test_weights_gradients_and_two_moments_are_four_times_what_is_trained(monkeypatch):
    held(monkeypatch, 100.0)
    trained = [torch.zeros(3 * MEGABYTE), torch.zeros(MEGABYTE, dtype=torch.float64), torch.zeros(2 * MEGABYTE, dtype=torch.bfloat16)]
    assert Estimate.of(7.5, trained, averaged=False, device="cpu") == Estimate(7.5, 4 * 6.0, 100.0)
    assert Estimate.of(7.5, trained, averaged=True, device="cpu").weights_mb == 5 * 6.0


def test_what_will_be_held_is_unknown_where_the_system_does_not_say(monkeypatch):
    held(monkeypatch, 0.0)
    assert Estimate.of(1.0, [torch.zeros(MEGABYTE)], averaged=True, device="cpu") == Estimate(1.0, 5.0, 0.0)


def test_the_device_is_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(estimate, "peak_megabytes", lambda device: asked.append(device) or 1.0)
    Estimate.of(1.0, [], averaged=False, device="cuda")
    assert asked == ["cuda"]


@pytest.mark.parametrize("averaged", [False, True])
def test_the_estimate_is_what_training_takes(averaged, tiny):
    part = nn.Linear(100, 100)
    trained = list(part.parameters())
    optimizer = optimizer_for(tiny(), Stage("joint", train=(part,), documents=8, mix={Task.DRAW: 1.0}))
    part(torch.ones(1, 100)).sum().backward()
    optimizer.step()
    moments = [tensor for state in optimizer.state.values() for tensor in state.values() if tensor.ndim]
    shadows = Average(trained, 0.9).shadow if averaged else []
    everything = [*trained, *(p.grad for p in trained), *moments, *shadows]
    expected = sum(tensor.numel() * tensor.element_size() for tensor in everything) / 2**20
    assert Estimate.of(1.0, trained, averaged=averaged, device="cpu").weights_mb == pytest.approx(expected)


def test_an_estimate_reads_as_a_sentence():
    assert str(Estimate(12.4, 3.2, 0.0)) == "about 12 s, 3 MB for weights and optimizer"
    assert str(Estimate(89.4, 3.2, 0.0)).startswith("about 89 s, ")
    assert str(Estimate(90.0, 3.2, 0.0)).startswith("about 1.5 min, ")
    assert str(Estimate(3600.0, 1234.5, 20480.4)) == "about 60.0 min, 1,234 MB for weights and optimizer, about 20,480 MB in all"
