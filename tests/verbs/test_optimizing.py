import pytest
import torch
from torch import nn

from tessera.document import Task
from tessera.stages import Stage
from tessera.trunk.headwise import CosineNorm, HeadwiseLayerNorm
from tessera.verbs.muon import Muon
from tessera.verbs.optimizing import Average, optimizer_for, rate, set_rate, thaw


def stage(train, **changes) -> Stage:
    return Stage("joint", **{"train": train, "documents": 8, "mix": {Task.DRAW: 1.0}, **changes})


@pytest.mark.parametrize("decay", ["cosine", "trapezoid", "constant"])
def test_the_rate_warms_up_over_three_hundredths(decay):
    assert [rate(progress, decay) for progress in (0.0, 0.015, 0.03)] == pytest.approx([0.01, 0.5, 1.0])


def test_cosine_falls_all_the_way():
    middle = (0.03 + 1) / 2
    assert [rate(progress, "cosine") for progress in (0.03, middle, 1.0)] == pytest.approx([1.0, 0.02 + 0.98 / 2, 0.02])


def test_trapezoid_falls_over_the_last_fifth():
    assert [rate(progress, "trapezoid") for progress in (0.5, 0.8, 0.9, 1.0)] == pytest.approx([1.0, 1.0, 0.02 + 0.98 / 2, 0.02])


def test_a_constant_rate_stays():
    assert [rate(progress, "constant") for progress in (0.03, 0.5, 1.0)] == [1.0, 1.0, 1.0]


def test_an_unknown_decay_is_refused():
    with pytest.raises(ValueError, match="stage: decay 'linear'; there are cosine, trapezoid and constant"):
        rate(0.5, "linear")


def test_only_what_a_stage_trains_moves(tiny):
    system = tiny()
    thaw(system, stage((system.trunk,)))
    trained = set(system.trunk.parameters())
    assert {p for p in system.parameters() if p.requires_grad} == trained
    assert {part for part in system.modules() if part.training} == set(system.trunk.modules())
    codec = system.by_name["image"].codec.codec
    thaw(system, stage((codec.decoder,), learner=codec))
    assert {p for p in system.parameters() if p.requires_grad} == set(codec.decoder.parameters())
    assert not system.trunk.training and codec.decoder.training and not codec.encoder.training


def test_decay_pulls_at_matrices_only_and_every_parameter_has_one_group(tiny):
    table, linear, norm = nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4)
    of_heads, cosine = HeadwiseLayerNorm(2, 4), CosineNorm(2, 4)
    found = optimizer_for(tiny(), stage((table, linear, norm, of_heads, cosine), weight_decay=0.3)).param_groups
    decay = {p: group["weight_decay"] for group in found for p in group["params"]}
    spared = [table.weight, linear.bias, *norm.parameters(), *of_heads.parameters(), *cosine.parameters()]
    assert decay == {linear.weight: 0.3} | dict.fromkeys(spared, 0.0)
    assert sum(len(group["params"]) for group in found) == 8


def test_shared_parameters_are_moved_once(tiny):
    system = tiny()
    found = optimizer_for(system, stage((system, system.trunk, system.text, system.text.reader.table))).param_groups
    parameters = [p for group in found for p in group["params"]]
    assert len(parameters) == len(set(parameters))


def test_rates_are_scaled_where_the_stage_says_so(tiny):
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    plan = stage((first, second), lr=0.1, rates={second: 0.5})
    optimizer = optimizer_for(tiny(), plan)
    assert set_rate(optimizer, plan, 0.03) == pytest.approx(0.1)
    rates = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates == pytest.approx({first.weight: 0.1, first.bias: 0.1, second.weight: 0.05, second.bias: 0.05})
    assert set_rate(optimizer, plan, 1.0) == pytest.approx(0.002)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.002)


def test_a_step_is_adamw_by_hand(tiny):
    linear = nn.Linear(2, 2, bias=False)
    plan = stage((linear,), lr=0.1, weight_decay=0.2)
    optimizer, before = optimizer_for(tiny(), plan), linear.weight.detach().clone()
    set_rate(optimizer, plan, 0.03)
    linear.weight.grad = gradient = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    optimizer.step()
    # the first step: both moments, corrected for their start at zero, are the gradient and its square
    torch.testing.assert_close(linear.weight.detach(), before * (1 - 0.1 * 0.2) - 0.1 * gradient.sign(), rtol=0, atol=1e-6)


def test_matrices_of_trunks_move_by_muon_and_the_rest_by_adamw(tiny):
    system = tiny()
    muon, adamw = optimizer_for(system, plan := stage((system.trunk, system.text), lr=0.1, weight_decay=0.0)).parts
    inside = {part.weight for part in system.trunk.modules() if isinstance(part, nn.Linear)}
    assert isinstance(muon, Muon) and {p for group in muon.param_groups for p in group["params"]} == inside
    others = {p for group in adamw.param_groups for p in group["params"]}
    assert others == {*system.trunk.parameters(), *system.text.parameters()} - inside
    (alone,) = optimizer_for(system, plan, "adamw").parts
    assert {p for group in alone.param_groups for p in group["params"]} == inside | others


def test_parts_of_a_trunk_move_as_the_whole_does(tiny):
    """A stage may train some layers alone, and the next carry their optimizer's state on."""
    system = tiny()
    block = system.trunk.blocks[0]
    (muon,) = optimizer_for(system, stage((block.mlp.inner,))).parts
    assert isinstance(muon, Muon)
    assert {p for group in muon.param_groups for p in group["params"]} == set(block.mlp.inner.parameters())


def test_a_rehearsal_moves_nothing_and_is_forgotten(tiny):
    system = tiny()
    optimizer = optimizer_for(system, stage((system.trunk, system.text), lr=0.1))
    before = {name: tensor.clone() for name, tensor in system.state_dict().items()}
    for parameter in system.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    optimizer.rehearse()
    assert not optimizer.state
    torch.testing.assert_close(system.state_dict(), before, rtol=0, atol=0)


def test_the_average_follows_and_takes_the_place_of_the_weights():
    weight = nn.Parameter(torch.tensor([0.0]))
    average = Average([weight], 0.75)
    for value in (4.0, 8.0):
        weight.data.fill_(value)
        average.follow()
    assert weight.item() == 8.0  # it only watches
    average.finish()
    assert weight.item() == pytest.approx(0.75 * 1.0 + 0.25 * 8.0)
