"""Janus: two ways of seeing, and what its stages train."""

import torch

from tessera.attention import causal
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.places import View
from tessera.systems.janus import PRESETS, janus
from tessera.verbs.recipes import build


def ids(*modules) -> set[int]:
    return {id(parameter) for module in modules for parameter in module.parameters()}


def test_stages_open_one_after_another():
    system = build("janus", preset="tiny")
    drawn, eye = system.by_name["image"], system.by_name["eye"].reader
    stages = {stage.name: ids(*stage.train) for stage in system.stages}
    assert list(stages) == ["eye", "codec", "language", "adaptors", "unified", "tuned"]
    codec, everything = ids(drawn.codec), ids(system)
    assert stages["adaptors"] == ids(drawn.reader, drawn.writer, eye.projector)
    assert stages["unified"] == stages["tuned"] == everything - codec, "all but the encoder of what is drawn"


def test_given_pictures_are_seen_and_drawn_ones_too_once_they_are_there():
    system = build("janus", preset="tiny")
    picture = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    given = Document((Image(picture), Text("a dot", learn=True)))
    story = Document((Text("a dot"), Image(picture, learn=True), Text("what is it?"), Text("a dot", learn=True)))
    one, other = system.arrange([given, story], [Draw(0), Draw(1)])
    of = lambda pieces, port: [piece for piece in pieces if piece.port.name == port]
    assert len(of(one, "eye")) == 1 and not of(one, "image")
    (codes,), (seen,) = of(other, "image"), of(other, "eye")
    assert codes.view is View.PRIVATE and seen.view is View.PUBLIC and codes.segment == seen.segment
    assert torch.equal(seen.visible, of(one, "eye")[0].visible)
    assert system.attention is causal


def test_the_paper_preset_has_the_published_sizes():
    with torch.device("meta"):
        system = janus(**PRESETS["paper"])
    eye, drawn = system.by_name["eye"].reader.eye, system.by_name["image"]
    assert (len(eye.blocks), eye.width, eye.elements) == (24, 1024, 576)
    assert drawn.codec.elements == 576 and drawn.codec.quantizer.size == 16_384
    assert len(system.trunk.blocks) == 24 and system.trunk.blocks[0].mlp.inner.down.in_features == 5632
