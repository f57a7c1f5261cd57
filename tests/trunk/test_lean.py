import pytest
import torch
from torch import nn

from tessera.attention import causal
from tessera.places import Places
from tessera.trunk import MLP, Block, ParallelBlock, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.trunk.lean import LeanTransformer, common, lean_form
from tessera.trunk.lean.common import side_by_side

WIDTH, HEADS, ROWS = 16, 4, 3


def trunk(*, norm=nn.RMSNorm, mlp=SwiGLU, block=Block, rotary=True, **attention) -> Transformer:
    """Two blocks with random weights, norms' too."""
    if block is ParallelBlock:
        blocks = [ParallelBlock(norm(WIDTH), SelfAttention(WIDTH, HEADS), mlp(WIDTH)) for _ in range(2)]
    else:
        blocks = [Block(PreNorm(norm(WIDTH), SelfAttention(WIDTH, HEADS, **attention)), PreNorm(norm(WIDTH), mlp(WIDTH))) for _ in range(2)]
    made = Transformer(blocks, norm=norm(WIDTH), rotary=Rotary(attention.get("size", WIDTH // HEADS)) if rotary else None)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.eval()


def written(form, made: Transformer, places, condition=None) -> torch.Tensor:
    """Hidden states of passes of several and of single places, through rows that are not equally long."""
    torch.manual_seed(1)
    cache, hidden = made.cache(rows=ROWS, capacity=2), []
    for rows, counts in (([0, 1, 2], 3), ([2], 4), ([0, 1, 2], 1), ([2, 0], 2), ([0, 1, 2], 1)):
        first = [cache.lengths[row] for row in rows]
        new: Places = places(order=[list(range(start, start + counts)) for start in first])
        opened = cache.open(rows, new)
        hidden.append(form(torch.randn(len(rows), counts, WIDTH).to(made.norm.weight), condition, new, causal, opened).flatten())
        opened.commit([True] * len(rows))
    return torch.cat(hidden)


@pytest.mark.parametrize(
    "attention",
    [{}, {"kv_heads": 2}, {"qk_norm": nn.LayerNorm}, {"qk_norm": nn.RMSNorm, "kv_heads": 1}, {"size": 6}],
    ids=lambda attention: "-".join(attention) or "plain",
)
@pytest.mark.parametrize("dtype, near", [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str)
@torch.inference_mode()
def test_the_lean_form_says_what_the_trunk_says(attention, dtype, near, places):
    made = trunk(**attention).to(dtype)
    lean = lean_form(made)
    assert isinstance(lean, LeanTransformer)
    expected = written(made, made, places)
    torch.testing.assert_close(written(lean, made, places), expected, rtol=0, atol=near * expected.abs().max())


@torch.inference_mode()
def test_the_epsilon_of_norms_counts(places):
    made = trunk(norm=lambda width: nn.RMSNorm(width, eps=0.5), qk_norm=lambda size: nn.LayerNorm(size, eps=0.5))
    expected = written(made, made, places)
    torch.testing.assert_close(written(lean_form(made), made, places), expected, rtol=0, atol=1e-5 * expected.abs().max())


@pytest.mark.parametrize(
    "other",
    [
        {"mlp": MLP},
        {"block": ParallelBlock},
        {"bias": True},
        {"rotary": False},
        {"qk_norm": lambda size: nn.LayerNorm(size, bias=False)},
        {"qk_norm": (nn.LayerNorm, nn.RMSNorm)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_trunks_write_as_they_are(other):
    made = trunk(**other)
    assert lean_form(made) is made


def test_norms_of_other_kinds_stay_as_they_are(places):
    made = trunk(norm=nn.LayerNorm)
    with torch.inference_mode():
        expected = written(made, made, places)
        torch.testing.assert_close(written(lean_form(made), made, places), expected, rtol=0, atol=1e-5 * expected.abs().max())


@pytest.mark.parametrize("asked", ["hook", "gradient", "autocast", "training", "precision"])
def test_the_trunk_itself_passes_where_that_is_asked_for(asked, places, monkeypatch):
    made = trunk()
    lean = lean_form(made)
    called = []
    monkeypatch.setattr(lean, "trunk", lambda *words: called.append(words) or made(*words))
    made.training, lean.trunk.sight = asked == "training", made.sight  # the trunk watched
    if asked == "hook":
        made.blocks[1].after_mlp.register_forward_hook(lambda module, given, out: None)
    with torch.set_grad_enabled(asked == "gradient"), torch.autocast("cpu", torch.bfloat16, enabled=asked == "autocast"):
        new = places(order=[[0, 1]])
        dtype = torch.bfloat16 if asked == "precision" else torch.float32
        made.to(dtype)
        x = torch.randn(1, 2, WIDTH, dtype=dtype)
        lean(x, None, new, causal, made.cache(rows=1, capacity=2).open([0], new))
    assert len(called) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.data.mul_(1.01),
        lambda weight: weight.data.copy_(weight.data.roll(1, 0)),
        lambda weight: weight.data.copy_(weight.data.roll(1, 1)),
        lambda weight: setattr(weight, "data", torch.randn(3, 4)),
        lambda weight: setattr(weight, "data", weight.data.double()),
    ],
    ids=["scaled", "rows", "columns", "another", "precision"],
)
def test_what_is_kept_of_a_weight_is_made_anew_when_it_changes(change):
    weight = nn.Parameter(torch.randn(3, 4))
    first = side_by_side(weight)
    assert side_by_side(weight) is first and first.is_contiguous()
    change(weight)
    assert torch.equal(side_by_side(weight), weight.t())


def test_nothing_is_kept_of_weights_that_are_gone_or_large(monkeypatch):
    before = len(common._kept)
    weight = nn.Parameter(torch.randn(3, 4))
    side_by_side(weight)
    assert len(common._kept) == before + 1
    del weight
    assert len(common._kept) == before
    monkeypatch.setattr(common, "SMALL", 11)
    weight = nn.Parameter(torch.randn(3, 4))
    assert side_by_side(weight).data_ptr() == weight.data_ptr() and len(common._kept) == before
