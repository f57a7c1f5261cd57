import pytest
import torch
from torch import nn

from tessera.unets import ConvNeXt, ConvNeXtDown, ConvNeXtUp, Descent, ResponseNorm, TimedBlock, UNetDown, UNetUp, apart, together

PAIRS = {
    "ConvNeXt": (ConvNeXtDown(12, 8, 5, patch=2), ConvNeXtUp(12, 8, 5)),
    "UNet": (UNetDown(12, 16, 5, patch=2), UNetUp(12, 16, 5, patch=2)),
}
pairs = pytest.mark.parametrize(("down", "up"), PAIRS.values(), ids=PAIRS)


def told(cells=(2, 4, 4)) -> torch.Tensor:
    return torch.randn(*cells, 5)


def test_elements_come_apart_into_squares_of_cells_and_together_again():
    elements = torch.arange(2 * 3 * 12.0).view(1, 2, 3, 12)  # 2 x 3 elements of 3 channels in 2 x 2 cells
    fine = apart(elements, 2)
    assert fine.shape == (1, 3, 4, 6)
    for row, column, channel, i, j in ((0, 0, 0, 0, 0), (1, 2, 1, 0, 1), (0, 1, 2, 1, 0)):
        assert fine[0, channel, 2 * row + i, 2 * column + j] == elements[0, row, column, channel * 4 + i * 2 + j]
    assert torch.equal(together(fine, 2), elements)
    assert torch.equal(apart(elements, 1), elements.movedim(-1, 1)) and torch.equal(together(apart(elements, 1), 1), elements)


def test_the_response_norm_is_that_of_the_paper():
    x, norm = torch.randn(2, 3, 4, 6), ResponseNorm(6)
    assert torch.equal(norm(x), x), "it starts as the identity"
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    for sample in range(2):
        g = torch.tensor([sum(float(v) ** 2 for v in x[sample, :, :, c].flatten()) ** 0.5 for c in range(6)])
        expected = norm.weight * (x[sample] * g / g.mean()) + norm.bias + x[sample]  # equations 1 to 3
        torch.testing.assert_close(norm(x)[sample], expected)


def test_the_time_scales_and_shifts_what_a_block_says():
    block, x = ConvNeXt(6, 5), torch.randn(1, 4, 4, 6)
    nn.init.zeros_(block.down.weight)
    nn.init.zeros_(block.down.bias)
    time = told((1, 4, 4))
    scale, shift = block.adapt(nn.functional.silu(time)).chunk(2, -1)
    torch.testing.assert_close(block(x, time), x * (1 + scale) + shift)


@pairs
def test_elements_go_down_and_come_up(down, up):
    elements, time = torch.randn(2, 4, 4, 12), told()
    said = down(elements, time)
    assert isinstance(said, Descent) and said.features.shape == (2, 4, 4, down.channels) and said.skips.shape == (2, 4, 4, down.skips)
    assert (down.channels, down.skips) == (up.channels, up.skips)
    back = up(torch.randn_like(said.features), said.skips, time)
    assert back.shape == elements.shape
    one = down(elements[1:], time[1:])
    torch.testing.assert_close(one.skips[0], said.skips[1])


@pairs
def test_every_input_matters(down, up):
    elements, time = torch.randn(1, 4, 4, 12, requires_grad=True), told((1, 4, 4)).requires_grad_()
    said = down(elements, time)
    features, skips = torch.randn_like(said.features).requires_grad_(), said.skips.detach().requires_grad_()
    again = time.detach().clone().requires_grad_()
    with torch.no_grad():
        for module in up.modules():
            if isinstance(module, ResponseNorm):
                nn.init.normal_(module.weight)
    up(features, skips, again).square().sum().backward()
    said.features.sum().backward()
    for part in (elements, time, features, skips, again):
        assert part.grad.abs().amin((0, 1, 2)).min() > 0, "every feature of it, everywhere"


def still(block: TimedBlock) -> None:
    """The block becomes the identity."""
    for layer in (block.time, block.block.steps[-1]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


def test_a_fine_skip_belongs_to_the_cells_of_its_own_element():
    down = UNetDown(12, 3, 5, patch=2)
    still(down.fine)
    nn.init.dirac_(down.stem.weight)
    nn.init.zeros_(down.stem.bias)
    elements = torch.randn(1, 4, 4, 12)
    assert torch.equal(down(elements, told((1, 4, 4))).skips[..., :12], elements)


def test_the_time_of_an_element_reaches_all_its_cells():
    block = TimedBlock(3, 5)
    nn.init.zeros_(block.block.steps[-1].weight)
    nn.init.zeros_(block.block.steps[-1].bias)
    time = told((1, 2, 2))
    added = block(torch.zeros(1, 3, 4, 4), time)
    expected = block.time(nn.functional.silu(time)).repeat_interleave(2, 1).repeat_interleave(2, 2).movedim(-1, 1)
    torch.testing.assert_close(added, expected)
