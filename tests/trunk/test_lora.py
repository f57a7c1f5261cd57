from types import SimpleNamespace

import torch
from torch import nn

from tessera.trunk import TaskLoRA

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
