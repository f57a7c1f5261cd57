import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tessera.attention import causal, within
from tessera.trunk import Fading, Mamba, MambaBlock, Mixer
from tessera.trunk import scan as scans
from tessera.trunk.scan import by_kernels, quickest, scan

WIDTH = 16


def one_by_one(x, decay, into, out, document, state):
    """The recurrence as it is written down: place after place."""
    share, said, of = x.shape[2] // into.shape[2], [], torch.zeros_like(document[:, 0])
    for t in range(x.shape[1]):
        same, of = document[:, t] == of, document[:, t]
        added = x[:, t, :, :, None] * into[:, t].repeat_interleave(share, 1)[:, :, None]
        state = state * same[:, None, None, None] * decay[:, t].exp()[..., None, None] + added
        said.append((state * out[:, t].repeat_interleave(share, 1)[:, :, None]).sum(-1))
    return torch.stack(said, 1), state


def drawn(count, documents=True):
    """Something to scan: two rows, four heads in two groups."""
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64)
    document = (torch.rand(2, count) < 0.1).long().cumsum(1) * documents
    return draw(2, count, 4, 3), -draw(2, count, 4).exp(), draw(2, count, 2, 5), draw(2, count, 2, 5), document, draw(2, 4, 3, 5)


@pytest.mark.parametrize("count", [1, 5, 64, 65, 150])
def test_the_scan_is_the_recurrence_with_a_fresh_state_for_each_document(count):
    given = drawn(count)
    said, state = one_by_one(*given)
    found = scan(*given)
    torch.testing.assert_close(found.said, said)
    torch.testing.assert_close(found.state, state)


def as_the_kernels_do(x, dt, A, B, C, chunk_size, *, initial_states, seq_idx, return_final_states):
    """What `mamba_chunk_scan_combined` computes, by its own names: h = exp(dt A) h + dt B x, y = C h, anew for each sequence."""
    assert chunk_size == 64 and return_final_states and seq_idx.dtype == torch.int32 and A.shape == x.shape[2:3]
    return one_by_one(dt[..., None] * x, dt * A, B, C, seq_idx, initial_states)


def test_kernels_are_asked_for_the_same_scan(monkeypatch):
    x, decay, into, out, document, state = drawn(90)
    step, rate = torch.rand_like(decay) + 0.1, torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=x.dtype)
    found = by_kernels(as_the_kernels_do, x, step, rate, into, out, document, state)
    ours = quickest(x, step, rate, into, out, document, state)
    torch.testing.assert_close(found.said, ours.said)
    torch.testing.assert_close(found.state, ours.state)
    monkeypatch.setattr(scans, "kernels", lambda: pytest.fail("they are for GPUs"))
    quickest(x, step, rate, into, out, document, state)


def test_kernels_are_those_of_the_package_where_there_is_one(monkeypatch):
    scans.kernels.cache_clear()
    try:
        assert scans.kernels() is None
        names = ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton", "mamba_ssm.ops.triton.ssd_combined")
        for name in names:
            monkeypatch.setitem(sys.modules, name, SimpleNamespace(mamba_chunk_scan_combined=as_the_kernels_do))
        scans.kernels.cache_clear()
        assert scans.kernels() is as_the_kernels_do
    finally:
        scans.kernels.cache_clear()


def test_a_scan_can_be_taken_in_parts():
    x, decay, into, out, document, state = drawn(100, documents=False)
    whole, parts = scan(x, decay, into, out, document, state), []
    for some in torch.arange(100).split([1, 30, 69]):
        found = scan(x[:, some], decay[:, some], into[:, some], out[:, some], document[:, some], state)
        parts, state = [*parts, found.said], found.state
    torch.testing.assert_close(torch.cat(parts, 1), whole.said)
    torch.testing.assert_close(state, whole.state)


def test_gradients_of_a_scan_are_those_of_the_recurrence():
    *some, document, state = drawn(70)
    for made in (scan, one_by_one):
        for one in some:
            one.requires_grad_(True).grad = None
        made(*some, document, state)[0].square().sum().backward()
        grads = [one.grad for one in some]
        if made is scan:
            found = grads
    for a, b in zip(found, grads, strict=True):
        torch.testing.assert_close(a, b)


def trunk() -> Mamba:
    made = Mamba([MambaBlock(nn.RMSNorm(WIDTH), Mixer(WIDTH, head=8, state=4)) for _ in range(2)], norm=nn.RMSNorm(WIDTH))
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.double().eval()


def test_a_state_goes_on_is_left_alone_and_is_brought_back(places):
    made, x = trunk(), torch.randn(2, 6, WIDTH, dtype=torch.float64)
    laid = lambda n: places(port=[[0] * n] * 2)
    whole = made(x, None, laid(6), causal)
    cache = made.cache(rows=3, capacity=1)
    rows = [cache.take() for _ in range(3)][1:]
    first = cache.open(rows, laid(4))
    torch.testing.assert_close(made(x[:, :4], None, laid(4), causal, first), whole[:, :4])
    first.commit([True, True])
    kept, peek = cache.snapshot(rows), cache.open(rows, laid(2))
    torch.testing.assert_close(made(x[:, 4:], None, laid(2), causal, peek), whole[:, 4:])
    peek.commit([False, True])
    again = cache.open(rows, laid(2))
    said = made(x[:, 4:], None, laid(2), causal, again)
    torch.testing.assert_close(said[0], whole[0, 4:])
    assert not torch.isclose(said[1], whole[1, 4:]).all()
    cache.restore(kept)
    torch.testing.assert_close(made(x[:, 4:], None, laid(2), causal, cache.open(rows, laid(2))), whole[:, 4:])
    cache.give(rows[0])
    assert cache.take() == rows[0] and not any(part[rows[0]].any() for layer in cache.layers for part in layer)


def test_states_that_are_copied_go_on_apart(places):
    made, x = trunk(), torch.randn(1, 6, WIDTH, dtype=torch.float64)
    laid = lambda rows, n: places(port=[[0] * n] * rows)
    whole, cache = made(x, None, laid(1, 6), causal), made.cache(rows=3, capacity=1)
    first = cache.open([1], laid(1, 4))
    made(x[:, :4], None, laid(1, 4), causal, first)
    first.commit([True])
    cache.copy(1, [0, 2])
    for rows, shown in (([0, 2], x.expand(2, -1, -1)[:, 4:]), ([1], x[:, 4:])):  # what one goes on with is nothing to the others
        opened = cache.open(rows, laid(len(rows), 2))
        torch.testing.assert_close(made(shown, None, laid(len(rows), 2), causal, opened), whole[:, 4:].expand(len(rows), -1, -1))
        opened.commit([True] * len(rows))


def test_documents_of_a_row_do_not_know_each_other(places):
    """Nor those shorter than the convolution, nor one that holds what is huge."""
    made, x = trunk(), torch.randn(2, 9, WIDTH, dtype=torch.float64)
    x[0, 3:5] *= 1e12
    together = made(x, None, places(document=[[0, 0, 0, 1, 1, 2, 2, 2, 2], [0, 1, 2, 2, 2, 2, 3, 3, 3]]), causal)
    for row, parts in enumerate([(slice(0, 3), slice(3, 5), slice(5, 9)), (slice(0, 1), slice(1, 2), slice(2, 6), slice(6, 9))]):
        for part in parts:
            alone = made(x[[row], part], None, places(document=[[0] * (part.stop - part.start)]), causal)
            torch.testing.assert_close(together[[row], part], alone)


def test_heads_begin_within_the_bounds_they_are_given():
    made = Mixer(256, fading=Fading(steps=(0.05, 1.0), rates=(0.02, 0.5)))
    steps, fading = F.softplus(made.step_bias), made.log_decay.exp()
    assert 0.05 <= steps.min() < 0.2 < steps.max() <= 1 and 0.02 <= fading.min() < 0.25 < fading.max() <= 0.5


def test_what_a_state_cannot_do_is_refused(places):
    made, image = trunk(), SimpleNamespace(name="image", number=1, views=True)
    with pytest.raises(ValueError, match=r"Mamba: attention \(causal \| within\(image\)\)"):
        made.serves(causal | within(image), [])
    with pytest.raises(ValueError, match="image in several views; causal, and ports that are read as they are written"):
        made.serves(causal, [image])
    with pytest.raises(ValueError, match="places come with a condition"):
        made(torch.zeros(1, 1, WIDTH), torch.zeros(1, 1, WIDTH), places(port=[[0]]), causal)
    with pytest.raises(ValueError, match="Mixer: 32 inner features, heads of 5"):
        Mixer(WIDTH, head=5)
