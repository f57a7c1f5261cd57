import pytest
import torch
from scipy.stats import entropy

from tessera.scoring.codebooks import codebook_use


def test_even_use_is_the_whole_codebook():
    (use,) = codebook_use(torch.arange(8).repeat(5)[:, None], 8)
    assert (use.tokens, use.used, use.dead, use.share) == (40, 8, 0, 1.0)
    assert use.entropy == pytest.approx(3.0) and use.perplexity == pytest.approx(8.0)


def test_levels_stand_alone():
    rng = torch.Generator().manual_seed(0)
    codes = torch.stack([torch.zeros(100, dtype=torch.long), torch.randint(0, 5, (100,), generator=rng)], 1)
    first, second = codebook_use(codes, 16)
    assert (first.used, first.dead, first.entropy, first.perplexity) == (1, 15, 0.0, 1.0)
    assert second.used == 5 and second.entropy == pytest.approx(entropy(codes[:, 1].bincount().tolist(), base=2))


def test_entropy_by_hand():
    (use,) = codebook_use(torch.tensor([[0], [0], [3], [1]]), 4)
    assert use.entropy == pytest.approx(1.5) and use.dead == 1 and use.share == 0.75


@pytest.mark.parametrize(("codes", "what"), [([[4]], "from 4 to 4"), ([[-1], [2]], "from -1 to 2")])
def test_codes_are_of_the_codebook(codes, what):
    with pytest.raises(ValueError, match=what):
        codebook_use(torch.tensor(codes), 4)


def test_no_codes_have_no_use():
    with pytest.raises(ValueError, match="no codes"):
        codebook_use(torch.zeros(0, 2, dtype=torch.long), 4)
