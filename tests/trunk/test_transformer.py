import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tessera.attention import causal
from tessera.trunk import MLP, Block, ParallelBlock, PreNorm, Rotary, SelfAttention, SwiGLU, SwinNorm, Transformer
from tessera.trunk.layers import Sight, explicit_attention

F64 = torch.float64


def sight(places, count: int, size: int, dtype=F64) -> Sight:
    """What `count` places see of each other under the causal rule."""
    where = places(order=list(range(count)))
    return Sight(Rotary(size)(where, dtype), causal.dense(where, where), None, None)


def transformer(width=16, depth=2, heads=2, **attention) -> Transformer:
    blocks = [
        Block(PreNorm(nn.RMSNorm(width), SelfAttention(width, heads, **attention)), PreNorm(nn.RMSNorm(width), SwiGLU(width)))
        for _ in range(depth)
    ]
    return Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(width // heads))


def test_attention_is_a_softmax_over_what_a_place_sees(places):
    attention, x = SelfAttention(8, 2, bias=True).to(F64), torch.randn(1, 5, 8, dtype=F64)
    seen = sight(places, 5, 4)
    q, k, v = (part.view(5, 2, 4).transpose(0, 1) for part in attention.qkv(x)[0].chunk(3, -1))
    q, k = (seen.turn(part[None])[0] for part in (q, k))
    heads = torch.zeros(2, 5, 4, dtype=F64)
    for head in range(2):
        for place in range(5):
            weights = torch.stack([(q[head, place] @ k[head, other]) / 2 for other in range(place + 1)]).softmax(0)
            heads[head, place] = weights @ v[head, : place + 1]
    expected = attention.out(torch.cat([heads[0], heads[1]], -1))
    torch.testing.assert_close(attention(x, seen)[0], expected)


def test_grouped_heads_equal_heads_with_copied_keys_and_values(places):
    grouped, full = SelfAttention(16, 4, kv_heads=2).to(F64), SelfAttention(16, 4).to(F64)
    q, k, v = grouped.qkv.weight.view(8, 4, 16).split([4, 2, 2])
    with torch.no_grad():
        full.qkv.weight.copy_(torch.cat([q, k.repeat_interleave(2, 0), v.repeat_interleave(2, 0)]).flatten(0, 1))
        full.out.weight.copy_(grouped.out.weight)
    x = torch.randn(2, 6, 16, dtype=F64)
    torch.testing.assert_close(grouped(x, sight(places, 6, 4)), full(x, sight(places, 6, 4)))


def test_query_and_key_norms_come_before_the_turn_and_are_shared_by_heads(places):
    attention, x = SelfAttention(8, 2, qk_norm=nn.LayerNorm).to(F64), torch.randn(1, 5, 8, dtype=F64)
    for norm in (attention.q_norm, attention.k_norm):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    seen = sight(places, 5, 4)
    q, k, v = (part.view(1, 5, 2, 4).transpose(1, 2) for part in attention.qkv(x).chunk(3, -1))
    q, k = (seen.turn(F.layer_norm(part, (4,), norm.weight, norm.bias)) for part, norm in ((q, attention.q_norm), (k, attention.k_norm)))
    expected = attention.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x, seen), expected)


def test_without_a_mask_all_see_all_and_without_a_turn_nobody_is_anywhere(places):
    attention, x = SelfAttention(8, 2).to(F64), torch.randn(2, 5, 8, dtype=F64)
    q, k, v = (part.view(2, 5, 2, 4).transpose(1, 2) for part in attention.qkv(x).chunk(3, -1))
    expected = attention.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x, Sight()), expected)
    torch.testing.assert_close(attention(x.flip(1), Sight()).flip(1), expected)
    half = attention.to(torch.bfloat16)(x.bfloat16(), Sight())
    torch.testing.assert_close(half.double(), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("width, heads, kv_heads", [(10, 4, None), (16, 4, 3)])
def test_heads_that_do_not_divide_are_refused(width, heads, kv_heads):
    with pytest.raises(
        ValueError, match=f"SelfAttention: width {width}, {heads} heads, {kv_heads or heads} kv_heads, size None; the width must"
    ):
        SelfAttention(width, heads, kv_heads=kv_heads)


def test_heads_of_a_size_of_their_own_with_norms_and_biases_of_their_own(places):
    attention = SelfAttention(12, 4, kv_heads=2, size=6, bias=True, out_bias=False, qk_norm=(nn.RMSNorm, nn.LayerNorm)).to(F64)
    assert attention.qkv.weight.shape == (48, 12) and attention.out.weight.shape == (12, 24)
    assert attention.qkv.bias is not None and attention.out.bias is None
    assert isinstance(attention.q_norm, nn.RMSNorm) and isinstance(attention.k_norm, nn.LayerNorm)
    x = torch.randn(1, 5, 12, dtype=F64)
    q, k, v = attention.qkv(x).unflatten(-1, (8, 6)).transpose(1, 2).split([4, 2, 2], 1)
    turn = Rotary(6)(places(order=list(range(5))), F64)
    q, k = turn(attention.q_norm(q)), turn(attention.k_norm(k))
    scores = q @ k.repeat_interleave(2, 1).mT / 6**0.5 + torch.full((5, 5), -torch.inf, dtype=F64).triu(1)
    expected = attention.out((scores.softmax(-1) @ v.repeat_interleave(2, 1)).transpose(1, 2).flatten(-2))
    torch.testing.assert_close(attention(x, sight(places, 5, 6)), expected)
    with pytest.raises(ValueError, match="size 5; the width must be"):
        SelfAttention(12, 4, size=5)


def test_mlps_are_their_formulas(places):
    x = torch.randn(1, 3, 16)
    gated, plain = SwiGLU(16), MLP(16)
    seen = sight(places, 3, 16, torch.float32)
    gate, up = gated.gate_up.weight.chunk(2)
    torch.testing.assert_close(gated(x, seen), (F.silu(x @ gate.T) * (x @ up.T)) @ gated.down.weight.T)
    torch.testing.assert_close(plain(x, seen), plain.down(F.gelu(x @ plain.up.weight.T + plain.up.bias)))
    other = MLP(16, activation=nn.ReLU())
    torch.testing.assert_close(other(x, seen), other.down(other.up(x).clamp(min=0)))
    assert [SwiGLU(width).down.in_features for width in (192, 16, 4096)] == [512, 48, 11008]  # as in Llama 7B
    assert plain.up.out_features == 64


class Doubled(nn.Module):
    def forward(self, x, sight):
        return 2 * x


def test_residual_steps_norm_what_goes_in_or_what_comes_out(places):
    x, norm, seen = torch.randn(1, 3, 8), nn.LayerNorm(8, elementwise_affine=False), sight(places, 3, 8, torch.float32)
    assert torch.equal(PreNorm(norm, Doubled())(x, seen), x + 2 * norm(x))
    assert torch.equal(SwinNorm(norm, Doubled())(x, seen), x + norm(2 * x))


def test_a_condition_scales_and_shifts_the_norm_and_starts_as_nothing(places):
    x, condition, norm = torch.randn(1, 3, 8), torch.randn(1, 3, 8), nn.RMSNorm(8)
    conditioned, plain = PreNorm(norm, Doubled(), condition=8), PreNorm(norm, Doubled())
    seen = sight(places, 3, 4, torch.float32)
    seen.condition = condition
    assert torch.equal(conditioned(x, seen), plain(x, seen))
    nn.init.normal_(conditioned.adapt.weight)
    scale, shift = (F.silu(condition) @ conditioned.adapt.weight.T).chunk(2, -1)
    torch.testing.assert_close(conditioned(x, seen), x + 2 * (norm(x) * (1 + scale) + shift))
    seen.condition = torch.zeros_like(condition)
    torch.testing.assert_close(conditioned(x, seen), plain(x, seen))


def test_a_gated_step_starts_as_the_plain_one_and_adds_as_much_as_its_condition_says(places):
    x, condition, norm = torch.randn(1, 3, 8), torch.randn(1, 3, 8), nn.RMSNorm(8)
    step, seen = PreNorm(norm, Doubled(), condition=8, gated=True), sight(places, 3, 4, torch.float32)
    seen.condition = condition
    assert torch.equal(step(x, seen), PreNorm(norm, Doubled())(x, seen))
    for parameter in step.adapt.parameters():
        nn.init.normal_(parameter)
    scale, shift, gate = (F.silu(condition) @ step.adapt.weight.T + step.adapt.bias).chunk(3, -1)
    torch.testing.assert_close(step(x, seen), x + (1 + gate) * 2 * (norm(x) * (1 + scale) + shift))
    seen.condition = torch.zeros_like(condition)
    said_to_zeros = step(x, seen)
    seen.condition = None
    torch.testing.assert_close(step(x, seen), said_to_zeros)


def test_a_gated_step_that_rests_closed_adds_nothing_before_it_is_told_to(places):
    x, condition, norm = torch.randn(1, 3, 8), torch.randn(1, 3, 8), nn.RMSNorm(8)
    step, seen = PreNorm(norm, Doubled(), condition=8, gated=True, rest=0.0), sight(places, 3, 4, torch.float32)
    seen.condition = condition
    assert torch.equal(step(x, seen), x)
    for parameter in step.adapt.parameters():
        nn.init.normal_(parameter)
    scale, shift, gate = (F.silu(condition) @ step.adapt.weight.T + step.adapt.bias).chunk(3, -1)
    torch.testing.assert_close(step(x, seen), x + gate * 2 * (norm(x) * (1 + scale) + shift))


def test_dropout_drops_in_training_only(places):
    step, x, seen = PreNorm(nn.Identity(), Doubled(), dropout=0.5), torch.ones(1, 100, 8), sight(places, 100, 4, torch.float32)
    assert set(step(x, seen).unique().tolist()) == {1.0, 5.0}  # nothing added, or twice as much
    assert torch.equal(step.eval()(x, seen), 3 * x)


@pytest.mark.parametrize("kv_heads", [2, 4])
def test_attention_written_out_is_the_fused_kernel(kv_heads):
    q, k, v = torch.randn(2, 4, 5, 8, dtype=F64), *torch.randn(2, 2, kv_heads, 7, 8, dtype=F64)
    mask = torch.where(torch.rand(2, 1, 5, 7) < 0.6, 0.0, -torch.inf).to(F64)
    mask[..., 0] = 0
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    torch.testing.assert_close(explicit_attention(q, k, v, mask), expected)


def test_observation_points_show_and_change_the_stream(places):
    trunk, x, where = transformer(), torch.randn(1, 4, 16), places(order=[0, 1, 2, 3])
    seen = {}
    for name in ("embedded", "blocks.0.after_attention", "blocks.0.after_mlp"):
        trunk.get_submodule(name).register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: output}))
    hidden = trunk(x, None, where, causal)
    block, what = trunk.blocks[0], sight(places, 4, 8, torch.float32)
    assert torch.equal(seen["embedded"], x)
    torch.testing.assert_close(seen["blocks.0.after_attention"], block.attention(x, what))
    torch.testing.assert_close(seen["blocks.0.after_mlp"], block.mlp(seen["blocks.0.after_attention"], what))
    trunk.blocks[1].after_mlp.register_forward_hook(lambda module, inputs, output: output * 0 + 1)
    assert not torch.equal(hidden, trunk(x, None, where, causal)) and torch.equal(trunk(x, None, where, causal), torch.ones_like(x))


def test_gradients_are_those_of_finite_differences(places):
    trunk, where = transformer(width=8, depth=1, heads=2, kv_heads=1, qk_norm=nn.RMSNorm).to(F64), places(order=[0, 1, 2])
    x = torch.randn(1, 3, 8, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: trunk(x, None, where, causal), x)


def test_half_precision_stays_close(places):
    trunk, x, where = transformer(width=32, qk_norm=nn.LayerNorm), torch.randn(1, 12, 32), places(order=list(range(12)))
    exact = trunk(x, None, where, causal)
    with torch.autocast("cpu", torch.bfloat16):
        rough = trunk(x, None, where, causal)
    assert 0 < (exact - rough).abs().max() < 0.1


def test_weights_start_so_that_the_stream_keeps_its_size():
    trunk = transformer(width=128, depth=8, heads=4)
    block = trunk.blocks[3]
    linears = {
        block.attention.inner.qkv: 128,
        block.attention.inner.out: 128 * 16,
        block.mlp.inner.gate_up: 128,
        block.mlp.inner.down: 344 * 16,
    }
    for linear, inverse in linears.items():
        assert abs(float(linear.weight.detach().std()) * inverse**0.5 - 1) < 0.05


@pytest.mark.parametrize("steps", [(1,) * 7, (3, 4), (2, 1, 4)])
def test_passes_through_the_cache_equal_one_pass(steps, places):
    trunk, x, where = transformer(kv_heads=1).to(F64), torch.randn(2, 7, 16, dtype=F64), places(order=[list(range(7))] * 2)
    whole = trunk(x, None, where, causal)
    cache, begun = trunk.cache(rows=2, capacity=2), 0
    for count in steps:
        now = slice(begun, begun + count)
        for keep in (False, True):  # a peek in front of every commit
            opened = cache.open([0, 1], where[:, now])
            torch.testing.assert_close(trunk(x[:, now], None, where[:, now], causal, opened), whole[:, now])
            opened.commit([keep, keep])
        begun += count


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_it_is_llama(kv_heads, places):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "intermediate_size": 88, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": kv_heads}
    config = transformers.LlamaConfig(**sizes, vocab_size=10, rms_norm_eps=1e-5, attn_implementation="eager")
    theirs = transformers.LlamaModel(config).to(F64).eval()
    ours = transformer(width=32, heads=4, kv_heads=kv_heads).to(F64)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.2)
        ours.norm.weight.copy_(theirs.norm.weight)
        for mine, layer in zip(ours.blocks, theirs.layers, strict=True):
            attention, mlp = layer.self_attn, layer.mlp
            mine.attention.inner.qkv.weight.copy_(torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]))
            mine.attention.inner.out.weight.copy_(attention.o_proj.weight)
            mine.mlp.inner.gate_up.weight.copy_(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]))
            mine.mlp.inner.down.weight.copy_(mlp.down_proj.weight)
            mine.attention.norm.weight.copy_(layer.input_layernorm.weight)
            mine.mlp.norm.weight.copy_(layer.post_attention_layernorm.weight)
        for norm in (m for m in ours.modules() if isinstance(m, nn.RMSNorm)):
            norm.eps = 1e-5
        x = torch.randn(1, 9, 32, dtype=F64)
        expected = theirs(inputs_embeds=x).last_hidden_state
        torch.testing.assert_close(ours(x, None, places(order=list(range(9))), causal), expected, rtol=1e-6, atol=1e-6)


def test_a_parallel_block_adds_attention_and_mlp_of_one_norm(places):
    norm, attention, mlp = nn.LayerNorm(8).to(F64), SelfAttention(8, 2, bias=True).to(F64), MLP(8, activation=torch.tanh).to(F64)
    block, x, what = ParallelBlock(norm, attention, mlp), torch.randn(1, 5, 8, dtype=F64), sight(places, 5, 4)
    normed = F.layer_norm(x, (8,), norm.weight, norm.bias)
    expected = x + attention(normed, what) + mlp.down(torch.tanh(mlp.up(normed)))
    torch.testing.assert_close(block(x, what), expected)
    seen = []
    for point in (block.after_attention, block.after_mlp):
        point.register_forward_hook(lambda module, inputs, output: seen.append(output))
    block(x, what)
    torch.testing.assert_close(seen, [x + attention(normed, what), expected])


def test_parallel_blocks_are_stacked_and_cached_as_others_are(places):
    blocks = [ParallelBlock(nn.LayerNorm(64), SelfAttention(64, 4, kv_heads=2, bias=True), MLP(64)) for _ in range(4)]
    trunk = Transformer(blocks, norm=nn.LayerNorm(64), rotary=Rotary(16, portion=0.5)).to(F64)
    for linear, inputs in {blocks[3].attention.qkv: 64, blocks[3].attention.out: 64 * 8, blocks[3].mlp.down: 256 * 8}.items():
        assert linear.weight.detach().std().item() == pytest.approx(inputs**-0.5, rel=0.05)
    x, where = torch.randn(1, 6, 64, dtype=F64), places(order=list(range(6)))
    whole, cache, parts = trunk(x, None, where, causal), trunk.cache(rows=1, capacity=8), []
    row = cache.take()
    for some in (slice(0, 4), slice(4, 6)):
        opened = cache.open([row], where[:, some])
        parts.append(trunk(x[:, some], None, where[:, some], causal, opened))
        opened.commit([True])
    torch.testing.assert_close(torch.cat(parts, 1), whole)
