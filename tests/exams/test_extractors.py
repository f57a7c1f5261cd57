import sys
import urllib.error

import pytest
import torch
from exams.inception import URL, Squares, stand_in

from tessera.exams import extractors
from tessera.exams.extractors import INCEPTION, NAMES, extractor
from tessera.exams.features import features
from tessera.exams.likeness import shown
from tessera.world import World


@pytest.fixture(scope="module")
def worlds():
    return shown(World.easy(), "val", range(5))


def test_the_worlds_features_are_those_that_come_with_the_library(worlds):
    found = extractor("world")
    assert (found.name, found.dim, found.sees, found.package) == ("world", 64, 32, "")
    assert torch.equal(found.vectors(worlds), features().vectors(worlds))
    assert found.network is not features(), "it may go to another device"


@pytest.mark.parametrize("name", INCEPTION)
def test_inceptions_layers_are_asked_for_by_the_number_of_their_features(name, worlds, monkeypatch):
    stand_in(monkeypatch)
    monkeypatch.setattr(extractors, "TOGETHER", 2)
    found = extractor(name)
    assert (found.name, found.dim, found.sees, found.package) == (name, INCEPTION[name], None, "torch-fidelity 0.4.0")
    vectors = found.vectors(worlds)
    assert vectors.shape == (5, found.dim) and not vectors.requires_grad
    torch.testing.assert_close(vectors, (worlds.float() / 255).flatten(1)[:, : found.dim])


def test_maps_of_a_layer_become_rows(worlds, monkeypatch):
    class Maps(Squares):
        def forward(self, pictures):
            return (super().forward(pictures)[0][:, :, None, None],)

    stand_in(monkeypatch, Maps)
    assert extractor("inception-64").vectors(worlds).shape == (5, 64)


def test_unknown_features_are_refused():
    with pytest.raises(ValueError, match=f"features: 'fid' was asked for; there are {', '.join(NAMES)}; choose one"):
        extractor("fid")


def test_without_the_package_it_is_said_which_and_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(
        ValueError, match=r"'inception' is Inception-v3 as the package torch-fidelity has it, which cannot be imported"
    ) as said:
        extractor("inception")
    assert str(said.value).endswith("pip install 'tessera-multimodal[fid]', or choose --features world")


@pytest.mark.parametrize(
    "fault", [urllib.error.URLError("no route to host"), RuntimeError("invalid hash value"), EOFError("Ran out of input")]
)
def test_without_the_weights_it_is_said_where_they_come_from_and_go_to(fault, monkeypatch, tmp_path):
    def lost(name, features_list):
        raise fault

    stand_in(monkeypatch, lost)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="features: 'inception-768' needs Inception's weights, which cannot be had") as said:
        extractor("inception-768")
    assert str(fault) in str(said.value) and f"downloads {URL} once into {tmp_path}/hub/checkpoints; connect, or put" in str(said.value)
