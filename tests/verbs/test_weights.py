import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from verbs.small import TINY, same

from tessera.systems.chameleon import chameleon
from tessera.verbs import weights
from tessera.verbs.packing import pack, unpack
from tessera.verbs.recipes import build
from tessera.verbs.weights import load, metadata, restore, save, shipped


@pytest.fixture
def system():
    return build("chameleon", arguments=TINY)


def test_what_is_loaded_is_what_was_saved_bit_for_bit(system, tmp_path):
    save(system, tmp_path / "deep" / "w.safetensors", notes={"score": 0.5})
    loaded = load(tmp_path / "deep" / "w.safetensors")
    assert same(system, loaded) and not loaded.training
    assert loaded.origin["recipe"] == "chameleon" and metadata(tmp_path / "deep" / "w.safetensors")["notes"] == {"score": 0.5}
    assert same(system, build("chameleon", arguments=TINY)) and not same(system, build("chameleon", arguments=TINY, seed=1))


def test_shared_tensors_are_stored_once_and_stay_shared(system, tmp_path):
    path = tmp_path / "w.safetensors"
    save(system, path)
    with safe_open(path, "pt") as file:
        stored, aliases = set(file.keys()), json.loads(file.metadata()["aliases"])
    assert stored | aliases.keys() == system.state_dict().keys() and not stored & aliases.keys()
    assert aliases["by_name.image.reader.table.weight"] == "by_name.text.reader.table.weight"
    assert sum(tensor.numel() for tensor in load_file(path).values()) == sum(p.numel() for p in system.parameters())
    loaded = load(path)
    assert loaded.by_name["image"].reader.table is loaded.text.reader.table


def test_half_precision_rounds_floats_only(system, tmp_path):
    system.register_buffer("count", torch.tensor(2**40 + 1))
    save(system, tmp_path / "half", bits=16)
    save(system, tmp_path / "full")
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "full").stat().st_size
    other = build("chameleon", arguments=TINY)
    other.register_buffer("count", torch.tensor(0))
    restore(other, tmp_path / "half")
    assert other.count == 2**40 + 1
    for name, tensor in system.named_parameters():
        found = other.get_parameter(name)
        assert found.dtype == torch.float32 and torch.equal(found, tensor.half().float())


def test_eight_bits_keep_every_row_within_a_254th_of_its_largest_magnitude(system, tmp_path):
    system.register_buffer("count", torch.tensor(2**40 + 1))
    save(system, tmp_path / "short", bits=8)
    save(system, tmp_path / "full")
    assert (tmp_path / "short").stat().st_size < 0.4 * (tmp_path / "full").stat().st_size
    other = build("chameleon", arguments=TINY)
    other.register_buffer("count", torch.tensor(0))
    restore(other, tmp_path / "short")
    assert other.count == 2**40 + 1
    for name, tensor in system.named_parameters():
        found = other.get_parameter(name).flatten(1) if tensor.ndim > 1 else other.get_parameter(name)[:, None]
        rows = tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None]
        assert ((found - rows).abs() <= rows.abs().amax(1, keepdim=True) * (1 / 254 + 1e-3)).all(), name


def test_rows_of_zeros_stay_so_and_other_bits_are_refused():
    rows = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    assert torch.equal(unpack(pack({"rows": rows}, 8))["rows"][0], rows[0])
    with pytest.raises(ValueError, match=r"save: 4 bits a number; 8, 16, 32 are accepted"):
        pack({"rows": rows}, 4)


def test_tensors_of_parts_that_come_with_the_library_are_not_stored_again(system, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "PARTS", tmp_path / "parts")
    codec = system.by_name["image"].codec.codec
    codec.load_state_dict(
        {name: tensor.half().float() if tensor.is_floating_point() else tensor for name, tensor in codec.state_dict().items()}
    )
    (tmp_path / "parts").mkdir()
    save_file(
        {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in codec.state_dict().items()},
        tmp_path / "parts" / "codec-1.safetensors",
    )
    save(system, tmp_path / "lean", parts=["codec-1"])
    assert not any("codec" in name for name in load_file(tmp_path / "lean")) and same(load(tmp_path / "lean"), system)
    save(system, tmp_path / "lean8", parts=["codec-1"], bits=8)
    assert same(load(tmp_path / "lean8").by_name["image"].codec.codec, codec), "of the part nothing is lost"
    (tmp_path / "parts" / "codec-1.safetensors").unlink()
    with pytest.raises(ValueError, match=r"lean leaves tensors to codec-1, which does not come with this version"):
        load(tmp_path / "lean")


def test_files_that_are_none_of_ours_are_refused(tmp_path, system):
    (tmp_path / "text").write_text("weights")
    save_file({"x": torch.ones(1)}, tmp_path / "foreign", {"format": "pt"})
    save_file({"x": torch.ones(1)}, tmp_path / "plain")
    for name in ("text", "foreign", "plain", "missing"):
        with pytest.raises(ValueError, match=f"load: .*{name}: .*; a weights file written by tessera is accepted; check the path"):
            restore(system, tmp_path / name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 32}, "tensors of another shape"),
        ({"depth": 2}, "tensors missing \\(trunk.blocks.1"),
        ({"depth": 0}, "tensors unknown \\(trunk.blocks.0"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_changes(change, said, system, tmp_path):
    save(system, tmp_path / "w")
    other = chameleon(**(TINY | change))
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(ValueError, match=rf"load: .*{said}.*; it was written for .*'width': 16.*; build the system with these arguments"):
        restore(other, tmp_path / "w")
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())


def test_a_file_is_replaced_whole_or_not_at_all(system, tmp_path, monkeypatch):
    save(system, tmp_path / "w")

    def full_disk(tensors, path, metadata=None):
        with open(path, "wb") as file:
            file.write(b"half a file")
        raise OSError("no space left on device")

    monkeypatch.setattr(weights, "save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save(build("chameleon", arguments=TINY), tmp_path / "w")
    assert same(load(tmp_path / "w"), system)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"run: .* holds no checkpoint; the folder of a training run is accepted"):
        load(tmp_path)


def test_weights_that_come_with_the_library_go_by_name_and_level(system, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    with pytest.raises(ValueError, match=r"load: weights of chameleon on level easy; .* none; train it: `tessera train chameleon"):
        load("chameleon")
    save(system, tmp_path / "chameleon-easy.safetensors")
    save(system, tmp_path / "nobody-easy.safetensors")
    assert same(load("chameleon"), system) and shipped() == [("chameleon", "easy")]
    with pytest.raises(ValueError, match=r"load: weights of chameleon on level standard; .* chameleon on easy; train it"):
        load("chameleon", level="standard")
    with pytest.raises(ValueError, match="load: weights of chameleon on level full; levels are easy, standard; name one of these"):
        load("chameleon", level="full")
    with pytest.raises(ValueError, match=r"recipe: 'chamelion'; near it there are .*chameleon"):
        load("chamelion")


def test_the_name_of_a_system_wins_over_a_folder_called_so(system, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    save(system, tmp_path / "chameleon-easy.safetensors")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chameleon").mkdir()
    assert same(load("chameleon"), system)
    with pytest.raises(ValueError, match="holds no checkpoint"):
        load("./chameleon")


def test_a_format_of_another_version_is_refused(system, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FORMAT", "7")
    save(system, tmp_path / "w")
    monkeypatch.setattr(weights, "FORMAT", "1")
    with pytest.raises(ValueError, match=r"load: .*w: format 7; this version reads 1"):
        load(tmp_path / "w")


def test_a_system_built_by_hand_is_filled_but_not_loaded(tiny, tmp_path):
    one, other = tiny(), tiny()
    save(one, tmp_path / "w")
    with pytest.raises(ValueError, match=r"load: .*w: no recipe built its system; .*tessera\.restore"):
        load(tmp_path / "w")
    restore(other, tmp_path / "w")
    assert same(one, other)


def test_a_device_that_is_not_there_is_refused(system, tmp_path):
    save(system, tmp_path / "w")
    assert load(tmp_path / "w", device="cpu").device.type == "cpu"
    with pytest.raises(ValueError, match=r"device: 'gpu': .*; auto, cpu, and cuda where it is there are accepted"):
        load(tmp_path / "w", device="gpu")
