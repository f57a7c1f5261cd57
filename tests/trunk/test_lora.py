from types import SimpleNamespace

import torch
from torch import nn

from tessera.trunk import LoRA, TaskLoRA

TEXT, IMAGE, SOUND = (SimpleNamespace(name=name, number=number) for number, name in enumerate(("text", "image", "sound")))


def test_a_place_is_changed_by_the_adapter_of_what_its_document_writes_next(places):
    layer, x = TaskLoRA(4, 6, tasks=((TEXT,), (IMAGE, SOUND)), rank=2, alpha=6), torch.randn(1, 4, 4)
    laid = places(writes=[[TEXT.number, IMAGE.number, SOUND.number, -1]])
    torch.testing.assert_close(layer(x, laid), layer.linear(x), msg="it starts as the layer itself")
    for up in layer.up:
        nn.init.normal_(up.weight)
    changed = layer(x, laid) - layer.linear(x)
    for place, task in ((0, 0), (1, 1), (2, 1)):
        torch.testing.assert_close(changed[0, place], 3 * layer.of(task)[1](layer.of(task)[0](x[0, place])))
    assert not changed[0, 3].any()


def test_adapters_of_other_tasks_are_idle():
    layer = TaskLoRA(4, 6, tasks=((TEXT,), (IMAGE,)), rank=2)
    assert layer.idle_parameters == 2 * (4 + 6) and TaskLoRA(4, 6, tasks=()).idle_parameters == 0


def test_layers_that_have_adapters_of_their_own_speak_for_themselves(places):
    layer, x = TaskLoRA(4, 6, tasks=((TEXT,), (IMAGE, SOUND)), rank=2), torch.randn(1, 4, 4)
    for part in layer.parameters():
        nn.init.normal_(part)
    laid = places(port=[[0] * 4], writes=[[0, 1, 2, -1]])
    before = layer(x, laid)
    layer.linear, layer.down[0], layer.up[1] = (
        LoRA(one, parts={"all": one.out_features}, rank=2, alpha=2) for one in (layer.linear, layer.down[0], layer.up[1])
    )
    torch.testing.assert_close(layer(x, laid), before)  # adapters start at zero
    for one in (layer.linear, layer.down[0], layer.up[1]):
        nn.init.normal_(one.up[0].weight)
        changed = layer(x, laid)
        assert not torch.isclose(changed, before).all()
        before = changed


def adapted(linear, **parts):
    """The layer with adapters that say something."""
    made = LoRA(linear, parts=parts, rank=2, alpha=6)
    for up in made.up:
        nn.init.normal_(up.weight)
    return made


def test_each_part_of_a_layer_has_its_own_adapter_and_the_layer_keeps_its_weights():
    linear, x = nn.Linear(4, 6), torch.randn(3, 4)
    layer = LoRA(linear, parts={"q": 4, "k": 2}, rank=2, alpha=6)
    assert layer.weight is linear.weight and layer.bias is linear.bias and layer.names == ("q", "k")
    assert {"weight", "bias"} < layer.state_dict().keys()
    torch.testing.assert_close(layer(x), linear(x), msg="it starts as the layer itself")
    layer = adapted(linear, q=4, k=2)
    changed = layer(x) - linear(x)
    for part, said in enumerate(changed.split([4, 2], -1)):
        down, up = layer.of(part)
        torch.testing.assert_close(said, 3 * up(down(x)))


def test_merged_it_says_the_same():
    layer, x = adapted(nn.Linear(4, 6, dtype=torch.float64), q=4, k=2), torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(x @ layer.merged().T + layer.bias, layer(x))
    assert layer.merged().dtype == torch.float64


def test_parts_may_say_their_features_in_another_order():
    """What they say, and their matrices, stay in theirs."""
    linear, x, rows = nn.Linear(4, 6, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64), torch.tensor([3, 1, 2, 0, 5, 4])
    layer = LoRA(linear, parts={"q": 4, "k": 2}, rank=2, alpha=6, rows=rows)
    for up in layer.up:
        nn.init.normal_(up.weight)
    said = torch.cat([up(down(x.float())) for down, up in zip(layer.down, layer.up, strict=True)], -1)
    torch.testing.assert_close(layer(x), linear(x) + 3 * said[:, rows], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(x @ layer.merged().T + layer.bias, layer(x))
    assert "rows" not in layer.state_dict()


def test_adapters_of_a_rounded_layer_are_not_rounded():
    layer, x = adapted(nn.Linear(4, 6, dtype=torch.bfloat16), q=6), torch.randn(3, 4, dtype=torch.bfloat16)
    assert {linear.weight.dtype for linear in layer.of(0)} == {torch.float32} and layer.merged().dtype == torch.bfloat16
    layer(x).sum().backward()
    assert layer(x).dtype == torch.bfloat16 and layer.up[0].weight.grad.dtype == torch.float32
