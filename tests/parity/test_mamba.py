"""Mamba-2 from our parts against transformers' class, with random weights."""

import pytest
import torch
from hub.oracle import transformers
from torch import nn

from tessera.attention import causal
from tessera.hub.filling import filled
from tessera.hub.omnimamba import TRUNK
from tessera.trunk import Mamba, MambaBlock, Mixer


@pytest.mark.parametrize(("heads", "groups", "reach"), [(4, 1, 4), (4, 2, 3), (8, 4, 2)])
def test_hidden_states(heads, groups, reach, places):
    width, state, count = 24, 6, 70
    config = transformers.Mamba2Config(
        hidden_size=width, num_hidden_layers=2, num_heads=heads, head_dim=2 * width // heads, state_size=state, n_groups=groups,
        conv_kernel=reach, expand=2, vocab_size=9, chunk_size=16, residual_in_fp32=False, time_step_limit=(0.0, float("inf")),
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = transformers.Mamba2Model(config).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.2)
    norm = lambda: nn.RMSNorm(width, eps=config.layer_norm_epsilon)
    mixer = lambda: Mixer(width, head=2 * width // heads, state=state, groups=groups, reach=reach)
    ours = filled(Mamba([MambaBlock(norm(), mixer()) for _ in range(2)], norm=norm()), TRUNK, theirs.state_dict(), unread=["embeddings.*"])
    x = torch.randn(2, count, width)
    with torch.no_grad():
        expected = theirs(inputs_embeds=x).last_hidden_state
        found = ours(x, None, places(port=[[0] * count] * 2), causal)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
