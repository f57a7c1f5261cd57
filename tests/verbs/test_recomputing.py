import pytest
import torch

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.verbs.recipes import build
from tessera.verbs.recomputing import recomputed

PICTURE = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
DOCUMENTS = [
    Document((Text("a red circle and a blue star"), Image(PICTURE, learn=True))),
    Document((Image(PICTURE), Text("what is it?"), Text("a red circle and a blue star", learn=True))),
]
TRUNKS = {"Transformer": "janusflow", "Experts": "lmfusion", "Mamba": "omnimamba", "EncoderDecoder": "unified_io_2"}


def learned(system):
    """The gradients of a step, and the bytes that are kept for it on the way."""
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor):
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage())
        return tensor

    system.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = system.losses(DOCUMENTS, [Draw(0), Draw(1)])
    weights = {parameter.untyped_storage().data_ptr() for parameter in system.parameters()}
    sum(total for total, _ in losses.values()).backward()
    size = sum(storage.nbytes() for at, storage in kept.items() if at not in weights)
    return {name: parameter.grad.clone() for name, parameter in system.named_parameters() if parameter.grad is not None}, size


@pytest.mark.parametrize("trunk", TRUNKS)
def test_gradients_are_the_same_and_less_is_kept(trunk):
    system = build(TRUNKS[trunk], preset="tiny")
    assert type(system.trunk).__name__ == trunk
    plain, much = learned(system)
    with recomputed(system):
        again, little = learned(system)
    assert plain.keys() == again.keys() and all(torch.equal(plain[name], again[name]) for name in plain)
    assert little < 0.6 * much
    assert learned(system)[1] == much, "afterwards all is as before"
