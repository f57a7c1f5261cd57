from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tessera.attention import apart, causal, everywhere, prefix, within
from tessera.places import PADDING, Places
from tessera.trunk import (
    MLP,
    Block,
    CrossAttention,
    DecoderBlock,
    EncoderDecoder,
    GridRotary,
    OffsetRMSNorm,
    PreNorm,
    Rotary,
    SelfAttention,
    SwiGLU,
)
from tessera.trunk.layers import Sight

WIDTH, F64 = 16, torch.float64
RULE = (causal | prefix) & apart


def step(inner, **facts) -> PreNorm:
    return PreNorm(nn.RMSNorm(inner.out.out_features if hasattr(inner, "out") else inner.down.out_features), inner, **facts)


def trunk(width=WIDTH, *, depths=(2, 3), heads=2, kv_heads=1, rotary=None, **facts) -> EncoderDecoder:
    """One with weights that hide nothing."""
    attention = {"kv_heads": kv_heads, "qk_norm": OffsetRMSNorm}
    encoder = [Block(step(SelfAttention(width, heads, **attention), **facts), step(SwiGLU(width))) for _ in range(depths[0])]
    decoder = [
        DecoderBlock(
            step(SelfAttention(width, heads, **attention), **facts), step(CrossAttention(width, heads, **attention)), step(MLP(width))
        )
        for _ in range(depths[1])
    ]
    norms = nn.RMSNorm(width), nn.RMSNorm(width)
    made = EncoderDecoder(encoder, decoder, norms=norms, rotary=rotary or GridRotary(width // heads))
    for parameter in made.parameters():
        nn.init.normal_(parameter, mean=parameter.ndim == 1, std=0.3)
    return made.to(F64)


@pytest.fixture
def laid(places):
    """Two rows: a document of two turns (something given, something learned, twice), and two short ones behind each other, padded."""
    none = PADDING
    return places(
        document=[[0] * 9, [1, 1, 1, 1, 2, 2, none, none, none]],
        segment=[[0, 1, 2, 3, 3, 4, 4, 5, 6], [0, 0, 1, 1, 0, 1, none, none, none]],
        learned=[[0, 0, 1, 1, 1, 0, 0, 1, 1], [0, 0, 1, 1, 0, 1, none, none, none]],
        turn=[[0, 0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, none, none, none]],
        order=[list(range(9)), [0, 1, 2, 3, 0, 1, none, none, none]],
        begins=[[0, 1, 2, 3, 3, 5, 5, 7, 8], [0, 0, 2, 2, 0, 1, none, none, none]],
        column=[[0, 0, 0, 0, 1, 0, 0, 0, 0], [0] * 9],
    )


def slow(made: EncoderDecoder, x: torch.Tensor, where: Places, condition=None, rule=RULE) -> torch.Tensor:
    """The clear version: both stacks over all places, and what is given and what is learned told apart by masks alone."""
    sides = [(where.learned == side) & (where.document != PADDING) for side in (0, 1)]
    mask, alone = rule.dense(where, where), torch.eye(x.shape[1], dtype=torch.bool)
    given, learned = (mask & side[:, :, None] & side[:, None] | alone for side in sides)
    turn = made.rotary(where, x.dtype)
    encoded = x
    for block in made.encoder:
        encoded = block(encoded, Sight(turn, given, condition))
    encoded, hidden = made.encoder_norm(encoded), x
    across = mask & sides[1][:, :, None] & sides[0][:, None]
    for block in made.decoder:
        hidden = block(
            hidden, Sight(turn, learned, condition), Sight(turn, across | alone & ~sides[1][:, :, None], condition, other=(encoded, turn))
        )
    return torch.where(sides[1][..., None], made.decoder_norm(hidden), encoded)


def real(where: Places, x: torch.Tensor) -> torch.Tensor:
    return x[where.document != PADDING]


def test_each_place_passes_the_half_it_belongs_to(laid):
    made, x = trunk(), torch.randn(2, 9, WIDTH, dtype=F64)
    torch.testing.assert_close(real(laid, made(x, None, laid, RULE)), real(laid, slow(made, x, laid)))


def test_conditions_go_to_either_half(laid):
    made, x, condition = trunk(condition=WIDTH), *torch.randn(2, 2, 9, WIDTH, dtype=F64)
    found = made(x, condition, laid, RULE)
    torch.testing.assert_close(real(laid, found), real(laid, slow(made, x, laid, condition)))
    assert not torch.isclose(real(laid, found), real(laid, slow(made, x, laid))).all(-1).any()


def test_documents_of_a_row_do_not_know_each_other(laid):
    made, x = trunk(), torch.randn(2, 9, WIDTH, dtype=F64)
    together = made(x, None, laid, RULE)[1]
    for part in (slice(0, 4), slice(4, 6)):
        torch.testing.assert_close(together[part], made(x[1:, part], None, laid[1:, part], RULE)[0])


def test_what_depends_on_what(laid):
    made, x = trunk(), torch.randn(1, 9, WIDTH, dtype=F64, requires_grad=True)
    hidden, seen = made(x, None, laid[:1], RULE)[0], []
    for place in hidden:
        (gradient,) = torch.autograd.grad(place.square().sum(), x, retain_graph=True)
        seen.append("".join(".x"[int(one)] for one in gradient[0].abs().sum(-1) > 0))
    # given, learned, given, learned: what is given sees all that is given with it or before, and never the learned
    assert seen == ["xx.......", "xx.......", "xxx......", "xxxx.....", "xxxxx....", "xx...xx..", "xx...xx..", "xxxxxxxx.", "x" * 9]


@pytest.mark.parametrize("steps", [(9,), (3, 4, 2), (2, 1, 1, 1, 2, 1, 1)])
def test_passes_through_the_cache_equal_one_pass(steps, laid):
    made, x, where = trunk(), torch.randn(2, 9, WIDTH, dtype=F64), stacked(laid, [slice(0, 9)] * 2)
    whole, cache, begun = made(x, None, where, RULE), made.cache(rows=3, capacity=2), 0
    rows = [cache.take() for _ in range(3)][1:]
    for count in steps:
        now = slice(begun, begun + count)
        for keep in (False, True):  # a peek in front of every commit
            opened = cache.open(rows, where[:, now])
            torch.testing.assert_close(made(x[:, now], None, where[:, now], RULE, opened), whole[:, now])
            opened.commit([keep, keep])
        begun += count


def stacked(laid, parts) -> Places:
    """Parts of the first row's places as rows."""
    return Places(torch.cat([laid.data[:, :1, part] for part in parts], 1))


def test_rows_in_different_states_share_passes_and_are_brought_back(laid):
    made, x = trunk(), torch.randn(1, 9, WIDTH, dtype=F64)
    whole, cache = made(x, None, laid[:1], RULE)[0], made.cache(rows=2, capacity=2)
    rows = [cache.take(), cache.take()]

    def show(some, *parts, keep):
        now = stacked(laid, parts)
        opened = cache.open(some, now)
        found = made(torch.cat([x[:, part] for part in parts]), None, now, RULE, opened)
        torch.testing.assert_close(found, torch.stack([whole[part] for part in parts]))
        opened.commit(keep)
        return [(cache.given.lengths[row], cache.learned.lengths[row]) for row in rows]

    assert show(rows[:1], slice(0, 3), keep=[True]) == [(2, 1), (0, 0)]
    kept = cache.snapshot(rows)
    assert show(rows, slice(3, 5), slice(0, 2), keep=[True, False]) == [(2, 3), (0, 0)]  # learned ones of one row, given ones of the other
    cache.restore(kept)
    assert show(rows, slice(3, 5), slice(0, 2), keep=[True, True]) == [(2, 3), (2, 0)]
    assert show(rows, slice(5, 8), slice(2, 5), keep=[True, True]) == [(4, 4), (2, 3)]
    assert show(rows[:1], slice(8, 9), keep=[True]) == [(4, 5), (2, 3)]
    cache.give(rows[0])
    assert cache.take() == rows[0] and show(rows, slice(0, 2), slice(5, 7), keep=[True, True]) == [(2, 0), (4, 3)]
    cache.copy(rows[1], rows[:1])
    assert show(rows, slice(7, 9), slice(7, 9), keep=[True, False]) == [(4, 5), (4, 3)]


def test_a_place_that_sees_nothing_given_takes_nothing(places):
    made, x = trunk(), torch.randn(1, 3, WIDTH, dtype=F64, requires_grad=True)
    where = places(learned=[[1, 1, 1]])
    hidden = made(x, None, where, RULE)
    expected = x
    for block in made.decoder:
        seen = Sight(made.rotary(where, F64), causal.dense(where, where))
        expected = block.mlp(block.attention(expected, seen), seen)
    torch.testing.assert_close(hidden, made.decoder_norm(expected))
    hidden.sum().backward()
    assert x.grad.isfinite().all()


def test_looking_across_is_a_softmax_over_other_places(places):
    cross, x, other = CrossAttention(8, 2, qk_norm=nn.LayerNorm, bias=True).to(F64), *torch.randn(2, 1, 5, 8, dtype=F64)
    other = other[:, :3]
    for norm in (cross.q_norm, cross.k_norm):
        nn.init.normal_(norm.weight)
    turns = Rotary(4)(places(order=[3, 4, 5, 6, 7]), F64), Rotary(4)(places(order=[0, 1, 2]), F64)
    mask = torch.rand(1, 5, 3) < 0.6
    mask[:, 0], mask[:, 1:, 0] = False, True
    q = turns[0](F.layer_norm(cross.q(x).view(1, 5, 2, 4).transpose(1, 2), (4,), cross.q_norm.weight, cross.q_norm.bias))
    k, v = (part.view(1, 3, 2, 4).transpose(1, 2) for part in cross.kv(other).chunk(2, -1))
    k = turns[1](F.layer_norm(k, (4,), cross.k_norm.weight, cross.k_norm.bias))
    weights = (q @ k.mT / 2).masked_fill(~mask[:, None], -torch.inf).softmax(-1).nan_to_num(0)
    expected = cross.out((weights @ v).transpose(1, 2).flatten(-2))
    torch.testing.assert_close(cross(x, Sight(turns[0], mask, other=(other, turns[1]))), expected)


def test_gradients_are_those_of_finite_differences(places):
    made, where = trunk(8, depths=(1, 1)), places(learned=[[0, 0, 1, 1]])
    x = torch.randn(1, 4, 8, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: made(x, None, where, RULE), x)


def test_half_precision_stays_close(laid):
    made, x = trunk().float(), torch.randn(2, 9, WIDTH)
    exact = made(x, None, laid, RULE)
    with torch.autocast("cpu", torch.bfloat16):
        rough = made(x, None, laid, RULE)
    assert 0 < real(laid, exact - rough).abs().max() < 0.2


def test_a_place_counts_the_parameters_of_its_half():
    made = trunk(depths=(2, 1))
    size = lambda *modules: sum(parameter.numel() for module in modules for parameter in module.parameters())
    kv = size(made.decoder[0].cross.inner.kv)
    assert kv == 2 * 8 * WIDTH
    assert made.active_parameters == size(made.encoder, made.encoder_norm) + kv > size(made.decoder)
    assert trunk(depths=(1, 2)).active_parameters == 2 * (size(made.decoder[0]) - kv) + WIDTH
    assert len(made.blocks) == 3


def test_weights_start_so_that_either_stream_keeps_its_size():
    wide = trunk(128, depths=(3, 4), heads=4, kv_heads=4)
    wide = EncoderDecoder(list(wide.encoder), list(wide.decoder), norms=(wide.encoder_norm, wide.decoder_norm), rotary=wide.rotary)
    one, other = wide.encoder[0], wide.decoder[1]
    expected = {one.mlp.inner.down: 344 * 6, other.cross.inner.q: 128, other.cross.inner.out: 128 * 12, other.attention.inner.out: 128 * 12}
    for linear, inverse in expected.items():
        assert abs(float(linear.weight.detach().std()) * inverse**0.5 - 1) < 0.05


def test_rules_that_the_encoder_cannot_follow_are_refused():
    made, image = trunk(), SimpleNamespace(name="image", number=1, views=True)
    made.serves(RULE, [])
    made.serves(RULE | within(image), [image, image])
    with pytest.raises(ValueError, match=r"EncoderDecoder: attention causal, under which what is given looks at what is learned; .* apart"):
        made.serves(causal, [image])
    with pytest.raises(ValueError, match="attention everywhere"):
        made.serves(everywhere, [])
    with pytest.raises(ValueError, match=r"attentions of \(kv_heads, head size\) \[\(1, 8\), \(2, 8\)\]; one for all"):
        EncoderDecoder(list(trunk(kv_heads=2).encoder), list(made.decoder), norms=(nn.Identity(), nn.Identity()), rotary=Rotary(8))


def t5(width: int, heads: int, hidden: int, depths: tuple[int, int]):
    """T5 1.1 without biases of distance, at random weights; and ours with the same, which T5 does not divide by the root of the size."""
    transformers = pytest.importorskip("transformers")
    shape = {"d_model": width, "d_kv": width // heads, "num_heads": heads, "d_ff": hidden, "num_layers": depths[0], "vocab_size": 10}
    config = transformers.T5Config(**shape, num_decoder_layers=depths[1], feed_forward_proj="gated-gelu", layer_norm_epsilon=1e-6)
    theirs = transformers.T5Model(config).to(F64).eval()
    for name, parameter in theirs.named_parameters():
        nn.init.normal_(parameter, std=0.2)
        if "relative_attention_bias" in name:
            nn.init.zeros_(parameter)
    gated = lambda: SwiGLU(width, hidden, activation=partial(F.gelu, approximate="tanh"))
    encoder = [Block(step(SelfAttention(width, heads)), step(gated())) for _ in range(depths[0])]
    decoder = [DecoderBlock(step(SelfAttention(width, heads)), step(CrossAttention(width, heads)), step(gated())) for _ in range(depths[1])]
    ours = EncoderDecoder(encoder, decoder, norms=(nn.RMSNorm(width), nn.RMSNorm(width)), rotary=Rotary(width // heads, portion=0.0))
    return theirs, ours.to(F64)


@torch.no_grad()
def take_over(ours: EncoderDecoder, theirs) -> None:
    """T5's weights in our layout."""
    root = ours.decoder[0].parts[0].size ** 0.5
    for blocks, norm, stack in (
        (ours.encoder, ours.encoder_norm, theirs.encoder),
        (ours.decoder, ours.decoder_norm, theirs.decoder),
    ):
        norm.weight.copy_(stack.final_layer_norm.weight)
        for block, layers in zip(blocks, stack.block, strict=True):
            *attentions, feed = layers.layer
            mine = [step for step in (block.attention, getattr(block, "cross", None)) if step]
            for step_, layer in zip(mine, attentions, strict=True):
                theirs_ = layer.SelfAttention if hasattr(layer, "SelfAttention") else layer.EncDecAttention
                q, k, v = theirs_.q.weight * root, theirs_.k.weight, theirs_.v.weight
                inner = step_.inner
                if isinstance(inner, CrossAttention):
                    inner.q.weight.copy_(q)
                    inner.kv.weight.copy_(torch.cat([k, v]))
                else:
                    inner.qkv.weight.copy_(torch.cat([q, k, v]))
                inner.out.weight.copy_(theirs_.o.weight)
                step_.norm.weight.copy_(layer.layer_norm.weight)
            block.mlp.norm.weight.copy_(feed.layer_norm.weight)
            dense = feed.DenseReluDense
            block.mlp.inner.gate_up.weight.copy_(torch.cat([dense.wi_0.weight, dense.wi_1.weight]))
            block.mlp.inner.down.weight.copy_(dense.wo.weight)
    for norm in (module for module in ours.modules() if isinstance(module, nn.RMSNorm)):
        norm.eps = 1e-6


@pytest.mark.parametrize(
    ("width", "heads", "hidden", "depths", "lengths"),
    [(32, 4, 48, (2, 2), (7, 5)), (24, 2, 40, (1, 3), (1, 9)), (48, 6, 96, (3, 1), (12, 1))],
)
def test_it_is_t5(width, heads, hidden, depths, lengths, places):
    theirs, ours = t5(width, heads, hidden, depths)
    take_over(ours, theirs)
    given, learned = (torch.randn(2, length, width, dtype=F64) for length in lengths)
    with torch.no_grad():
        said = theirs(inputs_embeds=given, decoder_inputs_embeds=learned)
        where = places(learned=[[0] * lengths[0] + [1] * lengths[1]] * 2)
        found = ours(torch.cat([given, learned], 1), None, where, RULE)
    torch.testing.assert_close(found[:, : lengths[0]], said.encoder_last_hidden_state, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[:, lengths[0] :], said.last_hidden_state, rtol=1e-6, atol=1e-6)
