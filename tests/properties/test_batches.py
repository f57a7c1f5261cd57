"""Documents side by side in one batch, or in one row, do not know of each other; fast masks are the slow one."""

import pytest
import torch
from properties.harness import blanks, documents, laid_out, write
from torch.nn.attention.flex_attention import create_mask

from tessera.attention import AttentionRule
from tessera.draws import Draw
from tessera.places import Places
from tessera.system import System


@pytest.mark.parametrize("capacity", [0, 64, 10_000])
def test_packed_equals_alone(system, capacity):
    some = documents(system)
    together = system.losses_of(laid_out(system, some), capacity=capacity)
    alone = [system.losses([document], [Draw(5, i)]) for i, document in enumerate(some)]
    assert set(together) == {port.name for port in system.ports if port.writes} | {extra.name for extra in system.extras}
    for port, (total, count) in together.items():
        assert count == pytest.approx(sum(losses[port][1] for losses in alone), rel=1e-12) and count > 0
        torch.testing.assert_close(total, sum(losses[port][0] for losses in alone), rtol=1e-9, atol=1e-9)


def flex(system: System, queries: Places, keys: Places) -> torch.Tensor:
    """The mask as FlexAttention builds it."""
    (rows, q), k = queries.document.shape, keys.document.shape[-1]
    return create_mask(system.attention.mask_mod(queries, keys), rows, 1, q, k, device="cpu")[:, 0]


@pytest.mark.parametrize("capacity", [0, 10_000])
def test_dense_mask_equals_flex_mask_in_training(system, capacity):
    _, batch = system.hidden(laid_out(system, documents(system)), capacity)
    dense = system.attention.dense(batch.places, batch.places)
    assert dense.any(-1).all(), "every place sees something"
    assert torch.equal(dense, flex(system, batch.places, batch.places))


def test_dense_mask_equals_flex_mask_in_writing(system, monkeypatch):
    asked: list[tuple[Places, Places]] = []
    dense = AttentionRule.dense

    def spy(rule: AttentionRule, queries: Places, keys: Places) -> torch.Tensor:
        asked.append((queries, Places(keys.data.clone())))
        return dense(rule, queries, keys)

    monkeypatch.setattr(AttentionRule, "dense", spy)
    write(system, blanks(system), guidance=2.0)
    monkeypatch.undo()
    by_shape = {(queries.data.shape, keys.data.shape): (queries, keys) for queries, keys in asked}
    for queries, keys in list(by_shape.values())[:: max(1, len(by_shape) // 8)]:
        assert torch.equal(system.attention.dense(queries, keys), flex(system, queries, keys))
