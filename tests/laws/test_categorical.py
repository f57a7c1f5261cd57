import math

import pytest
import torch
import torch.nn.functional as F

from tessera.draws import Draw, Streams, generator
from tessera.laws import Categorical, Sampling
from tessera.laws.categorical import truncate
from tessera.orders.base import Seen
from tessera.writers import LinearWriter

F64 = torch.float64


def as_it_is(hidden, aside):
    """A writer whose hidden states are logits."""
    return hidden


def draw(logits: torch.Tensor, *, seeds=(0,), counts=None, allowed=None, **sampling):
    """Draws from logits [branch, answer, value]."""
    law = Categorical(allowed=range(logits.shape[-1]) if allowed is None else allowed)
    streams = Streams([generator(seed) for seed in seeds], counts or [logits.shape[1]], logits)
    return law.draw(as_it_is, Seen(logits), Sampling(**sampling), streams)


def test_the_loss_is_cross_entropy():
    logits, target = torch.randn(50, 7, dtype=F64), torch.randint(7, (50,))
    loss = Categorical(allowed=range(3)).loss(as_it_is, logits, None, target, None)
    torch.testing.assert_close(loss, F.cross_entropy(logits, target, reduction="none"))


def test_the_z_loss_is_the_square_of_the_log_partition():
    logits, target = torch.randn(50, 7, dtype=F64), torch.randint(7, (50,))
    plain, more = (Categorical(allowed=range(7), z_loss=z).loss(as_it_is, logits, None, target, None) for z in (0.0, 0.3))
    torch.testing.assert_close(more - plain, 0.3 * logits.exp().sum(-1).log() ** 2)


def test_losses_are_computed_in_float32_at_least():
    logits, target = torch.randn(50, 7).bfloat16(), torch.randint(7, (50,))
    loss = Categorical(allowed=range(7)).loss(as_it_is, logits, None, target, None)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy(logits.float(), target, reduction="none"))


def test_the_gradient_of_the_loss_is_softmax_minus_one_hot():
    logits, target = torch.randn(6, 5, dtype=F64, requires_grad=True), torch.randint(5, (6,))
    Categorical(allowed=range(5)).loss(as_it_is, logits, None, target, None).sum().backward()
    torch.testing.assert_close(logits.grad, logits.detach().softmax(-1) - F.one_hot(target, 5))


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.7}], ids=str)
def test_values_come_as_often_as_they_are_likely(sampling):
    count, logits = 20_000, torch.tensor([0.0, 1.0, -1.0, 0.5, 2.0], dtype=F64)
    p = truncate((logits / sampling.get("temperature", 1.0)).softmax(-1)[None], sampling.get("top_k"), sampling.get("top_p"))[0]
    p = p / p.sum()
    value, confidence = draw(logits.expand(1, count, 5), **sampling)
    seen = torch.bincount(value, minlength=5)
    assert seen[p == 0].sum() == 0
    some = p > 0
    chi_square = ((seen[some] - count * p[some]) ** 2 / (count * p[some])).sum()
    assert chi_square < 23.5  # four degrees of freedom exceed this once in 10,000
    assert confidence.unique().numel() == some.sum()


def test_confidence_is_the_logarithm_of_the_probability_of_what_was_drawn():
    logits = torch.randn(1, 30, 6, dtype=F64)
    value, confidence = draw(logits, temperature=0.7)
    torch.testing.assert_close(confidence, (logits[0] / 0.7).log_softmax(-1)[torch.arange(30), value])


@pytest.mark.parametrize(
    ("p", "top_k", "top_p", "kept"),
    [
        ([0.125, 0.5, 0.25, 0.125], 2, None, [0, 0.5, 0.25, 0]),
        ([0.125, 0.5, 0.25, 0.125], 3, None, [0.125, 0.5, 0.25, 0]),  # of two equal ones the lower stays
        ([0.25, 0.25, 0.25, 0.25], 1, None, [0.25, 0, 0, 0]),
        ([0.125, 0.5, 0.25, 0.125], None, 0.5, [0, 0.5, 0, 0]),
        ([0.125, 0.5, 0.25, 0.125], None, 0.51, [0, 0.5, 0.25, 0]),
        ([0.125, 0.5, 0.25, 0.125], None, 0.8, [0.125, 0.5, 0.25, 0]),
        ([0.125, 0.5, 0.25, 0.125], None, 1.0, [0.125, 0.5, 0.25, 0.125]),
        ([0.125, 0.5, 0.25, 0.125], None, 1e-9, [0, 0.5, 0, 0]),
        ([0.125, 0.5, 0.25, 0.125], 1, 0.9, [0, 0.5, 0, 0]),
        ([0.125, 0.5, 0.25, 0.125], 9, None, [0.125, 0.5, 0.25, 0.125]),
        ([0.125, 0.5, 0.25, 0.125], None, None, [0.125, 0.5, 0.25, 0.125]),
    ],
)
def test_the_tail_is_cut(p, top_k, top_p, kept):
    assert truncate(torch.tensor([p, p]), top_k, top_p).tolist() == [kept, kept]


def test_temperature_zero_takes_the_likeliest():
    logits = torch.randn(1, 40, 9, dtype=F64)
    value, confidence = draw(logits, temperature=0.0)
    assert torch.equal(value, logits[0].argmax(-1))
    torch.testing.assert_close(confidence, logits[0].log_softmax(-1).amax(-1))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_only_what_is_allowed_is_drawn(temperature):
    logits = torch.zeros(1, 500, 10, dtype=F64)
    logits[..., [0, 9]] = 50.0  # by far the likeliest, and not allowed
    value, _ = draw(logits, allowed=[2, 5, 7], temperature=temperature)
    assert set(value.tolist()) == ({2} if temperature == 0 else {2, 5, 7})


class Lowest(Streams):
    """Streams whose every uniform number is the least there is."""

    def uniform(self, *shape):
        return torch.zeros(sum(self._counts), *shape, dtype=F64)


def test_what_is_cut_off_is_never_drawn_not_even_by_the_least_number():
    logits = torch.tensor([[[0.0, 1.0, 3.0, 2.0]]], dtype=F64)
    drawn = Categorical(allowed=range(4)).draw(as_it_is, Seen(logits), Sampling(top_k=2), Lowest([generator(0)], [1], logits))
    assert drawn.value.tolist() == [2] and drawn.confidence > -1


def test_many_equal_values_keep_the_lowest():
    assert truncate(torch.full((1, 5000), 1 / 5000), 7, None)[0].nonzero().flatten().tolist() == list(range(7))


def test_guidance_is_taken_in_logits():
    asked, dropped = torch.randn(2, 200, 6, dtype=F64).unbind()
    guided, _ = draw(torch.stack([asked, dropped]), guidance=2.5)
    plain, _ = draw((dropped + 2.5 * (asked - dropped))[None])
    assert torch.equal(guided, plain)
    assert torch.equal(draw(torch.stack([asked, dropped]), guidance=0.0).value, draw(dropped[None]).value)


def test_a_row_draws_the_same_whatever_is_beside_it():
    logits = torch.randn(1, 60, 8, dtype=F64)
    together = draw(logits, seeds=(4, 5, 6), counts=[10, 20, 30]).value
    alone = draw(logits[:, 10:30], seeds=(5,)).value
    assert torch.equal(together[10:30], alone)
    assert not torch.equal(together[10:30], draw(logits[:, 10:30], seeds=(6,)).value)


def test_nothing_is_drawn_in_training():
    draws = Draw(1)
    assert Categorical(allowed=[0]).noise(torch.tensor([1]), draws) is None and "rng" not in vars(draws)


def test_where_there_are_only_these_values_learning_sees_no_other():
    logits, target = torch.randn(5, 6), torch.tensor([0, 2, 5, 5, 2])
    found = Categorical(allowed=[0, 2, 5], only=True).loss(as_it_is, logits, None, target, None)
    torch.testing.assert_close(found, F.cross_entropy(logits[:, [0, 2, 5]], torch.tensor([0, 1, 2, 2, 1]), reduction="none"))
    assert not torch.allclose(found, Categorical(allowed=[0, 2, 5]).loss(as_it_is, logits, None, target, None))


@pytest.mark.parametrize("allowed", [range(3, 9), range(12), [7], [2, 3, 5], [0, 11]])
@pytest.mark.parametrize("bias", [False, True])
def test_a_head_computes_what_is_drawn_from_and_nothing_changes(allowed, bias):
    writer, hidden = LinearWriter(6, 12, bias=bias).double(), torch.randn(2, 50, 6, dtype=F64)
    law, how = Categorical(allowed=allowed), Sampling(temperature=3.0, guidance=2.0)
    draws = [law.draw(said, Seen(hidden), how, Streams([generator(1)], [50], hidden)) for said in (writer, writer.forward)]
    assert torch.equal(draws[0].value, draws[1].value) and set(draws[0].value.tolist()) <= set(allowed)
    torch.testing.assert_close(draws[0].confidence, draws[1].confidence)


def test_entropy_is_that_of_the_values_that_may_be_drawn_under_guidance_and_before_temperature():
    logits, allowed = torch.randn(2, 9, 6, dtype=F64), [1, 3, 4]
    some = logits[:, :, allowed]
    p = (some[1] + 3 * (some[0] - some[1])).softmax(-1)
    found = Categorical(allowed=allowed).entropy(as_it_is, Seen(logits), Sampling(guidance=3.0, temperature=0.1, top_k=1))
    torch.testing.assert_close(found, torch.distributions.Categorical(p).entropy())
    certain = Categorical(allowed=range(2)).entropy(as_it_is, Seen(torch.tensor([[[0.0, -1e5], [3.0, 3.0]]])), Sampling())
    torch.testing.assert_close(certain, torch.tensor([0.0, math.log(2)], dtype=F64))
