import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tessera.attention import causal
from tessera.trunk import MLP, Block, Experts, ParallelBlock, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.trunk.experts import heard

WIDTH, TEXT, IMAGE, EYE = 16, 0, 1, 2


class Numbered(nn.Module):
    """Stands for a port: all that a route asks of it is its number."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def tower(*, depth: int = 2, heads: int = 4, kv_heads: int = 2, seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    norm = lambda inner: PreNorm(nn.RMSNorm(WIDTH), inner)
    attention = lambda: SelfAttention(WIDTH, heads, kv_heads=kv_heads, qk_norm=nn.LayerNorm)
    made = Transformer(
        [Block(norm(attention()), norm(SwiGLU(WIDTH))) for _ in range(depth)], norm=nn.RMSNorm(WIDTH), rotary=Rotary(WIDTH // heads)
    )
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


@pytest.fixture
def laid(places):
    """Two rows: text alone, and text around a picture and what an eye sees."""
    ports = [[TEXT] * 6, [TEXT, IMAGE, IMAGE, EYE, TEXT, TEXT]]
    return places(port=ports, document=[[0] * 6, [1] * 6]), torch.randn(2, 6, WIDTH)


def test_equal_towers_are_one_transformer(laid):
    places, x = laid
    one = tower()
    both = Experts((one, copy.deepcopy(one)), {Numbered(IMAGE): 1, Numbered(EYE): 1})
    torch.testing.assert_close(both(x, None, places, causal), one(x, None, places, causal))


def test_text_alone_is_what_the_first_tower_makes_of_it(laid):
    places, x = laid
    one, other = tower(), tower(seed=1)
    both = Experts((one, other), {Numbered(IMAGE): 1})
    alone, together = one(x, None, places, causal), both(x, None, places, causal)
    torch.testing.assert_close(together[0], alone[0])
    torch.testing.assert_close(together[1, 0], alone[1, 0])  # in front of the picture
    assert not torch.isclose(together[1, 1:], alone[1, 1:]).all(-1).any()


def test_every_place_moves_the_weights_of_its_own_tower_and_is_seen_by_all(laid):
    places, x = laid
    both = Experts((tower(), tower(seed=1)), {Numbered(IMAGE): 1})
    both(x, None, places, causal)[1, 0].sum().backward()  # text in front of the picture: nothing of the other tower
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in both.towers[1].parameters())
    both.zero_grad()
    both(x, None, places, causal)[1, 5].sum().backward()  # text behind it sees its keys and values
    attention = both.towers[1].blocks[0].attention.inner
    assert attention.qkv.weight.grad.any() and not both.towers[1].norm.weight.grad.any()


def test_one_tower_counts_for_a_place():
    one, other = tower(), tower(seed=1)
    both = Experts((one, other), {})
    assert both.active_parameters == one.active_parameters == sum(p.numel() for p in both.parameters()) // 2
    assert len(both.blocks) == 2 and set(both.state_dict()) == {f"towers.{i}.{name}" for i in (0, 1) for name in one.state_dict()}


def test_what_cannot_meet_is_refused(laid):
    places, x = laid
    with pytest.raises(ValueError, match=r"Experts: towers of .* of one shape and their numbers are accepted"):
        Experts((tower(), tower(depth=3)), {})
    with pytest.raises(ValueError, match=r"ports sent to \[2\]"):
        Experts((tower(), tower()), {Numbered(IMAGE): 2})
    with pytest.raises(ValueError, match=r"a tower of ParallelBlocks; blocks of two PreNorm steps are accepted"):
        blocks = [ParallelBlock(nn.RMSNorm(WIDTH), SelfAttention(WIDTH, 4), MLP(WIDTH))]
        Experts((Transformer(blocks, norm=nn.RMSNorm(WIDTH), rotary=Rotary(4)),) * 2, {})
    with pytest.raises(ValueError, match="places come with a condition"):
        Experts((tower(), tower()), {})(x, x, places, causal)


def test_towers_may_share_their_attention(laid):
    """As if each had a copy of it; what is the same in both is done once."""
    places, x = laid
    one, apart = tower(), tower(seed=1)
    for block, other in zip(one.blocks, apart.blocks, strict=True):
        other.attention.load_state_dict(block.attention.state_dict())
    apart.norm.load_state_dict(one.norm.state_dict())
    blocks = [Block(block.attention, other.mlp) for block, other in zip(one.blocks, apart.blocks, strict=True)]
    together = Transformer(blocks, norm=one.norm, rotary=one.rotary)
    for mine, theirs in zip(together.blocks, apart.blocks, strict=True):  # building it drew its weights anew
        mine.attention.load_state_dict(theirs.attention.state_dict())
        nn.init.normal_(mine.mlp.inner.down.weight, std=0.3)
    ran = []
    one.blocks[0].attention.inner.qkv.register_forward_hook(lambda *_: ran.append(1))
    route = {Numbered(IMAGE): 1}
    sharing, copying = Experts((one, together), route), Experts((one, apart), route)
    torch.testing.assert_close(sharing(x, None, places, causal), copying(x, None, places, causal))
    assert len(ran) == 2, "once in the one that shares, once for the text's own in the other"
    assert sum(p.numel() for p in sharing.parameters()) < sum(p.numel() for p in copying.parameters())
    assert sharing.active_parameters == copying.active_parameters


def test_all_hear_what_the_first_place_of_a_port_hears(places):
    """Row by row and document by document; a document without that port hears what it heard, and so do that port's own places."""
    where = places(port=[[TEXT, IMAGE, IMAGE, TEXT, TEXT], [TEXT, TEXT, IMAGE, IMAGE, EYE]], document=[[0, 0, 0, 0, 1], [2, 3, 3, 3, 3]])
    condition = torch.randn(2, 5, WIDTH)
    found = heard(condition, where, SimpleNamespace(name="image", number=IMAGE))
    expected = [[(0, 1), (0, 1), (0, 2), (0, 1), (0, 4)], [(1, 0), (1, 2), (1, 2), (1, 3), (1, 2)]]
    assert torch.equal(found, torch.stack([torch.stack([condition[at] for at in row]) for row in expected]))
