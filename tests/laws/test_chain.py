from functools import cache
from itertools import product

import pytest
import torch

from tessera.draws import Draw, Streams, generator
from tessera.laws import Categorical, Chain, Sampling
from tessera.laws.categorical import truncate
from tessera.orders.base import Seen

F64 = torch.float64
VALUES, LENGTH = 3, 3
EVERY = torch.tensor(list(product(range(VALUES), repeat=LENGTH)))
ASKED, DROPPED = torch.softmax(1.5 * torch.randn(2, VALUES**LENGTH, generator=generator(3), dtype=F64), 1).view(2, *[VALUES] * LENGTH)


class Knows:
    """A writer that knows the joint distribution of each branch: the logarithms of all conditional ones that are asked for."""

    def __init__(self, *joints: torch.Tensor):
        self.joints = joints

    def __call__(self, hidden, aside, before):
        branches = before if before.ndim == 3 else before[None]
        said = torch.stack([self.of(joint, codes) for joint, codes in zip(self.joints, branches, strict=True)])
        return said if before.ndim == 3 else said[0]

    def of(self, joint, codes):
        return torch.stack([torch.stack([self.next(joint, tuple(row[:i])) for i in range(len(row) + 1)]) for row in codes.tolist()])

    @staticmethod
    @cache
    def next(joint, known):
        left = joint[known]
        return left.flatten(1).sum(1).log() - left.sum().log() if left.ndim > 1 else left.log() - left.sum().log()


def law(**settings) -> Chain:
    return Chain(Categorical(**{"allowed": range(VALUES), **settings}), length=LENGTH)


def draw(*joints, count, seeds=(0,), counts=None, chain=None, **sampling):
    hidden = torch.zeros(len(joints), count, 1, dtype=F64)
    streams = Streams([generator(seed) for seed in seeds], counts or [count], hidden)
    return (chain or law()).draw(Knows(*joints), Seen(hidden), Sampling(**sampling), streams)


def walked(*joints, guidance=1.0, temperature=1.0, top_k=None, top_p=None) -> torch.Tensor:
    """By enumeration: the probability of every whole when each code is drawn so, given those before it."""
    found = []
    for codes in EVERY.tolist():
        chance = torch.ones((), dtype=F64)
        for i, code in enumerate(codes):
            logits = [Knows.next(joint, tuple(codes[:i])) for joint in joints]
            said = logits[-1] + guidance * (logits[0] - logits[-1])
            p = truncate((said / temperature).softmax(-1)[None], top_k, top_p)[0]
            chance = chance * p[code] / p.sum()
        found.append(chance)
    return torch.stack(found)


def test_the_loss_is_the_cross_entropy_of_the_joint_distribution():
    each = law().loss(Knows(ASKED), torch.zeros(len(EVERY), 1, dtype=F64), None, EVERY, None)
    torch.testing.assert_close(each, -ASKED.flatten().log())
    torch.testing.assert_close((DROPPED.flatten() * each).sum(), -(DROPPED * ASKED.log()).sum())


def test_the_z_loss_is_that_of_every_code():
    logits, target = torch.randn(5, LENGTH, VALUES, dtype=F64), EVERY[:5]
    plain, more = (law(z_loss=z).loss(lambda *_: logits, torch.zeros(5, 1, dtype=F64), None, target, None) for z in (0.0, 0.3))
    torch.testing.assert_close(more - plain, 0.3 * (logits.logsumexp(-1) ** 2).sum(1))


def test_codes_of_different_elements_are_not_mixed_up():
    logits, target = torch.randn(7, LENGTH, VALUES, dtype=F64), torch.randint(VALUES, (7, LENGTH))
    told = []

    def writer(hidden, aside, before):
        told.append(before)
        return logits

    each = law().loss(writer, torch.zeros(7, 1, dtype=F64), None, target, None)
    by_hand = [sum(-logits[i, j].log_softmax(-1)[target[i, j]] for j in range(LENGTH)) for i in range(7)]
    torch.testing.assert_close(each, torch.stack(by_hand))
    assert torch.equal(told[0], target[:, :-1])


@pytest.mark.parametrize(
    "sampling", [{}, {"temperature": 0.5}, {"top_k": 2}, {"top_p": 0.7}, {"guidance": 2.0}, {"guidance": 0.0}], ids=str
)
def test_wholes_come_as_often_as_they_are_likely(sampling):
    count, joints = 20_000, (ASKED, DROPPED) if "guidance" in sampling else (ASKED,)
    value, _ = draw(*joints, count=count, **sampling)
    seen = torch.bincount(value @ torch.tensor([VALUES**2, VALUES, 1]), minlength=VALUES**LENGTH)
    p = walked(*joints, **sampling)
    assert p.sum() == pytest.approx(1) and seen[p == 0].sum() == 0
    some = p > 0
    chi_square = ((seen[some] - count * p[some]) ** 2 / (count * p[some])).sum()
    assert chi_square < 62.8  # 26 degrees of freedom, the most there are, exceed this once in 15,000


def test_without_settings_the_walk_is_the_joint_distribution():
    torch.testing.assert_close(walked(ASKED), ASKED.flatten())
    torch.testing.assert_close(walked(ASKED, DROPPED, guidance=0.0), DROPPED.flatten())
    assert (walked(ASKED, DROPPED, guidance=2.0) - ASKED.flatten()).abs().max() > 0.05


def test_confidence_is_the_logarithm_of_the_probability_of_the_whole():
    value, confidence = draw(ASKED, count=50)
    torch.testing.assert_close(confidence, ASKED[tuple(value.T)].log())
    torch.testing.assert_close(confidence, -law().loss(Knows(ASKED), torch.zeros(50, 1, dtype=F64), None, value, None))


def test_temperature_zero_takes_the_likeliest_code_each_time():
    value, _ = draw(ASKED, count=4, temperature=0.0)
    first = ASKED.sum((1, 2)).argmax()
    second = ASKED[first].sum(1).argmax()
    assert value.tolist() == [[int(first), int(second), int(ASKED[first, second].argmax())]] * 4


def test_only_what_is_allowed_is_drawn():
    value, _ = draw(ASKED, count=500, chain=law(allowed=[0, 2]))
    assert set(value.flatten().tolist()) == {0, 2}
    assert law(allowed=[0, 2]).allowed.tolist() == [0, 2] and law(sampling=Sampling(top_k=4)).sampling.top_k == 4


def test_a_row_draws_the_same_whatever_is_beside_it():
    together = draw(ASKED, count=60, seeds=(4, 5, 6), counts=[10, 20, 30]).value
    assert torch.equal(together[10:30], draw(ASKED, count=20, seeds=(5,)).value)
    assert not torch.equal(together[10:30], draw(ASKED, count=20, seeds=(6,)).value)


def test_nothing_is_drawn_in_training():
    draws = Draw(1)
    assert law().noise(EVERY, draws) is None and "rng" not in vars(draws)
