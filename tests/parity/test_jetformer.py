"""JetFormer's trunk and mixture head from our parts, against what the published code computed from the same weights."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from parity.fixture import load
from torch import Tensor, nn

from tessera.attention import AttentionRule, causal
from tessera.laws import Mixture
from tessera.readers import LinearReader
from tessera.trunk import Block, OffsetRMSNorm, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import LinearWriter

FIXTURE = load("jetformer")
CONFIG, WEIGHTS = FIXTURE.config, FIXTURE.weights
TEXT, IMAGE = CONFIG["text_len"], CONFIG["image_len"]
FIRST, VALID = FIXTURE.inputs["text_first"].bool(), FIXTURE.inputs["text_input_mask"].bool()
DROPPED = FIXTURE.inputs["drop_prefix"].bool()
GEMMA = partial(F.gelu, approximate="tanh")

valid = AttentionRule("valid", lambda q, k: k.learned == 1)
"""Look at what is no padding (said by a field that no rule of ours uses): padding stands inside rows here."""


def published() -> dict[str, Tensor]:
    """The trunk's weights under our names."""
    state = {"norm.scale": WEIGHTS["decoder/final_norm/scale"]}
    for i in range(CONFIG["depth"]):
        theirs = FIXTURE.under(f"decoder/layers/{i}/")
        rows = [theirs["attn/q_einsum/w"], *theirs["attn/kv_einsum/w"]]
        state |= {
            f"blocks.{i}.attention.norm.scale": theirs["pre_attention_norm/scale"],
            f"blocks.{i}.attention.inner.qkv.weight": torch.cat([one.transpose(1, 2).flatten(0, 1) for one in rows]),
            f"blocks.{i}.attention.inner.out.weight": theirs["attn/attn_vec_einsum/w"].flatten(0, 1).T,
            f"blocks.{i}.mlp.norm.scale": theirs["pre_ffw_norm/scale"],
            f"blocks.{i}.mlp.inner.gate_up.weight": theirs["mlp/gating_einsum"].transpose(1, 2).flatten(0, 1),
            f"blocks.{i}.mlp.inner.down.weight": theirs["mlp/linear"].T,
        }
    return state


def gemma(*, norm=OffsetRMSNorm, activation=GEMMA, theta=10_000.0) -> Transformer:
    """The trunk, made of our parts."""
    width, heads = CONFIG["width"], CONFIG["num_heads"]
    blocks = [
        Block(
            PreNorm(norm(width), SelfAttention(width, heads, kv_heads=CONFIG["num_kv_heads"])),
            PreNorm(norm(width), SwiGLU(width, CONFIG["mlp_dim"], activation=activation)),
        )
        for _ in range(CONFIG["depth"])
    ]
    trunk = Transformer(blocks, norm=norm(width), rotary=Rotary(CONFIG["head_dim"], theta=theta))
    trunk.load_state_dict({name.replace("scale", "weight") if norm is nn.RMSNorm else name: w for name, w in published().items()})
    return trunk


def embedded(dropped: bool) -> tuple[Tensor, Tensor]:
    """What the trunk reads, row by row, the last place cut; and which places are no padding."""
    table = WEIGHTS["EmbedText/embedding"]
    reader = LinearReader(CONFIG["out_dim"], CONFIG["width"])
    reader.embed.load_state_dict({"weight": WEIGHTS["EmbedImage/kernel"].T, "bias": WEIGHTS["EmbedImage/bias"]})
    text = table[FIXTURE.inputs["text_tokens"]]
    image = reader(FIXTURE.inputs["image_tokens"], torch.zeros(len(text), dtype=torch.long)).embeddings
    begin, picture, nothing = (table[CONFIG[name]] for name in ("bos_id", "boi_id", "nolabel_id"))
    rows, masks = [], []
    for i, first in enumerate(FIRST):
        words, seen = (begin, *text[i]), [True, *VALID[i].tolist()]
        squares, shown = (picture, *image[i]), [True] * (1 + IMAGE)
        if dropped and DROPPED[i]:
            words = (begin, *[nothing] * TEXT) if first else words
            seen = [True] * (1 + TEXT) if first else seen
            squares = squares if first else (picture, *[nothing] * IMAGE)
        rows.append(torch.stack([*words, *squares] if first else [*squares, *words])[:-1])
        masks.append(torch.tensor(seen + shown if first else shown + seen)[:-1])
    return torch.stack(rows), torch.stack(masks)


def run(places, dropped: bool, **changes) -> tuple[Tensor, Tensor, Tensor]:
    """The stream before the final norm, and the hidden states that answer for text and for the picture."""
    trunk, before = gemma(**changes), []
    trunk.blocks[-1].after_mlp.register_forward_hook(lambda module, args, out: before.append(out))
    embeddings, seen = embedded(dropped)
    with torch.no_grad():
        hidden = trunk(embeddings, None, places(order=(seen.cumsum(-1) - 1).tolist(), learned=seen.long().tolist()), causal & valid)
    text = torch.stack([h[:TEXT] if first else h[IMAGE + 1 : IMAGE + 1 + TEXT] for h, first in zip(hidden, FIRST, strict=True)])
    image = torch.stack([h[TEXT + 1 :] if first else h[:IMAGE] for h, first in zip(hidden, FIRST, strict=True)])
    return before[0], text, image


def head() -> LinearWriter:
    writer = LinearWriter(CONFIG["width"], len(WEIGHTS["LogitsImage/bias"]), bias=True)
    writer.out.load_state_dict({"weight": WEIGHTS["LogitsImage/kernel"].T, "bias": WEIGHTS["LogitsImage/bias"]})
    return writer


@pytest.mark.parametrize("dropped", [False, True], ids=["", "dropped"])
@torch.no_grad()
def test_trunk_and_mixture_are_the_published_ones(dropped, places):
    encoded, text, image = run(places, dropped)
    name = lambda output: f"dropped_{output}" if dropped else output
    FIXTURE.check(name("encoded"), encoded)
    logits = text @ WEIGHTS["EmbedText/embedding"].T
    FIXTURE.check(name("text_logits"), logits)
    tokens = FIXTURE.inputs["text_tokens"]
    FIXTURE.check(name("text_log_prob"), logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0])
    law = Mixture(components=CONFIG["num_mixtures"], features=CONFIG["out_dim"], floor=CONFIG["scale_tol"])
    said = head()(image)
    FIXTURE.check(name("image_logits"), said)
    shares, means, deviations = law.gaussians(said)
    FIXTURE.check(name("gmm_means"), means)
    FIXTURE.check(name("gmm_scales"), deviations)
    FIXTURE.check(name("gmm_logits"), said[..., : law.components])
    torch.testing.assert_close(shares, said[..., : law.components].log_softmax(-1))
    nats = law.loss(head(), image.flatten(0, 1), None, FIXTURE.inputs["image_tokens"].flatten(0, 1), None)
    likelihood = name("image_log_likelihood")
    torch.testing.assert_close(-nats.unflatten(0, (-1, IMAGE)), FIXTURE.outputs[likelihood], **FIXTURE.tolerance["image_log_likelihood"])


@pytest.mark.parametrize(
    "mutation",
    [{"norm": nn.RMSNorm}, {"activation": F.gelu}, {"activation": F.silu}, {"theta": 1000.0}],
    ids=["weight without its 1", "exact GELU", "SiLU", "rotary base"],
)
def test_a_mutated_trunk_is_not(mutation, places):
    assert not FIXTURE.agrees("encoded", run(places, False, **mutation)[0])
