import pytest
import torch

from tessera.places import UNUSED
from tessera.trunk import Cache

HEADS, SIZE = 2, 3


@pytest.fixture
def cache():
    return Cache(layers=2, heads=HEADS, size=SIZE, rows=4, capacity=4, like=torch.zeros((), dtype=torch.float64))


@pytest.fixture
def show(places):
    """One pass: `numbers[row]` are shown to `rows`; keys hold the number, values its negative. Returns what each row sees."""

    def show(cache, rows, numbers, *, keep):
        new = torch.tensor(numbers, dtype=torch.float64)
        opened = cache.open(rows, places(order=numbers))
        keys = new[:, None, :, None].expand(-1, HEADS, -1, SIZE)
        seen = []
        for layer in (1, 2):
            k, v = opened.extend(keys * layer, -keys * layer)
            assert torch.equal(k, -v) and torch.equal(k, k[:, :1, :, :1].expand_as(k))
            seen.append(k[:, 0, :, 0] / layer)
        assert torch.equal(*seen)
        facts = opened.places
        used = [order[document != UNUSED].tolist() for order, document in zip(facts.order, facts.document, strict=True)]
        held = [keys[: len(orders)].tolist() for keys, orders in zip(seen[0], used, strict=True)]
        assert held == used  # keys stand where their places say
        opened.commit([keep] * len(rows) if isinstance(keep, bool) else keep)
        return used

    return show


def test_committed_places_stay_and_new_ones_stand_behind_them(cache, show):
    assert show(cache, [0, 1], [[1, 2], [5, 6]], keep=True) == [[1, 2], [5, 6]]
    assert show(cache, [0, 1], [[3], [7]], keep=True) == [[1, 2, 3], [5, 6, 7]]


def test_a_peek_leaves_nothing_behind(cache, show):
    show(cache, [0], [[1]], keep=True)
    assert show(cache, [0], [[8, 9]], keep=False) == [[1, 8, 9]]
    assert show(cache, [0], [[2]], keep=True) == [[1, 2]]
    assert cache.lengths[0] == 2 and (cache.places[0, 0, 2:] == UNUSED).all()


def test_each_row_commits_for_itself(cache, show):
    show(cache, [0, 1, 2], [[1], [1], [1]], keep=[True, False, True])
    assert cache.lengths == [1, 0, 1, 0]
    assert show(cache, [0, 1, 2], [[2], [2], [2]], keep=True) == [[1, 2], [2], [1, 2]]


def test_rows_in_any_order_keep_their_own(cache, show):
    show(cache, [3, 0], [[30], [10]], keep=True)
    assert show(cache, [0, 1, 3], [[11], [20], [31]], keep=True) == [[10, 11], [20], [30, 31]]
    assert show(cache, [2, 3], [[40], [32]], keep=True) == [[40], [30, 31, 32]]


def test_rows_grow_beyond_the_capacity(cache, show):
    show(cache, [1], [[1, 2, 3]], keep=True)
    assert show(cache, [1], [list(range(4, 24))], keep=True) == [list(range(1, 24))]
    assert show(cache, [0, 1], [[7], [24]], keep=True) == [[7], list(range(1, 25))]
    assert cache.places.shape[-1] == cache.layers[0].shape[3] == cache.layers[1].shape[3] >= 24


def test_restore_forgets_what_came_after_the_snapshot(cache, show):
    show(cache, [0, 2], [[1, 2], [8, 9]], keep=True)
    before = cache.snapshot([0, 2])
    show(cache, [0, 2], [[3, 4], [4, 4]], keep=True)
    show(cache, [3], [[1, 2, 3, 4, 5, 6]], keep=True)
    cache.restore(before)
    assert cache.lengths == [2, 0, 2, 6]
    assert show(cache, [0, 2, 3], [[7], [7], [7]], keep=False) == [[1, 2, 7], [8, 9, 7], [1, 2, 3, 4, 5, 6, 7]]
    cache.restore(before)  # as often as one likes
    assert show(cache, [0, 1, 2], [[7], [7], [7]], keep=False) == [[1, 2, 7], [7], [8, 9, 7]]


def test_rows_that_are_copied_go_on_apart(cache, show):
    show(cache, [2], [[1, 2, 3]], keep=True)
    show(cache, [0], [[8, 8, 8, 8, 8]], keep=True)
    cache.copy(2, [0, 3])
    assert cache.lengths == [3, 0, 3, 3] and (cache.places[0, [0, 3], 3:] == UNUSED).all()
    assert show(cache, [0, 1, 2, 3], [[4], [5], [6], [7]], keep=True) == [[1, 2, 3, 4], [5], [1, 2, 3, 6], [1, 2, 3, 7]]


def test_a_row_given_back_is_clean(cache, show):
    rows = [cache.take() for _ in range(4)]
    assert sorted(rows) == [0, 1, 2, 3]
    show(cache, rows[1:3], [[1, 2, 3]] * 2, keep=True)
    cache.give(rows[1])
    assert cache.take() == rows[1]
    assert show(cache, rows[1:3], [[9], [9]], keep=True) == [[9], [1, 2, 3, 9]]
