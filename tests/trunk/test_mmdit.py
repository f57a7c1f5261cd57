"""Gated towers in Experts are an MM-DiT: beside the blocks of Stable Diffusion 3 in `diffusers`, with random weights."""

import warnings
from functools import partial

import pytest
import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers.models.attention import JointTransformerBlock

from tessera.attention import causal, everywhere
from tessera.trunk import MLP, Block, Experts, OnlySeen, PreNorm, Rotary, SelfAttention, Transformer

TEXT, IMAGE = 0, 1
SHAPES = [(16, 2, 3, 5), (24, 3, 7, 4), (32, 4, 1, 16)]  # width, heads, words, elements of a picture


class Numbered(nn.Module):
    """Stands for a port."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def normed(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)


def block(width: int, heads: int) -> Block:
    step = partial(PreNorm, normed(width), condition=width, gated=True)
    return Block(step(SelfAttention(width, heads, bias=True)), step(MLP(width, activation=nn.GELU("tanh"))))


def mmdit(width: int, heads: int, *, depth: int = 1, last: bool = False, rotary: Rotary | None = None) -> Experts:
    """Two towers, text and pictures; the text's ends with a block that is only seen, where asked."""
    towers = []
    for only_seen in (last, False):
        blocks = [block(width, heads) for _ in range(depth)]
        blocks += [OnlySeen(normed(width), width, heads, condition=width)] if only_seen else [block(width, heads) for _ in range(last)]
        towers.append(Transformer(blocks, norm=nn.Identity(), rotary=rotary))
    return Experts(tuple(towers), {Numbered(IMAGE): 1})


def spread(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module.eval()


def theirs(width: int, heads: int, *, pre_only: bool = False) -> JointTransformerBlock:
    return spread(JointTransformerBlock(width, heads, width // heads, context_pre_only=pre_only))


def step_of(their: nn.Module, ours: PreNorm, chunks: slice, adapt: str) -> None:
    """The three numbers of a step (theirs: shift, scale, gate; ours: scale, shift, gate less 1)."""
    linear = their.get_submodule(adapt)
    for of_theirs, of_ours, open in ((linear.weight, ours.adapt.weight, 0), (linear.bias, ours.adapt.bias, 1)):
        shift, scale, gate = of_theirs.data.chunk(6)[chunks]
        of_ours.data = torch.cat([scale, shift, gate - open])


def fill(ours: Block, their: nn.Module, norm: str, qkv: tuple[str, ...], out: str, mlp: str) -> None:
    """One stream of their block."""
    step_of(their, ours.attention, slice(3), f"{norm}.linear")
    step_of(their, ours.mlp, slice(3, 6), f"{norm}.linear")
    attention, inner = ours.attention.inner, ours.mlp.inner
    pairs = [(attention.out, f"attn.{out}"), (inner.up, f"{mlp}.net.0.proj"), (inner.down, f"{mlp}.net.2")]
    for part in ("weight", "bias"):
        joined = torch.cat([getattr(their.get_submodule(f"attn.{name}"), part) for name in qkv])
        setattr(attention.qkv, part, nn.Parameter(joined.detach()))
        for mine, name in pairs:
            setattr(mine, part, nn.Parameter(getattr(their.get_submodule(name), part).detach()))


def fill_last(ours: OnlySeen, their: nn.Module) -> None:
    """The context of their block that is only looked at."""
    for part in ("weight", "bias"):
        joined = torch.cat([getattr(their.get_submodule(f"attn.add_{name}_proj"), part) for name in "kv"])
        setattr(ours.kv, part, nn.Parameter(joined.detach()))
        setattr(ours.adapt, part, nn.Parameter(getattr(their.norm1_context.linear, part).detach()))


PICTURE = ("norm1", ("to_q", "to_k", "to_v"), "to_out.0", "ff")
WORDS = ("norm1_context", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out", "ff_context")


def laid(words: int, elements: int, places):
    """Words in the middle of the picture: which stream a place belongs to is all that counts."""
    ports = [IMAGE] * (elements // 2) + [TEXT] * words + [IMAGE] * (elements - elements // 2)
    return places(port=[ports] * 2, document=[[0] * len(ports), [1] * len(ports)]), torch.tensor(ports)


@pytest.mark.parametrize("pre_only", [False, True], ids=["whole", "pre-only"])
@pytest.mark.parametrize(("width", "heads", "words", "elements"), SHAPES)
@torch.no_grad()
def test_a_joint_block_is_stable_diffusions(width, heads, words, elements, pre_only, places):
    blocks = [theirs(width, heads), theirs(width, heads, pre_only=pre_only)]
    ours = mmdit(width, heads, depth=1 if pre_only else 2, last=pre_only)
    for their, text, picture in zip(blocks, ours.towers[0].blocks, ours.towers[1].blocks, strict=True):
        fill(picture, their, *PICTURE)
        fill_last(text, their) if isinstance(text, OnlySeen) else fill(text, their, *WORDS)
    seen, said, told = torch.randn(2, elements, width), torch.randn(2, words, width), torch.randn(2, width)
    where, ports = laid(words, elements, places)
    x = torch.empty(2, words + elements, width)
    x[:, ports == IMAGE], x[:, ports == TEXT] = seen, said
    hidden = ours(x, told[:, None].expand_as(x), where, everywhere)
    for their in blocks:
        said, seen = their(seen, said, told)
    torch.testing.assert_close(hidden[:, ports == IMAGE], seen, rtol=1e-4, atol=1e-4)
    if not pre_only:
        torch.testing.assert_close(hidden[:, ports == TEXT], said, rtol=1e-4, atol=1e-4)


def grown(places) -> tuple[Experts, Tensor, Tensor]:
    return spread(mmdit(16, 2, depth=2, rotary=Rotary(8))), torch.randn(2, 8, 16), torch.randn(2, 8, 16)


def test_each_place_hears_its_own_time(places):
    """Words and pictures at different times: a place's condition moves itself first, and others by what they see of it."""
    ours, x, told = grown(places)
    where, _ = laid(3, 5, places)
    one = told.clone().requires_grad_()
    ours(x, one, where, causal)[0, 4].sum().backward()
    assert one.grad[0, :5].any(-1).all() and not one.grad[0, 5:].any() and not one.grad[1].any()


def test_places_without_a_condition_hear_what_is_said_to_zeros(places):
    ours, x, told = grown(places)
    where, _ = laid(3, 5, places)
    torch.testing.assert_close(ours(x, None, where, everywhere), ours(x, torch.zeros_like(told), where, everywhere))
    last = spread(mmdit(16, 2, last=True))
    torch.testing.assert_close(last(x, None, where, everywhere), last(x, torch.zeros_like(told), where, everywhere))


def test_it_starts_as_towers_without_conditions(places):
    ours, x, told = mmdit(16, 2, depth=2), torch.randn(2, 8, 16), torch.randn(2, 8, 16)
    where = laid(3, 5, places)[0]
    torch.testing.assert_close(ours(x, told, where, everywhere), ours(x, None, where, everywhere))


@torch.no_grad()
def test_a_cache_remembers_what_nobody_sees_anew(places):
    """Under a rule that looks back only, keys and values of both streams are kept."""
    ours, x, told = grown(places)
    where, _ = laid(3, 5, places)
    cache, got = ours.cache(rows=2, capacity=4), []
    rows = [cache.take(), cache.take()]
    for some in (slice(0, 3), slice(3, 4), slice(4, 8)):
        opened = cache.open(rows, where[:, some])
        got.append(ours(x[:, some], told[:, some], where[:, some], causal, opened))
        opened.commit([True, True])
    torch.testing.assert_close(torch.cat(got, 1), ours(x, told, where, causal))
