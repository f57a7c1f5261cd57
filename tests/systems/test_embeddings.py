"""MetaMorph and Emu: what moves when, and that pictures are drawn as features which a decoder paints."""

import pytest
import torch

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.laws.base import Sampling
from tessera.stages import Stage
from tessera.system import System
from tessera.verbs.generate import Request, write
from tessera.verbs.recipes import build


@pytest.fixture(params=["metamorph", "emu"])
def system(request) -> System:
    return build(request.param, preset="tiny").eval()


def stage(system: System, name: str) -> Stage:
    return next(one for one in system.stages if one.name == name)


def moved(one: Stage) -> set:
    return {parameter for module in one.train for parameter in module.parameters()}


def test_the_eye_moves_in_its_own_stage_alone(system):
    eye = set(system.by_name["image"].codec.eye.parameters())
    assert [one.name for one in system.stages if moved(one) & eye] == ["eye"]


def test_the_decoder_is_trained_apart_and_stands_behind(system):
    codec = system.by_name["image"].codec
    painter = set(codec.painter.parameters())
    trained = [one.name for one in system.stages if moved(one) & painter]
    assert trained == {"metamorph": ["painter"], "emu": ["former", "painter"]}[system.name]
    assert all(stage(system, name).learner is codec for name in trained)


def test_all_but_the_codec_learns_at_last(system):
    codec = set(system.by_name["image"].codec.parameters())
    assert moved(system.stages[-1]) == set(system.parameters()) - codec


def test_metamorphs_adapters_are_warmed_up_alone():
    system = build("metamorph", preset="tiny")
    image = system.by_name["image"]
    assert moved(stage(system, "adapters")) == {*image.reader.parameters(), *image.writer.parameters()}
    names = [one.name for one in system.stages]
    assert names.index("language") < names.index("adapters") < names.index("joint")


def test_emus_former_learns_before_what_is_predicted_of_it():
    system = build("emu", preset="tiny")
    former = set(system.by_name["image"].codec.former.parameters())
    assert [one.name for one in system.stages if moved(one) & former] == ["former"]


def test_drawn_features_are_of_the_kind_that_is_read(system):
    """Of unit length in MetaMorph; and the picture is what the decoder paints by them from the request's noise."""
    (one, again, other) = write(system, [Request(Document((Text("a dot"), Image(learn=True))), seed) for seed in (1, 1, 2)])
    codec, features = system.by_name["image"].codec, one.clean[-1]
    assert features.shape == codec.blank().shape and torch.equal(one.pictures[0], again.pictures[0])
    torch.testing.assert_close(features, other.clean[-1])  # nothing is drawn but the decoder's noise
    assert torch.equal(one.pictures[0], codec.decode([features], [Draw(1)])[0])
    if system.name == "metamorph":
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(codec.elements))


def test_a_resampled_eye_is_a_metamorph_too():
    system = build("metamorph", preset="tiny", arguments={"look": (32, 1, 2, 2)})
    (one,) = write(system, [Request(Document((Text("a dot"), Image(learn=True))), 0, {Image: Sampling(guidance=2.0)})])
    assert one.clean[-1].shape == (4, 32) and one.pictures[0].shape == (3, 32, 32)
