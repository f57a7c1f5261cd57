import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tessera.verbs import checkpoint
from tessera.verbs.checkpoint import latest, load, load_state, metadata, restore, save, save_state, shipped
from tessera.verbs.recipes import build

TINY = {"width": 16, "depth": 1, "heads": 2, "levels": (3, 3), "channels": 8, "pixels": 8, "stride": 4}


@pytest.fixture
def system():
    return build("chameleon", arguments=TINY)


def same(one, other) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


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
    save(system, tmp_path / "half", dtype=torch.float16)
    save(system, tmp_path / "full")
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "full").stat().st_size
    other = build("chameleon", arguments=TINY)
    other.register_buffer("count", torch.tensor(0))
    restore(other, tmp_path / "half")
    assert other.count == 2**40 + 1
    for name, tensor in system.named_parameters():
        found = other.get_parameter(name)
        assert found.dtype == torch.float32 and torch.equal(found, tensor.half().float())


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
    other = build("chameleon", arguments=TINY | change)
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

    monkeypatch.setattr(checkpoint, "save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save(build("chameleon", arguments=TINY), tmp_path / "w")
    assert same(load(tmp_path / "w"), system)
    with pytest.raises(OSError, match="no space left"):
        save_state(tmp_path / "run", 1, system, {}, {})
    assert not [path for path in (tmp_path / "run" / "checkpoints").iterdir() if not path.name.startswith(".unfinished")]


def test_the_last_checkpoints_of_a_run_stay(system, tmp_path):
    (tmp_path / "checkpoints" / ".unfinished-x").mkdir(parents=True)
    for number in (0, 20, 1_000_000_000, 3_000_000_007):
        save_state(tmp_path, number, system, {}, {"at": number})
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == ["1000000000", "3000000007"]
    assert latest(tmp_path).name == "3000000007"


def test_a_checkpoint_holds_weights_tensors_and_facts(system, tmp_path):
    tensors = {"rng": torch.get_rng_state(), "moment": torch.randn(3, 2).T, "step": torch.tensor(4.0)}
    save_state(tmp_path, 3, system, tensors, {"at": 1})
    final = save_state(tmp_path, 3, system, tensors, {"at": {"stage": 2, "seconds": 0.1}})  # once more
    other = build("chameleon", arguments=TINY)
    found, facts = load_state(final, other)
    assert same(system, other) and facts == {"at": {"stage": 2, "seconds": 0.1}}
    assert found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert same(load(tmp_path), system)  # the folder of a run gives its latest weights


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"run: .* holds no checkpoint; the folder of a training run is accepted"):
        load(tmp_path)


def test_weights_that_come_with_the_library_go_by_name_and_level(system, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path)
    with pytest.raises(ValueError, match=r"load: weights of chameleon on level easy; .* none; train it: `tessera train chameleon"):
        load("chameleon")
    save(system, tmp_path / "chameleon-easy.safetensors")
    save(system, tmp_path / "nobody-easy.safetensors")
    assert same(load("chameleon"), system) and shipped() == [("chameleon", "easy")]
    with pytest.raises(ValueError, match=r"load: weights of chameleon on level full; .* chameleon on easy; train it"):
        load("chameleon", level="full")
    with pytest.raises(ValueError, match=r"recipe: 'chamelion'; near it there are .*chameleon"):
        load("chamelion")
