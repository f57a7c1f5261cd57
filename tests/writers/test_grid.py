import torch
from torch import nn

from tessera.unets import ConvNeXtUp
from tessera.writers import GridWriter


def test_pictures_side_by_side_do_not_know_of_each_other():
    writer = GridWriter(6, ConvNeXtUp(12, 8, 5), columns=2, norm=nn.RMSNorm(6))
    nn.init.normal_(writer.net.blocks[0].response.weight)
    hidden, aside = torch.randn(2, 3, 4, 6), torch.randn(2, 3, 4, 8 + 5)  # branch, picture, element
    together = writer(hidden.flatten(1, 2), aside.flatten(1, 2))
    assert together.shape == (2, 12, 12)
    for branch in range(2):
        for picture in range(3):
            alone = writer(hidden[branch, picture], aside[branch, picture])
            torch.testing.assert_close(alone, together[branch].view(3, 4, 12)[picture])


def test_the_net_is_told_what_went_aside():
    writer = GridWriter(6, ConvNeXtUp(12, 8, 5), columns=2)
    hidden, aside = torch.randn(4, 6), torch.randn(4, 8 + 5)
    grid = lambda x: x.view(1, 2, 2, -1)
    expected = writer.net(grid(writer.into(hidden)), grid(aside[:, :8]), grid(aside[:, 8:]))
    torch.testing.assert_close(writer(hidden, aside), expected.view(4, 12))
