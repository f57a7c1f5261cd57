import math
from collections.abc import Callable, Iterator
from itertools import pairwise, permutations, product

import pytest
import torch
from torch import Tensor

from tessera.document import Document, Image
from tessera.draws import Draw, Streams, generator
from tessera.laws import Categorical, Drawn, Sampling
from tessera.orders import Context, Masked, Pick, Power, Seen, cosine, linear, masked
from tessera.orders.base import Writing

F64 = torch.float64
CONTEXT = Context(Document((Image(learn=True),)), 0)


def writing(length: int, *, keep=(), like: Tensor | None = None, seed: int = 0, steps: int | None = None) -> Writing:
    """What an order gets that shall write so many elements."""
    like = torch.zeros(length, dtype=torch.long) if like is None else like.clone()
    given = torch.zeros(length, dtype=torch.bool)
    given[list(keep)] = True
    return Writing(Seen(torch.zeros(1, 1, 1)), like, given, generator(seed), None, steps)


def written(order: Masked, w: Writing, draw: Callable[[Tensor, Tensor], Drawn]) -> tuple[Tensor, list]:
    """Lets an order write; `draw` gets what is visible and the numbers of the elements to draw. Returns it and all Asks."""
    loop, answer, asks = order.write(w), None, []
    while True:
        try:
            request = loop.send(answer)
        except StopIteration as stop:
            return stop.value.clean, asks
        if isinstance(request, Pick):
            answer = draw(asks[-1].visible, request.seen.hidden[0, :, 0].long())
        else:
            asks.append(request)
            answer = Seen(torch.arange(len(w.keep), dtype=F64)[None, :, None])


def counting(visible, where: Tensor) -> Drawn:
    """Draws each element's number plus 100, the surer the later it stands."""
    return Drawn(where + 100, ((where + 1) / 100).log())


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
    _, asks = written(Masked(schedule=linear, steps=4, temperature=0.0), writing(8), counting)
    assert [ask.visible.hidden.nonzero()[:, 0].tolist() for ask in asks] == [list(range(n)) for n in (8, 6, 4, 2)]


def test_watchers_see_what_was_drawn_last_even_where_it_is_hidden_again():
    w = writing(8)
    _, asks = written(Masked(steps=4, temperature=0.0), w, counting)
    assert asks[1].clean is w.like and asks[1].visible.hidden.any() and (asks[1].clean >= 100).all()


@pytest.mark.parametrize("keep", [(0, 5), (3, 4), range(6), ()], ids=["paint out", "paint in", "all given", "nothing given"])
@pytest.mark.parametrize("temperature", [0.0, 1.0, math.inf])
def test_what_is_given_stays_and_all_else_is_written(keep, temperature):
    order = Masked(steps=3, temperature=temperature)
    clean, asks = written(order, writing(6, keep=keep, like=torch.arange(6) + 7), counting)
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


# ---------------------------------------------------------------- noise on the confidence


def decided_first(order: Masked, monkeypatch, uniform: Tensor, passes: int) -> list[list[int]]:
    """Which elements each pass decides when the noise is always made of these uniform numbers."""

    class Fixed(Streams):
        def uniform(self, *shape):
            return uniform[: self._counts[0]]

    monkeypatch.setattr(masked, "Streams", Fixed)
    _, asks = written(order, writing(len(uniform), steps=passes), lambda visible, where: Drawn(where, (0.9 - where / 10).log()))
    hidden = [ask.visible.hidden for ask in asks]
    return [(a & ~b).nonzero()[:, 0].tolist() for a, b in pairwise(hidden)]


@pytest.mark.parametrize("compounds", [False, True])
def test_the_temperature_of_the_noise_falls(compounds, monkeypatch):
    """Alone the first hidden element is the surest; noise on the last one wins while its temperature is high enough."""
    steps, start, uniform = 4, 2.0, torch.tensor([0.2, 0.2, 0.2, 0.5], dtype=F64)
    expected, hidden, temperature = [], [0, 1, 2, 3], start
    for step in range(1, steps):
        temperature = (temperature if compounds else start) * (1 - step / steps)
        noise = [-math.log(-math.log(u)) for u in uniform[: len(hidden)].tolist()]
        first = max(range(len(hidden)), key=lambda i: math.log(0.9 - hidden[i] / 10) + temperature * noise[i])
        expected.append([hidden.pop(first)])
    order = Masked(schedule=linear, temperature=start, compounds=compounds)
    assert decided_first(order, monkeypatch, uniform, steps) == expected
    assert expected[0] == [3] and [0] in expected  # noise decides at first, and confidence later


def test_gumbel_noise_makes_the_surest_as_often_as_it_is_likely():
    p, uniform = torch.tensor([0.6, 0.3, 0.1], dtype=F64), torch.rand(3 * 30_000, dtype=F64, generator=generator(0))
    seen = torch.bincount((p.log() + masked.gumbel(uniform).view(-1, 3)).argmax(-1), minlength=3).double() / 30_000
    torch.testing.assert_close(seen, p, atol=4 * 0.5 / 30_000**0.5, rtol=0)
    assert masked.gumbel(torch.tensor([0.0, 1 - 2**-53], dtype=F64)).isfinite().all()


# ---------------------------------------------------------------- what is written, as a distribution


JOINT = torch.softmax(torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(3), dtype=F64).mul(1.5).flatten(), 0).view(3, 2, 3)


def conditional(joint: Tensor, i: int, value: Tensor, hidden: Tensor) -> Tensor:
    """The distribution of element i given the elements that are not hidden."""
    axes = [axis for axis in range(joint.ndim) if axis != i]
    index = tuple(slice(None) if hidden[axis] or axis == i else slice(int(value[axis]), int(value[axis]) + 1) for axis in range(joint.ndim))
    p = joint[index].sum(axes)
    return p / p.sum()


class Scripted(Exception):
    """The script has run out: what may come next, with its probability."""


def outcomes(order: Masked, joint: Tensor, steps: int, monkeypatch) -> Tensor:
    """The exact distribution of what an order writes with an oracle for a law: every noise and every draw is tried.

    Of noise only the ranks are tried, so the temperature is 0 or infinite.
    """
    found = torch.zeros_like(joint)
    scripts: list[tuple[float, list]] = [(1.0, [])]
    while scripts:
        chance, script = scripts.pop()
        choices: Iterator = iter(script)

        def choose(options: Callable[[], list[tuple[float, object]]], choices=choices):
            choice = next(choices, None)
            if choice is None:
                raise Scripted(options())
            return choice

        class Ranks(Streams):
            def uniform(self, *shape, choose=choose):
                n = self._counts[0]
                ranks = [list(range(n))] if order.temperature == 0 else list(permutations(range(n)))
                return (torch.tensor(choose(lambda: [(1 / len(ranks), list(r)) for r in ranks]), dtype=F64) + 1) / (n + 1)

        def draw(visible, where, choose=choose) -> Drawn:
            p = [conditional(joint, int(i), *visible) for i in where]
            every = product(*(range(len(one)) for one in p))
            options = lambda: [(math.prod(float(one[v]) for one, v in zip(p, values, strict=True)), values) for values in every]
            values = choose(options)
            return Drawn(torch.tensor(values), torch.stack([one[v] for one, v in zip(p, values, strict=True)]).log())

        monkeypatch.setattr(masked, "Streams", Ranks)
        try:
            clean, _ = written(order, writing(joint.ndim, steps=steps), draw)
            found[tuple(clean.tolist())] += chance
        except Scripted as out:
            scripts += [(chance * p, [*script, choice]) for p, choice in out.args[0]]
    return found


def marginals(joint: Tensor) -> list[Tensor]:
    return [joint.sum([axis for axis in range(joint.ndim) if axis != i]) for i in range(joint.ndim)]


def independent(joint: Tensor) -> Tensor:
    a, b, c = marginals(joint)
    return a[:, None, None] * b[:, None] * c


def test_one_element_in_a_pass_by_chance_is_the_joint_distribution(monkeypatch):
    found = outcomes(Masked(schedule=linear, temperature=math.inf), JOINT, 3, monkeypatch)
    torch.testing.assert_close(found, JOINT)
    assert (independent(JOINT) - JOINT).abs().max() > 0.02, "the elements depend on each other"


@pytest.mark.parametrize("temperature", [0.0, math.inf])
def test_one_pass_is_the_product_of_the_marginals(temperature, monkeypatch):
    torch.testing.assert_close(outcomes(Masked(temperature=temperature), JOINT, 1, monkeypatch), independent(JOINT))


def test_two_in_one_pass_are_independent_and_the_third_depends_on_them(monkeypatch):
    found = outcomes(Masked(schedule=linear, temperature=math.inf), JOINT, 2, monkeypatch)  # half of three, rounded down, stays
    together = [JOINT / JOINT.sum(i, keepdim=True) * independent(JOINT).sum(i, keepdim=True) for i in range(3)]
    torch.testing.assert_close(found, sum(together) / 3)
    assert (found - JOINT).abs().max() > 0.005


def test_confidence_leans_towards_what_is_likely(monkeypatch):
    """Two coins, of 0.9 and of 0.6. The first one's rare side is drawn again, since any side of the other is surer."""
    joint = torch.tensor([0.9, 0.1], dtype=F64)[:, None] * torch.tensor([0.6, 0.4], dtype=F64)
    found = outcomes(Masked(schedule=linear, temperature=0.0), joint, 2, monkeypatch)
    torch.testing.assert_close(found, torch.tensor([0.99, 0.01], dtype=F64)[:, None] * torch.tensor([0.6, 0.4], dtype=F64))


def surest_first(joint: Tensor, value: list[int], hidden: list[int]) -> Tensor:
    """By recursion: all hidden elements are drawn, the likeliest draw is kept, the rest is drawn again."""
    found = torch.zeros_like(joint)
    if not hidden:
        found[tuple(value)] = 1
        return found
    mask = torch.tensor([i in hidden for i in range(joint.ndim)])
    p = {i: conditional(joint, i, torch.tensor(value), mask).tolist() for i in hidden}
    for draws in product(*(range(len(p[i])) for i in hidden)):
        drawn = dict(zip(hidden, draws, strict=True))
        kept = max(hidden, key=lambda i: p[i][drawn[i]])
        rest = surest_first(joint, [drawn[i] if i == kept else v for i, v in enumerate(value)], [i for i in hidden if i != kept])
        found += math.prod(p[i][drawn[i]] for i in hidden) * rest
    return found


def test_without_noise_the_surest_draw_is_kept_in_every_pass(monkeypatch):
    found = outcomes(Masked(schedule=linear, temperature=0.0), JOINT, 3, monkeypatch)
    torch.testing.assert_close(found, surest_first(JOINT, [0, 0, 0], [0, 1, 2]))
    assert found.max() > JOINT.max() + 0.01


def test_with_dice_and_the_law_of_a_system_the_joint_distribution_is_met():
    """The same end to end, by sampling."""
    joint, law, n = JOINT[:, 0] / JOINT[:, 0].sum(), Categorical(allowed=range(3)), 500
    order, found = Masked(schedule=linear, steps=2, temperature=math.inf), torch.zeros(3, 3, dtype=F64)
    for seed in range(n):
        w = writing(2, seed=seed)

        def draw(visible, where, w=w) -> Drawn:
            logits = torch.stack([conditional(joint, int(i), *visible) for i in where]).log()
            return law.draw(lambda hidden, aside: hidden, Seen(logits[None]), Sampling(), Streams([w.rng], [len(where)], logits))

        found[tuple(written(order, w, draw)[0].tolist())] += 1
    chi_square = ((found - n * joint) ** 2 / (n * joint)).sum()
    assert chi_square < 31.8  # eight degrees of freedom exceed this once in 10,000


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
