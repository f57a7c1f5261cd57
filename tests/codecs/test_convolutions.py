import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tessera.codecs import ConvDecoder, ConvEncoder
from tessera.codecs.convolutions import ConvBlock, Downsample, SpatialAttention, Upsample, sixteens

SMALL = {"features": 5, "channels": 8, "multiples": (1, 2, 4), "groups": 4}


def lively(module: nn.Module) -> nn.Module:
    """Weights large enough that nothing hides."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module.double().eval()


def test_a_block_is_two_convolutions_beside_a_projection():
    block, x = lively(ConvBlock(16, 32)), torch.randn(2, 16, 5, 6, dtype=torch.float64)
    first, second = block.steps[2], block.steps[5]
    h = F.conv2d(F.silu(F.group_norm(x, 1, *block.steps[0].parameters())), first.weight, first.bias, padding=1)
    h = F.conv2d(F.silu(F.group_norm(h, 2, *block.steps[3].parameters())), second.weight, second.bias, padding=1)
    torch.testing.assert_close(
        block(x), h + torch.einsum("oi,bihw->bohw", block.shortcut.weight[..., 0, 0], x) + block.shortcut.bias[:, None, None]
    )
    assert ConvBlock(16).shortcut is None


def test_attention_mixes_all_cells_by_their_likeness():
    attention, x = lively(SpatialAttention(8)), torch.randn(2, 8, 3, 4, dtype=torch.float64)
    rows = sixteens(8).double().eval()
    rows.load_state_dict(attention.norm.state_dict())
    cells = rows(x).flatten(2).mT  # [batch, cell, channel]
    q, k, v = (
        cells @ weight[..., 0, 0].T + bias for weight, bias in zip(attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3), strict=True)
    )
    seen = torch.stack([(q[i] @ k[i].T / 8**0.5).softmax(-1) @ v[i] for i in range(2)])
    expected = x + (seen @ attention.out.weight[..., 0, 0].T + attention.out.bias).mT.unflatten(2, (3, 4))
    torch.testing.assert_close(attention(x), expected)


def test_attention_knows_no_positions():
    attention, x = lively(SpatialAttention(8)), torch.randn(1, 8, 4, 4, dtype=torch.float64)
    order = torch.randperm(16)
    moved = x.flatten(2)[..., order].unflatten(2, (4, 4))
    torch.testing.assert_close(attention(moved).flatten(2), attention(x).flatten(2)[..., order])


def test_halving_pads_below_and_on_the_right_and_doubling_repeats():
    down, up, x = Downsample(1), Upsample(1), torch.arange(16.0).view(1, 1, 4, 4)
    for conv in (down.conv, up.conv):
        nn.init.zeros_(conv.weight), nn.init.zeros_(conv.bias)
    down.conv.weight.data[0, 0, 0, 0] = up.conv.weight.data[0, 0, 1, 1] = 1.0
    assert down(x)[0, 0].tolist() == [[0, 2], [8, 10]]
    assert torch.equal(up(x)[0, 0], x[0, 0].repeat_interleave(2, 0).repeat_interleave(2, 1))
    down.conv.weight.data.fill_(0)[0, 0, 2, 2] = 1.0
    assert down(x)[0, 0].tolist() == [[10, 0], [0, 0]]


def attended(net: nn.Module) -> list[int]:
    return [sum(isinstance(part, SpatialAttention) for part in level) for level in net.levels]


def test_levels_have_their_blocks_widths_and_attention():
    encoder, decoder = ConvEncoder(**SMALL, blocks=(1, 2, 3), attended=(1,)), ConvDecoder(**SMALL, blocks=(3, 2, 1), attended=(1, 2))
    blocks = lambda net: [sum(isinstance(part, ConvBlock) for part in level) for level in net.levels]
    assert blocks(encoder) == [1, 2, 3] and attended(encoder) == [0, 2, 0]
    assert blocks(decoder) == [1, 2, 3] and attended(decoder) == [1, 2, 0]  # the coarsest comes first
    widths = lambda net: [level[0].steps[-1].out_channels for level in net.levels]
    assert widths(encoder) == [8, 16, 32] and widths(decoder) == [32, 16, 8]
    assert encoder.stride == decoder.stride == 4
    x = torch.randn(2, 3, 16, 16)
    assert encoder(x).shape == (2, 5, 4, 4) and decoder(encoder(x)).shape == x.shape


def test_without_attention_a_cell_looks_as_far_as_its_convolutions_reach():
    encoder = lively(ConvEncoder(features=2, channels=4, multiples=(1, 1), blocks=1, groups=1))
    encoder.middle[1] = nn.Identity()
    for module in encoder.modules():  # norms over the whole picture look everywhere, too
        if isinstance(module, nn.GroupNorm):
            module.forward = lambda x: x
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    encoder(x)[0, :, 16, 16].sum().backward()
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    # three blocks and the head reach 7 coarse cells; halving 0 up and 2 down; the stem and a block 3
    assert (rows.min(), rows.max()) == (2 * (16 - 7) - 3, 2 * (16 + 7) + 2 + 3)


@pytest.mark.parametrize("net", [ConvEncoder, ConvDecoder])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": (1, 2)}, r"blocks \[1, 2\] for 3 levels"),
        ({"attended": (3,)}, r"attended \[3\]; the levels are 0 \(finest\) to 2"),
        ({"groups": 3}, "widths 8, .* with norms of 3 groups"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(net, change, message):
    with pytest.raises(ValueError, match=f"{net.__name__}: {message}"):
        net(**{**SMALL, **change})
