import math

import pytest
import torch

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.verbs.generate import generate
from tessera.verbs.optimizing import optimizer_for, thaw
from tessera.verbs.recipes import build
from tessera.verbs.weights import weights_hash

TALK = Document((Text("a red circle is at the top left. where is the circle? top left", learn=True),))


@pytest.fixture
def system():
    return build("synergen_vl", preset="tiny")


def drawing(system, seed: int = 0) -> Document:
    picture = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return Document((Text("a red circle"), Image(picture, learn=True), Text("what is it"), Text("a circle", learn=True)))


def learned(system, stage: str, steps: int = 3) -> None:
    """A few steps of a stage."""
    (stage,) = (one for one in system.stages if one.name == stage)
    thaw(system, stage)
    optimizer = optimizer_for(system, stage)
    for _ in range(steps):
        losses = system.losses_of(system.arrange([drawing(system)], [Draw(1)]))
        sum(total / count for total, count in losses.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    system.eval()


def said_of(system, document):
    hidden, _ = system.hidden(system.arrange([document], [Draw(0)]))
    return hidden


def test_places_of_pictures_have_their_own_feed_forward_layers_and_share_all_else(system):
    language, seeing = system.trunk.towers
    ours, theirs = ({id(p): name for name, p in tower.named_parameters()} for tower in (language, seeing))
    assert {name for p, name in theirs.items() if p not in ours} == {
        f"blocks.{i}.mlp.inner.{m}.weight" for i in (0, 1) for m in ("gate_up", "down")
    }
    assert set(ours.values()) == set(theirs.values())


def test_first_the_experts_learn_and_language_stays_as_it_was(system):
    language = system.trunk.towers[0]
    before, said, seen = weights_hash(language), said_of(system, TALK), said_of(system, drawing(system))
    learned(system, "experts")
    assert weights_hash(language) == before and torch.equal(said_of(system, TALK), said)
    assert not torch.isclose(said_of(system, drawing(system)), seen).all()


def test_then_attention_too_but_not_the_feed_forward_layers_of_text(system):
    blocks = system.trunk.towers[0].blocks
    attention, mlp = ([weights_hash(getattr(block, part)) for block in blocks] for part in ("attention", "mlp"))
    learned(system, "attention")
    assert [weights_hash(block.mlp) for block in blocks] == mlp
    assert not set(attention) & {weights_hash(block.attention) for block in blocks}


def test_a_place_holds_a_piece_of_the_picture(system):
    """Four places for sixteen codes; what is written is what was drawn code after code."""
    passes, codec = [], system.by_name["image"].codec
    handle = system.eval().trunk.register_forward_hook(lambda *_: passes.append(1))
    written = generate(system, "a red circle", want=Image, seed=3)
    handle.remove()
    assert written.clean[-1].shape == (4, 4) and len(passes) < 16
    assert torch.equal(written.pictures[0], codec.codec.decode([codec.unfold(written.clean[-1])])[0])
    with torch.no_grad():
        total, count = system.losses([drawing(system)], [Draw(0)])["image"]
    assert count == 4 and float(total) / 16 == pytest.approx(math.log(16), abs=0.3)


def test_one_batch_is_learned_by_heart(system):
    some, draws = [drawing(system, seed) for seed in range(4)], [Draw(i) for i in range(4)]
    (stage,) = (one for one in system.stages if one.name == "tuned")
    thaw(system, stage)
    optimizer = optimizer_for(system, stage)
    for _ in range(150):
        losses = system.losses_of(system.arrange(some, draws))
        optimizer.zero_grad()
        sum(total / count for total, count in losses.values()).backward()
        optimizer.step()
    total, count = losses["image"]
    assert total / count < 0.5, "nats a place, of 11 at first"
