import pytest
import torch
from verbs.small import TINY, same

from tessera.verbs import checkpoint
from tessera.verbs.checkpoint import load_state, save_state
from tessera.verbs.recipes import build
from tessera.verbs.weights import latest, load


@pytest.fixture
def system():
    return build("chameleon", arguments=TINY)


def test_the_last_checkpoints_of_a_run_stay(system, tmp_path):
    (tmp_path / "checkpoints" / ".unfinished-x").mkdir(parents=True)
    for number in (0, 20, 1_000_000_000, 3_000_000_007):
        save_state(tmp_path, number, system, {}, {"at": number})
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == ["000001000000000", "000003000000007"]
    assert latest(tmp_path).name == "000003000000007"


def test_a_checkpoint_holds_weights_tensors_and_facts(system, tmp_path):
    tensors = {"rng": torch.get_rng_state(), "moment": torch.randn(3, 2).T, "step": torch.tensor(4.0)}
    save_state(tmp_path, 3, system, tensors, {"at": 1})
    final = save_state(tmp_path, 3, system, tensors, {"at": {"stage": 2, "seconds": 0.1}})  # once more
    other = build("chameleon", arguments=TINY)
    found, facts = load_state(final, other)
    assert same(system, other) and facts == {"at": {"stage": 2, "seconds": 0.1}}
    assert found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert same(load(tmp_path), system)  # the folder of a run gives its latest weights


def test_a_checkpoint_appears_whole_or_not_at_all(system, tmp_path, monkeypatch):
    def full_disk(tensors, path, metadata=None):
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save_state(tmp_path, 1, system, {}, {})
    assert not [path for path in (tmp_path / "checkpoints").iterdir() if not path.name.startswith(".unfinished")]
