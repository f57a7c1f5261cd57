import math

import pytest
import torch
from orders.loops import F64, counting, writing, written
from torch import Tensor

from tessera.document import Document, Image
from tessera.draws import Draw, generator
from tessera.laws import Drawn
from tessera.orders import Confident, Context, Masked, Power, Surest, by_chance, cosine, linear
from tessera.orders.base import Writing

CONTEXT = Context(Document((Image(learn=True),)), 0)


def hidden_counts(order: Masked, w: Writing) -> list[int]:
    return [int(ask.visible.hidden.sum()) for ask in written(order, w, counting)[1]]


# ---------------------------------------------------------------- the schedule


def test_schedules_run_from_all_hidden_to_none():
    for schedule in (cosine, linear, Power(2.0), Power(0.5)):
        shares = [schedule(i / 20) for i in range(21)]
        assert shares[0] == 1 and abs(shares[-1]) < 1e-12 and shares == sorted(shares, reverse=True)
    assert cosine(0.5) == pytest.approx(0.5**0.5) and linear(0.25) == 0.75 and Power(2.0)(0.5) == 0.75


def test_as_many_are_hidden_as_the_schedule_says():
    assert hidden_counts(Masked(steps=8), writing(16)) == [16, 15, 14, 13, 11, 8, 6, 3]  # 16 cos(pi k / 16), rounded down
    assert hidden_counts(Masked(schedule=linear, steps=10), writing(20)) == list(range(20, 0, -2))  # 20 (1 - 9 / 10) is 1.99...
    assert hidden_counts(Masked(steps=1), writing(16)) == [16]


def test_every_pass_decides_something_and_nothing_is_left():
    assert hidden_counts(Masked(steps=50), writing(4)) == [4, 3, 2, 1]
    assert hidden_counts(Masked(schedule=Power(9.0), steps=3), writing(4)) == [4, 3, 2]
    assert hidden_counts(Masked(schedule=Power(0.1), steps=3), writing(16)) == [16, 1]


def test_a_request_may_ask_for_another_number_of_passes():
    assert len(hidden_counts(Masked(steps=8), writing(16, steps=3))) == 3


# ---------------------------------------------------------------- what is shown and drawn


def test_what_is_hidden_is_blank_and_what_is_decided_stays():
    clean, asks = written(Masked(steps=6), writing(12), counting)
    assert clean.tolist() == list(range(100, 112))
    for ask, after in zip(asks, [*asks[1:], None], strict=True):
        value, hidden = ask.visible
        assert (value[hidden] == 0).all() and torch.equal(value[~hidden], torch.arange(100, 112)[~hidden])
        assert not ask.commit and ask.start == 0 and ask.known == 1 - int(hidden.sum()) / 12
        assert after is None or bool((after.visible.hidden <= hidden).all())


def test_the_least_sure_are_hidden_again():
    _, asks = written(Masked(schedule=linear, steps=4, decide=Confident(0.0)), writing(8), counting)
    assert [ask.visible.hidden.nonzero()[:, 0].tolist() for ask in asks] == [list(range(n)) for n in (8, 6, 4, 2)]


def test_watchers_see_what_was_drawn_last_even_where_it_is_hidden_again():
    w = writing(8)
    _, asks = written(Masked(steps=4, decide=Confident(0.0)), w, counting)
    assert asks[1].clean is w.like and asks[1].visible.hidden.any() and (asks[1].clean >= 100).all()


@pytest.mark.parametrize("keep", [(0, 5), (3, 4), range(6), ()], ids=["paint out", "paint in", "all given", "nothing given"])
@pytest.mark.parametrize("decide", [Confident(0.0), Confident(1.0), by_chance, Surest(0.0)])
def test_what_is_given_stays_and_all_else_is_written(keep, decide):
    order, weigh = Masked(steps=3, decide=decide), lambda visible, where: where + 1.0
    clean, asks = written(order, writing(6, keep=keep, like=torch.arange(6) + 7), counting, weigh)
    assert clean.tolist() == [i + 7 if i in keep else i + 100 for i in range(6)]
    assert all(not ask.visible.hidden[list(keep)].any() for ask in asks) and len(asks) == min(3, 6 - len(keep))
    assert len(keep) < 6 or not asks


def test_elements_may_have_features():
    given = torch.randn(6, 3, dtype=F64)
    order = Masked(steps=3)
    draw = lambda visible, where: Drawn(where[:, None] + torch.zeros(3, dtype=F64), torch.zeros(len(where)))
    clean, asks = written(order, writing(6, keep=(1,), like=given), draw)
    assert torch.equal(clean[1], given[1]) and torch.equal(clean[2:], torch.arange(2, 6)[:, None].expand(4, 3).to(F64))
    assert torch.equal(asks[0].visible.value, given * torch.tensor([0, 1, 0, 0, 0, 0])[:, None])
    visible, target, where, _ = order.corrupt(given, torch.zeros(6, dtype=torch.bool), CONTEXT, Draw(1))
    assert torch.equal(target, given) and (visible.value[where] == 0).all() and torch.equal(visible.value[~where], given[~where])


# ---------------------------------------------------------------- what is learned


def corrupted(order: Masked, length: int, keep=(), n: int = 1500) -> Tensor:
    """Which elements are hidden, [document, element], over many documents."""
    given = torch.zeros(length, dtype=torch.bool)
    given[list(keep)] = True
    clean = torch.arange(length) + 5
    hidden = []
    for i in range(n):
        visible, target, where, _ = order.corrupt(clean, given, CONTEXT, Draw(2, i))
        assert torch.equal(target, clean) and torch.equal(where, visible.hidden)
        assert torch.equal(visible.value, clean.masked_fill(where, 0))
        hidden.append(where)
    return torch.stack(hidden)


@pytest.mark.parametrize("schedule, inverse", [(cosine, lambda share: math.acos(share) * 2 / math.pi), (linear, lambda share: 1 - share)])
def test_how_many_are_hidden_follows_the_schedule_at_a_uniform_time(schedule, inverse):
    length, n = 5, 1500
    counts = torch.bincount(corrupted(Masked(schedule=schedule), length, n=n).sum(1), minlength=length + 1)
    edges = [inverse(min(1.0, (count + 0.5) / length)) for count in range(length + 1)]  # the time below which more are hidden
    p = torch.tensor([0.0, 1 - edges[1], *(edges[i - 1] - edges[i] for i in range(2, length + 1))], dtype=F64)  # 0 counts as 1
    assert p.sum() == pytest.approx(1) and counts[0] == 0
    chi_square = ((counts[1:] - n * p[1:]) ** 2 / (n * p[1:])).sum()
    assert chi_square < 23.5  # four degrees of freedom exceed this once in 10,000


def test_every_element_is_hidden_as_often_as_any_other_and_none_that_is_given():
    hidden = corrupted(Masked(), 6, keep=(1, 4))
    assert not hidden[:, [1, 4]].any() and (hidden.sum(1) >= 1).all()
    free = hidden[:, [0, 2, 3, 5]].double()
    torch.testing.assert_close(free.mean(0), free.mean().expand(4), atol=4 * 0.5 / len(free) ** 0.5, rtol=0)
    pairs = (free.T @ free / len(free))[~torch.eye(4, dtype=torch.bool)]
    torch.testing.assert_close(pairs, pairs.mean().expand(12), atol=4 * 0.5 / len(free) ** 0.5, rtol=0)


def test_where_all_is_given_nothing_is_hidden():
    assert not corrupted(Masked(), 3, keep=range(3), n=3).any()
    value, hidden = Masked().reveal(torch.tensor([3, 1]))
    assert value.tolist() == [3, 1] and not hidden.any()


# ---------------------------------------------------------------- a bound


def test_where_it_is_a_bound_any_number_is_hidden_and_stands_for_all():
    order, given = Masked(schedule=linear, bound=True), torch.tensor([0, 1, 0, 0, 0, 0]).bool()
    drawn = [order.corrupt(torch.arange(6) + 5, given, CONTEXT, Draw(3, i)) for i in range(1500)]
    assert all(one.stands_for * int(one.where.sum()) == pytest.approx(5) and not one.where[1] for one in drawn)
    counts = torch.bincount(torch.tensor([int(one.where.sum()) for one in drawn]), minlength=6)
    chi_square = ((counts[1:] - 300) ** 2 / 300).sum()
    assert counts[0] == 0 and chi_square < 23.5  # four degrees of freedom exceed this once in 10,000
    nothing = order.corrupt(torch.arange(6), torch.ones(6, dtype=torch.bool), CONTEXT, Draw(3))
    assert not nothing.where.any() and Masked().corrupt(torch.arange(6), given, CONTEXT, Draw(3)).stands_for == 1


def test_the_bound_is_the_nats_of_the_segment_where_conditionals_are_exact():
    """Then each order of unmasking costs the same, which is what the chain rule says."""
    joint, clean = torch.rand(3, 3, 3, generator=generator(5), dtype=F64), torch.tensor([0, 2, 1])
    joint /= joint.sum()
    losses = []
    for i in range(3000):
        _, _, where, stands_for = Masked(schedule=linear, bound=True).corrupt(clean, torch.zeros(3, dtype=torch.bool), CONTEXT, Draw(4, i))
        seen = joint[tuple(slice(None) if hidden else int(value) for value, hidden in zip(clean, where, strict=True))]
        of = where.nonzero()[:, 0].tolist()
        each = [seen.movedim(at, 0).reshape(3, -1).sum(1)[clean[one]] / seen.sum() for at, one in enumerate(of)]
        losses.append(-stands_for * torch.stack(each).log().sum())
    found = torch.stack(losses)
    error = float(found.std() / len(found) ** 0.5)
    assert float(found.mean()) == pytest.approx(float(-joint[tuple(clean.tolist())].log()), abs=4 * error) and error < 0.05
