import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise, permutations, product

import pytest
import torch
from orders.loops import F64, conditional, counting, writing, written
from torch import Tensor

from tessera.draws import Streams, generator
from tessera.laws import Categorical, Drawn, Sampling
from tessera.orders import Confident, Masked, Seen, Surest, by_chance, deciding, linear, masked


def test_the_surest_are_decided_as_many_as_hold_little_in_common():
    """Entropies of .3, .1, .5 and .2: alone 0 holds, of .1 and .2 the smaller counts, and so on; the schedule may ask for more."""
    open_, first = torch.tensor([0.3, 0.1, 0.5, 0.2], dtype=F64), lambda asks: (~asks[1].visible.hidden).nonzero()[:, 0].tolist()
    write = lambda order, **more: written(order, writing(4, **more), counting, lambda visible, where: open_[where])[1]
    usual = Masked(schedule=linear, steps=4)
    assert first(write(usual, nats=0.0)) == [1] and first(write(usual, nats=0.2)) == [1, 3] and first(write(usual, nats=0.4)) == [0, 1, 3]
    assert len(write(usual, nats=0.7)) == 1 and first(write(usual, nats=0.0, steps=2)) == [1, 3]
    assert first(write(Masked(schedule=linear, steps=4, decide=Surest(0.2)))) == [1, 3]


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
    order = Masked(schedule=linear, decide=Confident(start, compounds=compounds))
    assert decided_first(order, monkeypatch, uniform, steps) == expected
    assert expected[0] == [3] and [0] in expected  # noise decides at first, and confidence later


def test_gumbel_noise_makes_the_surest_as_often_as_it_is_likely():
    p, uniform = torch.tensor([0.6, 0.3, 0.1], dtype=F64), torch.rand(3 * 30_000, dtype=F64, generator=generator(0))
    seen = torch.bincount((p.log() + deciding.gumbel(uniform).view(-1, 3)).argmax(-1), minlength=3).double() / 30_000
    torch.testing.assert_close(seen, p, atol=4 * 0.5 / 30_000**0.5, rtol=0)
    assert deciding.gumbel(torch.tensor([0.0, 1 - 2**-53], dtype=F64)).isfinite().all()


# ---------------------------------------------------------------- what is written, as a distribution


PEAKED = torch.softmax(torch.randn(2, 2, 2, 2, generator=torch.Generator().manual_seed(5), dtype=F64).mul(2.5).flatten(), 0).view(
    2, 2, 2, 2
)
JOINT = torch.softmax(torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(3), dtype=F64).mul(1.5).flatten(), 0).view(3, 2, 3)


def left_open(joint: Tensor, visible, where: Tensor) -> Tensor:
    """The entropy of elements given those that are not hidden."""
    p = [conditional(joint, int(i), *visible) for i in where]
    return torch.stack([-torch.xlogy(one, one).sum() for one in p])


def likeliest(joint: Tensor, visible, where: Tensor) -> Drawn:
    """Draws the likeliest values."""
    p, value = torch.stack([conditional(joint, int(i), *visible) for i in where]).max(-1)
    return Drawn(value, p.log())


class Scripted(Exception):
    """The script has run out: what may come next, with its probability."""


def outcomes(order: Masked, joint: Tensor, steps: int, monkeypatch) -> Tensor:
    """The exact distribution of what an order writes with an oracle for a law: every noise and every draw is tried.

    Of noise only the ranks are tried: the order decides without it or by chance.
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
                ranks = list(permutations(range(n))) if order.decide is by_chance else [list(range(n))]
                return (torch.tensor(choose(lambda: [(1 / len(ranks), list(r)) for r in ranks]), dtype=F64) + 1) / (n + 1)

        def draw(visible, where, choose=choose) -> Drawn:
            p = [conditional(joint, int(i), *visible) for i in where]
            every = product(*(range(len(one)) for one in p))
            options = lambda: [(math.prod(float(one[v]) for one, v in zip(p, values, strict=True)), values) for values in every]
            values = choose(options)
            return Drawn(torch.tensor(values), torch.stack([one[v] for one, v in zip(p, values, strict=True)]).log())

        monkeypatch.setattr(masked, "Streams", Ranks)
        try:
            clean, _ = written(order, writing(joint.ndim, steps=steps), draw, partial(left_open, joint))
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
    found = outcomes(Masked(schedule=linear, decide=by_chance), JOINT, 3, monkeypatch)
    torch.testing.assert_close(found, JOINT)
    assert (independent(JOINT) - JOINT).abs().max() > 0.02, "the elements depend on each other"


@pytest.mark.parametrize("decide", [Confident(0.0), by_chance, Surest(0.0)])
def test_one_pass_is_the_product_of_the_marginals(decide, monkeypatch):
    torch.testing.assert_close(outcomes(Masked(decide=decide), JOINT, 1, monkeypatch), independent(JOINT))


def test_one_element_in_a_pass_the_surest_first_is_the_joint_distribution(monkeypatch):
    """Elements are chosen before they are drawn: that the others wait leans towards no value."""
    torch.testing.assert_close(outcomes(Masked(schedule=linear, decide=Surest(0.0)), JOINT, 3, monkeypatch), JOINT)
    torch.testing.assert_close(outcomes(Masked(decide=Surest(math.inf)), JOINT, 3, monkeypatch), independent(JOINT))


@pytest.mark.parametrize("nats", [0.3, 0.5, 0.7])
def test_what_elements_of_a_pass_hold_in_common_is_bounded(nats, monkeypatch):
    """By the sum of their entropies less the largest: what is written is not further from the joint than that in each pass."""
    asks = lambda bound: written(Masked(decide=Surest(bound)), writing(4), partial(likeliest, PEAKED), partial(left_open, PEAKED))[1]
    assert len(asks(0.0)) == 4 > len(asks(nats)), "a bound that spares nothing would show nothing"
    found = outcomes(Masked(schedule=linear, decide=Surest(nats)), PEAKED, 4, monkeypatch)
    lost = float((PEAKED * (PEAKED / found).log()).sum())
    assert found.sum() == pytest.approx(1) and 1e-4 < lost <= 2 * nats  # in two passes, at most, several of four elements are drawn


def test_two_in_one_pass_are_independent_and_the_third_depends_on_them(monkeypatch):
    found = outcomes(Masked(schedule=linear, decide=by_chance), JOINT, 2, monkeypatch)  # half of three, rounded down, stays
    together = [JOINT / JOINT.sum(i, keepdim=True) * independent(JOINT).sum(i, keepdim=True) for i in range(3)]
    torch.testing.assert_close(found, sum(together) / 3)
    assert (found - JOINT).abs().max() > 0.005


def test_confidence_leans_towards_what_is_likely(monkeypatch):
    """Two coins, of 0.9 and of 0.6. The first one's rare side is drawn again, since any side of the other is surer."""
    joint = torch.tensor([0.9, 0.1], dtype=F64)[:, None] * torch.tensor([0.6, 0.4], dtype=F64)
    found = outcomes(Masked(schedule=linear, decide=Confident(0.0)), joint, 2, monkeypatch)
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
    found = outcomes(Masked(schedule=linear, decide=Confident(0.0)), JOINT, 3, monkeypatch)
    torch.testing.assert_close(found, surest_first(JOINT, [0, 0, 0], [0, 1, 2]))
    assert found.max() > JOINT.max() + 0.01


def test_with_dice_and_the_law_of_a_system_the_joint_distribution_is_met():
    """The same end to end, by sampling."""
    joint, law, n = JOINT[:, 0] / JOINT[:, 0].sum(), Categorical(allowed=range(3)), 500
    order, found = Masked(schedule=linear, steps=2, decide=by_chance), torch.zeros(3, 3, dtype=F64)
    for seed in range(n):
        w = writing(2, seed=seed)

        def draw(visible, where, w=w) -> Drawn:
            logits = torch.stack([conditional(joint, int(i), *visible) for i in where]).log()
            return law.draw(lambda hidden, aside: hidden, Seen(logits[None]), Sampling(), Streams([w.rng], [len(where)], logits))

        found[tuple(written(order, w, draw)[0].tolist())] += 1
    chi_square = ((found - n * joint) ** 2 / (n * joint)).sum()
    assert chi_square < 31.8  # eight degrees of freedom exceed this once in 10,000
