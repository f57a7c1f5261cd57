"""What Orthus promises beyond the properties of every system."""

from dataclasses import replace

import pytest
import torch

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.systems.orthus import orthus
from tessera.verbs.parts import Parts, is_part
from tessera.verbs.runs import training_facts
from tessera.verbs.train import Settings, train
from tessera.verbs.weights import latest
from tessera.world import World

TINY = {"width": 16, "depth": 2, "heads": 2, "levels": (3, 4), "channels": 8, "steps": 2}


@pytest.fixture
def system():
    torch.manual_seed(0)
    return orthus(**TINY).eval()


@pytest.fixture
def picture():
    colours = torch.randint(256, (3, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return colours.repeat_interleave(8, 1).repeat_interleave(8, 2)


def base(system):
    return next(stage for stage in system.stages if stage.name == "base").learner


def caption(picture):
    return Document((Image(picture), Text("what is it"), Text("a dot", True)))


def test_it_is_made_of_a_chameleon(system):
    """The same trunk, table and codec, over codes: nothing that the base learns is lost."""
    chameleon = base(system)
    mine = {parameter for parameter in system.parameters()}
    assert chameleon.trunk is system.trunk and all(parameter in mine for parameter in chameleon.parameters())
    assert [port.name for port in chameleon.ports] == ["text", "codes"] and chameleon.text is system.text
    added = mine - {*chameleon.parameters()}
    reader, writer = system.by_name["image"].reader, system.by_name["image"].writer
    assert added == {*reader.codebook.parameters(), *writer.parameters()}
    adapted = next(stage for stage in system.stages if stage.name == "adapted")
    assert added == {parameter for module in adapted.train for parameter in module.parameters()}


def test_without_warmth_it_reads_as_its_chameleon_does(system, picture):
    """Rounded features and no temperature: the hidden states of both are the same."""
    codec, reader = system.by_name["image"].codec, system.by_name["image"].reader
    codes = codec.codec.encode([picture]).clean
    features = codec.scale * codec.codec.quantizer.lookup(codes)
    reader.temperature = 1e-3
    text = system.encode([caption(picture)], [Draw(0)])[0]
    soft = system.arrange([caption(picture)], [Draw(0)], clean=[[features[0], text[1].clean, text[2].clean]])
    hard = base(system).arrange([caption(picture)], [Draw(0)])
    with torch.no_grad():
        (ours, _), (theirs, _) = system.hidden(soft), base(system).hidden(hard)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    reader.temperature = 10.0
    with torch.no_grad():
        warm, _ = system.hidden(soft)
    assert (warm - theirs).abs().max() > 0.01


def test_what_rounding_drops_is_read(system, picture):
    """Two pictures with the same codes: a Chameleon cannot tell them apart, Orthus can."""
    image = system.by_name["image"]
    codec = image.codec.codec
    other = picture.clone()
    other[:, :8, :8] = (other[:, :8, :8].int() + 1).clamp(max=255).to(torch.uint8)
    assert torch.equal(codec.encode([picture]).clean, codec.encode([other]).clean)
    one, two = (image.codec.encode([raw]).clean[0] for raw in (picture, other))
    assert not torch.equal(one[0], two[0]) and torch.equal(one[1:], two[1:])


def test_the_chameleon_learns_without_its_prompt_too(system, picture):
    stage = next(stage for stage in system.stages if stage.name == "base")
    document = Document((Text("a red dot"), Image(picture, True)))
    left = [len(stage.transform(document, Draw(0, i))) for i in range(300)]
    assert 0.05 < left.count(1) / 300 < 0.16


def test_the_chameleon_is_no_part(system, tmp_path):
    """What its trunk learns there is its own budget: it grows with a run's documents, and no other run takes it."""
    assert [stage.name for stage in system.stages if is_part(stage)] == ["codec", "painter"]
    system.stages = tuple(replace(stage, documents=8, batch=8) for stage in system.stages if stage.name in ("base", "tuned"))
    settings = Settings(scale=2.0, device="cpu", precision="float32", glances=0)
    train(system, World.easy(), tmp_path / "run", settings=settings, parts=Parts("a world", folder=tmp_path / "parts"))
    told = training_facts(tmp_path / "run", latest(tmp_path / "run"))
    assert told["documents_by_stage"] == {"base": 16, "tuned": 16} and told["parts"] == {} and not (tmp_path / "parts").exists()
