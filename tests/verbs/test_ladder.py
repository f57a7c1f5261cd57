import copy
from math import log

import pytest
import torch

from tessera.codecs.base import Encoded
from tessera.data import schedule
from tessera.draws import Draw
from tessera.verbs import ladder as module
from tessera.verbs.ladder import ladder, teacher_forced, through_codec
from tessera.verbs.weights import weights_hash
from tessera.world import World

EASY = World.easy()


@pytest.fixture
def system(tiny):
    return tiny(pixels=32, stride=8).eval()


@torch.no_grad()
def test_what_a_codec_loses_bounds_drawings(system, monkeypatch):
    codec = system.by_name["image"].codec
    found = ladder(system, EASY, 3, "test", 0)
    assert found.scores["codec.readable"].value == 0.0  # a codec that has not learned
    assert found.scores["oracle.readable"].value == 1.0
    assert found.right == {"codec.readable": [False] * 3, "oracle.readable": [True] * 3}
    monkeypatch.setattr(system, "losses", lambda documents, draws: {"text": (torch.tensor(0.0), 0)})
    monkeypatch.setattr(codec, "encode", lambda raws, draws: Encoded(list(raws)))
    monkeypatch.setattr(codec, "decode", lambda cleans, draws: torch.stack(cleans))
    found = ladder(system, EASY, 3, "test", 0)
    assert found.scores["codec.readable"].value == 1.0 and found.scores["codec.readable"].n == 3
    assert not any(name.startswith("teacher_forced") for name in found.scores), "a port with nothing to learn has no loss"


@torch.no_grad()
def test_pictures_pass_the_codec_in_their_order_however_many_at_once(system, monkeypatch):
    pictures = [EASY.picture(EASY.scene(i, "val")) for i in range(5)]
    together = through_codec(system, pictures)
    codec = system.by_name["image"].codec
    alone = [codec.decode(codec.encode([picture], [Draw(0)]).clean)[0] for picture in pictures]
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))
    monkeypatch.setattr(module, "TOGETHER", 2)
    assert torch.equal(torch.stack(through_codec(system, pictures)), torch.stack(together))


@torch.no_grad()
def test_losses_given_the_truth_are_those_of_all_documents_together(system):
    report = teacher_forced(system, EASY, 12, "test", 5)
    found = report.scores
    order = schedule(EASY, EASY.mix, 5)
    documents = [EASY.document(*order[i], "test") for i in range(12)]
    together = system.losses(documents, [Draw(5, i) for i in range(12)])
    assert found.keys() == {f"teacher_forced.{port}" for port in together}
    for port, (total, count) in together.items():
        score = found[f"teacher_forced.{port}"]
        assert score.value == pytest.approx(float(total) / count, rel=1e-4)
        assert score.ci95[0] <= score.value <= score.ci95[1] and 0 < score.n <= 12
    assert all(len(cases) == 12 for cases in report.ratios.values()) and report.ratios.keys() == report.clusters.keys() == found.keys()
    assert len(set(report.clusters["teacher_forced.text"])) == 12, "a document each, also those that are nothing to a port"
    assert found["teacher_forced.text"].value == pytest.approx(log(system.text.codec.size + 9), rel=0.1)  # nothing is learned yet


def test_the_name_of_weights_changes_with_any_of_them_and_not_otherwise(system):
    before = weights_hash(system)
    assert len(before) == 12 and weights_hash(copy.deepcopy(system).train()) == before
    for part in (system.trunk.norm.weight, system.by_name["image"].codec.codec.get_parameter("encoder.0.bias")):
        with torch.no_grad():
            part.view(-1)[0] += 1e-3
        after = weights_hash(system)
        assert after != before
        before = after
