import pytest
import torch

from tessera.draws import Draw, Streams, generator, normal_like, seed_of


def test_seeds_are_the_same_everywhere_and_differ_between_neighbours():
    assert seed_of() == 0 and seed_of(0) == 1  # by hand: (0 * MIX + 1), and 1 >> 29 is 0
    keys = {seed_of(a, b) for a in range(100) for b in range(100)}
    assert len(keys) == 10_000 and all(0 <= key < 2**63 for key in keys)
    assert seed_of(1, 2) != seed_of(2, 1) and seed_of(0) != seed_of(0, 0)


def test_numbers_of_neighbouring_keys_are_independent():
    numbers = torch.stack([torch.randn(2000, generator=generator(3, k)) for k in range(8)])
    correlations = torch.corrcoef(numbers) - torch.eye(8)
    assert correlations.abs().max() < 4 / 2000**0.5


def test_a_draw_goes_on_with_one_stream_of_its_own():
    draw, again, other = Draw(7, 1), Draw(7, 1, progress=0.5), Draw(7, 2)
    first, second = (torch.rand(3, generator=draw.rng) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(torch.rand(6, generator=again.rng), torch.cat([first, second])) and again.progress == 0.5
    assert not torch.equal(torch.rand(3, generator=other.rng), first)


def test_streams_draw_each_row_as_if_it_were_alone():
    like = torch.zeros((), dtype=torch.float32)
    together = Streams([generator(1), generator(2)], [2, 3], like)
    uniform, normal = together.uniform(4), together.normal(4)
    alone = Streams([generator(2)], [3], like)
    assert uniform.shape == (5, 4) and uniform.dtype == torch.float64 and normal.dtype == torch.float32
    assert torch.equal(uniform[2:], alone.uniform(4)) and torch.equal(normal[2:], alone.normal(4))


def test_streams_need_a_count_per_generator():
    with pytest.raises(ValueError):
        Streams([generator(1)], [1, 1], torch.zeros(())).uniform(1)


def test_normal_like_has_the_precision_asked_for_from_the_same_draws():
    half = normal_like(torch.zeros(5, 2, dtype=torch.bfloat16), generator(4))
    full = normal_like(torch.zeros(5, 2, dtype=torch.float64), generator(4))
    assert half.dtype == torch.bfloat16 and torch.equal(half, full.to(torch.bfloat16))
