from math import inf, nan

import pytest
import torch

from tessera.laws.base import Sampling, guide


def test_guidance_goes_from_the_dropped_branch_through_the_asked_one():
    asked, dropped = torch.randn(2, 5, 3, dtype=torch.float64).unbind()
    both = torch.stack([asked, dropped])
    torch.testing.assert_close(guide(both, 1.0), asked)
    torch.testing.assert_close(guide(both, 0.0), dropped)
    torch.testing.assert_close(guide(both, 3.0), 3 * asked - 2 * dropped)
    assert torch.equal(guide(both[:1], 7.0), asked)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": inf},
        {"temperature": nan},
        {"guidance": nan},
        {"guidance": -inf},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"steps": 0},
        {"denoising": 0},
        {"nats": -0.1},
    ],
)
def test_sampling_out_of_range_is_refused(wrong):
    with pytest.raises(
        ValueError, match=r"Sampling: .*; temperature and nats >= 0, top_k, steps, denoising >= 1, 0 < top_p <= 1 and any guidance"
    ):
        Sampling(**wrong)
