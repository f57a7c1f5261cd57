"""What JetFormer asks of the library beyond the properties: its codec learns in the step, and its losses are a likelihood."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tessera.data import schedule
from tessera.document import Document, Image, Task, Text
from tessera.draws import Draw
from tessera.laws import Sampling
from tessera.pieces import Later
from tessera.system import System, evaluating
from tessera.verbs.generate import generate
from tessera.verbs.likelihood import has_likelihood, picture_nats
from tessera.verbs.loader import Loader
from tessera.verbs.optimizing import thaw
from tessera.verbs.recipes import build
from tessera.verbs.train import Settings, train
from tessera.verbs.weights import latest

FAST = Settings(device="cpu", precision="float32", checkpoint_seconds=0.0, glances=0)


class Pictures:
    """Eight random pictures to draw and to describe; at call number `stops` somebody asks for the end."""

    tasks = frozenset((Task.DRAW, Task.CAPTION))

    def __init__(self, stops: int = 0):
        self.pictures = torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
        self.stops, self.calls = stops, 0

    def document(self, task, index):
        self.calls += 1
        if self.calls == self.stops:
            raise OSError("that is all")
        picture, text = self.pictures[index % 8], f"picture {index % 8}"
        drawing = task is Task.DRAW
        segments = (Text(text, learn=not drawing), Image(picture, learn=drawing))
        return Document(segments if drawing else segments[::-1], task=task)


def small(documents: int = 64) -> System:
    """The tiny preset, its stage short."""
    system = build("jetformer", preset="tiny")
    both = {Task.DRAW: 0.5, Task.CAPTION: 0.5}
    for coupling in system.by_name["image"].codec.couplings.couplings:
        nn.init.normal_(coupling.adviser.out.weight, std=0.05)  # as built they change nothing
    system.stages = tuple(replace(stage, documents=documents, batch=4, mix=both, lr=3e-3) for stage in system.stages)
    return system


def prepared(system: System):
    """A batch of pictures to be drawn, as the loader makes it ahead of the step."""
    stage = replace(system.stages[0], mix={Task.DRAW: 1.0})
    return Loader(system, stage, Pictures(), schedule(Pictures(), stage.mix, 0), seed=0, number=0).prepare(0)


def test_a_codec_that_learns_encodes_in_the_step():
    system = small()
    thaw(system, system.stages[0])
    batch = prepared(system)
    assert isinstance(batch, Later) and len(batch) == 4
    with evaluating(system):  # a look at the system, while the loader prepares the next batch
        assert isinstance(prepared(system), Later)
    losses = system.losses_of(batch)
    sum(total for total, _ in losses.values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in system.by_name["image"].codec.parameters())
    before = [piece.visible for piece in batch[0] if piece.port.kind is Image]
    nn.init.normal_(system.by_name["image"].codec.couplings.couplings[0].adviser.out.weight)
    after = [piece.visible for piece in batch[0] if piece.port.kind is Image]
    assert not torch.equal(before[0], after[0]), "what was prepared knows the weights that are, not those that were"


def test_a_frozen_codec_encodes_ahead():
    system = small()
    stage = replace(system.stages[0], train=(system.trunk,))
    system.stages = (stage,)
    thaw(system, stage)
    assert isinstance(prepared(system), list)


def test_pictures_that_are_read_teach_the_flow_nothing():
    system = small()
    thaw(system, system.stages[0])
    picture = Pictures().pictures[0]
    total, _ = system.losses([Document((Image(picture), Text("a dot", True)))], [Draw(0)])["text"]
    total.backward()
    assert all(p.grad is None for p in system.by_name["image"].codec.parameters())
    assert system.by_name["seen"].reader is system.by_name["image"].reader


def test_stopped_and_resumed_is_as_never_having_stopped(tmp_path):
    whole = train(small(), Pictures(), tmp_path / "whole", settings=FAST)
    with pytest.raises(OSError, match="that is all"):
        train(small(), Pictures(58), tmp_path / "parts", settings=FAST)
    assert latest(tmp_path / "parts").name.endswith("40"), "it stopped in the middle"
    resumed = train(small(), Pictures(), tmp_path / "parts", settings=FAST, resume=True)
    ours, theirs = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert any(not torch.equal(ours[name], tensor) for name, tensor in small().state_dict().items() if "adviser.out" in name)


def test_the_loss_of_a_picture_is_a_bound_of_its_own_nats():
    system = small().eval().double()
    port, picture = system.by_name["image"], Pictures().pictures[3]
    document = Document((Text("three"), Image(picture, True)))
    with torch.no_grad():
        total, count = system.losses([document], [Draw(4)])["image"]
        clean, nats = port.codec.encode([picture], [Draw(4)])
        (pieces,) = system.arrange([document], [Draw(4)], [[system.encode([document], [Draw(4)])[0][0].clean, clean[0]]])
        hidden, _ = system.hidden([pieces])
        said = port.law.gaussians(port.writer(hidden[0, pieces[-1].answers()]))
        torch.testing.assert_close(total, nats[0] - said.log_density(clean[0]).sum())
    assert count == len(clean[0]) == 4
    assert picture_nats(system, [document], seed=4) != picture_nats(system, [document], seed=5), "pixels are filled by draws"
    bits = [nats / (192 * math.log(2)) for nats in picture_nats(system, [document], seed=4)]
    assert 5 < bits[0] < 12, "a flow that has learned nothing pays about eight bits for a value, and something"


def test_a_picture_that_is_wholly_given_costs_nothing():
    system, picture = small().eval(), Pictures().pictures[0]
    whole = Image(picture, True, torch.ones(8, 8, dtype=torch.bool))
    with torch.no_grad():
        total, count = system.losses([Document((Text("x"), whole, Text("y", True)))], [Draw(0)])["image"]
    assert (float(total), count) == (0.0, 0)


def test_systems_of_codes_have_no_likelihood_of_pixels(tiny):
    assert has_likelihood(small()) and not has_likelihood(tiny())
    with pytest.raises(ValueError, match=r"chameleon: the likelihood of pictures; .* ask for other scores"):
        picture_nats(tiny(), [])


def test_guided_pictures_differ_and_what_is_no_token_comes_from_the_seed():
    system = small().eval()
    drawn = [
        generate(system, "a dot", want=Image, sampling={Image: Sampling(guidance=g)}, seed=s).pictures[0]
        for g, s in ((1.0, 0), (4.0, 0), (1.0, 1))
    ]
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[0], generate(system, "a dot", want=Image, sampling={Image: Sampling(guidance=1.0)}).pictures[0])
