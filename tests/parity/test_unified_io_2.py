"""Unified-IO 2 from our parts, against numbers that the published code computed from the same weights.

Its decoder's sparse patterns, which the released code builds and does not apply, are said as rules and compared as masks.
"""

import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from parity.fixture import load
from parity.vqgan import nets
from torch import Tensor, nn

from tessera.attention import AttentionRule, causal, prefix
from tessera.codecs import VQ, VQGAN
from tessera.hub.filling import filled
from tessera.hub.vqgan import TAMING
from tessera.hub.vqgan import vqgan as names_of
from tessera.places import PADDING, Places
from tessera.trunk import Block, CrossAttention, DecoderBlock, EncoderDecoder, GridRotary, PreNorm, SelfAttention, SwiGLU

UIO2 = load("unified_io_2")
CONFIG, WEIGHTS, IN = UIO2.config, UIO2.weights, UIO2.inputs
WIDTH, HEADS, SIZE = CONFIG["emb_dim"], CONFIG["num_heads"], CONFIG["head_dim"]
ROWS, COLUMNS = CONFIG["grid"]
TEXT_IN, TEXT_OUT, PICTURE = CONFIG["text_in"], CONFIG["text_out"], ROWS * COLUMNS
TEXT, IMAGE, EYE = range(3)
LENGTHS = (TEXT_IN, PICTURE, TEXT_OUT, PICTURE)


class Eye:
    name, number = "eye", EYE


class Rules:
    """The targets do not see each other; all see what is given."""

    same = AttentionRule("same", lambda q, k: q.segment == k.segment)
    across = AttentionRule("across", lambda q, k: q.learned > k.learned)
    used = prefix | across | (causal & same)
    # patterns of a picture's places, from Unified-IO 2's code
    row = causal & AttentionRule("row", lambda q, k: q.order - k.order <= COLUMNS)
    column = causal & AttentionRule("column", lambda q, k: (q.order - k.order) % COLUMNS == 0)
    reach = CONFIG["conv_kernel"] // 2
    near = causal & AttentionRule(
        "near", lambda q, k: ((q.row - k.row).abs() <= Rules.reach) & ((q.column - k.column).abs() <= Rules.reach)
    )


# ---------------------------------------------------------------- weights


def halves(weight: Tensor) -> Tensor:
    """Features of heads whose neighbours are turned as pairs, put where ours have them: the first ones, then the second ones."""
    return weight.unflatten(0, (-1, SIZE // 2, 2)).transpose(1, 2).flatten(0, 2)


def attention_state(ours: str, theirs: str, self_attention: bool) -> dict[str, Tensor]:
    q, k = (halves(WEIGHTS[f"{theirs}.{name}.weight"]) for name in ("query", "key"))
    v = WEIGHTS[f"{theirs}.value.weight"]
    projected = (
        {f"{ours}.qkv.weight": torch.cat([q, k, v])} if self_attention else {f"{ours}.q.weight": q, f"{ours}.kv.weight": torch.cat([k, v])}
    )
    norms = {f"{ours}.{name[0]}_norm.weight": halves(WEIGHTS[f"{theirs}.{name}_norm.scale"]) for name in ("query", "key")}
    return {**projected, **norms, f"{ours}.out.weight": WEIGHTS[f"{theirs}.out.weight"]}


def stack_state(ours: str, layers: int, attentions: dict[str, tuple[str, str]]) -> dict[str, Tensor]:
    """Encoder or decoder; `attentions` says of each of ours what its attention and its norm are called."""
    state = {f"{ours}_norm.weight": WEIGHTS[f"{ours}.{ours}_norm.scale"]}
    for i in range(layers):
        mine, theirs = f"{ours}.{i}", f"{ours}.layers_{i}"
        for name, (attention, norm) in attentions.items():
            state |= attention_state(f"{mine}.{name}.inner", f"{theirs}.{attention}", name == "attention")
            state[f"{mine}.{name}.norm.weight"] = WEIGHTS[f"{theirs}.{norm}.scale"]
        gate_up = torch.cat([WEIGHTS[f"{theirs}.mlp.wi_{half}.weight"] for half in (0, 1)])
        state |= {f"{mine}.mlp.inner.gate_up.weight": gate_up, f"{mine}.mlp.inner.down.weight": WEIGHTS[f"{theirs}.mlp.wo.weight"]}
        state[f"{mine}.mlp.norm.weight"] = WEIGHTS[f"{theirs}.pre_mlp_norm.scale"]
    return state


def trunk() -> EncoderDecoder:
    norm = partial(nn.RMSNorm, eps=CONFIG["norm_eps"])
    step = lambda inner: PreNorm(norm(WIDTH), inner)
    look = lambda kind: step(kind(WIDTH, HEADS, qk_norm=norm))
    mlp = lambda: step(SwiGLU(WIDTH, CONFIG["mlp_dim"]))
    encoder = [Block(look(SelfAttention), mlp()) for _ in range(CONFIG["num_encoder_layers"])]
    decoder = [DecoderBlock(look(SelfAttention), look(CrossAttention), mlp()) for _ in range(CONFIG["num_decoder_layers"])]
    scale = math.sqrt(CONFIG["decoder_max_image_length"] / CONFIG["encoder_max_image_length"])
    rotary = GridRotary(SIZE, theta=CONFIG["rope_theta"], scale={Eye(): scale})
    ours = EncoderDecoder(encoder, decoder, norms=(norm(WIDTH), norm(WIDTH)), rotary=rotary)
    state = stack_state("encoder", len(encoder), {"attention": ("attention", "pre_attention_norm")})
    state |= stack_state(
        "decoder",
        len(decoder),
        {
            "attention": ("self_attention", "pre_self_attention_norm"),
            "cross": ("encoder_decoder_attention", "pre_cross_attention_norm"),
        },
    )
    ours.load_state_dict(state)
    published = sum(weight.numel() for name, weight in WEIGHTS.items() if name.startswith(("encoder.", "decoder.")))
    assert published == sum(weight.numel() for weight in state.values())
    return ours.requires_grad_(False)


def vqgan() -> VQGAN:
    """The tokenizer of target pictures; its decoder is not among the weights."""
    weights = UIO2.under("target_embedders.image.vqgan.")
    for old, new in (
        ("down_{}_block_", "down.{}.block."),
        ("down_{}_attn_", "down.{}.attn."),
        ("down_{}_downsample", "down.{}.downsample"),
    ):
        for level in range(len(CONFIG["ch_mult"])):
            weights = {name.replace(old.format(level), new.format(level)): weight for name, weight in weights.items()}
    weights = {name.replace("mid_block", "mid.block").replace("mid_attn", "mid.attn"): weight for name, weight in weights.items()}
    attended = [level for level in range(len(CONFIG["ch_mult"])) if CONFIG["vq_resolution"] >> level in CONFIG["attn_resolutions"]]
    made = nets(CONFIG, CONFIG["z_channels"], attended)
    quantizer = VQ(size=CONFIG["n_embed"], features=CONFIG["vq_embed_dim"])
    codec = VQGAN(encoder=made["encoder"], decoder=None, quantizer=quantizer, pixels=CONFIG["vq_resolution"])
    return filled(codec, names_of(codec, TAMING), weights).eval()


# ---------------------------------------------------------------- what goes in, and what comes out


def laid_out(places) -> Places:
    """What is given: text and a picture; what is learned: text and a picture. Each counts from 0."""
    pictures = torch.arange(PICTURE).expand(2, -1)
    orders = [torch.arange(TEXT_IN).expand(2, -1), IN["image_pos_ids"], torch.arange(TEXT_OUT).expand(2, -1), pictures]
    real = torch.cat([IN["text_mask"], IN["image_mask"], IN["target_text_mask"], torch.ones_like(pictures)], 1).bool()
    each = lambda *values: torch.tensor(values).repeat_interleave(torch.tensor(LENGTHS)).expand(2, -1)
    order, pictured = torch.cat(orders, 1), each(0, 1, 0, 1)
    facts = {
        "document": torch.where(real, 0, PADDING),
        "segment": each(0, 1, 2, 3),
        "port": each(TEXT, EYE, TEXT, IMAGE),
        "order": order,
        "learned": each(0, 0, 1, 1),
        "row": order // COLUMNS * pictured,
        "column": order % COLUMNS * pictured,
    }
    return places(**{name: values.tolist() for name, values in facts.items()})


def embeddings(codes: Tensor) -> Tensor:
    words, squares = WEIGHTS["text_token_embedder.weight"], WEIGHTS["image_token_embedder.weight"]
    kind = lambda side, modality: WEIGHTS[f"{side}_embedders.{modality}.modality_embedding"]
    shifted = F.pad(codes, (1, -1))
    return torch.cat(
        [
            F.embedding(IN["text_tokens"].long(), words) + kind("input", "text"),
            F.linear(IN["image_patches"], WEIGHTS["input_embedders.image.projection.weight"]) + kind("input", "image"),
            F.embedding(IN["target_text_inputs"].long(), words) + kind("target", "text"),
            F.embedding(shifted, squares) + kind("target", "image"),
        ],
        1,
    )


@torch.no_grad()
def said(ours: EncoderDecoder, places, codes: Tensor) -> SimpleNamespace:
    """Hidden states of what is given, and logits; where the published code pads, its own numbers."""
    where = laid_out(places)
    hidden = ours(embeddings(codes), None, where, Rules.used)
    given, text, picture = hidden.split([TEXT_IN + PICTURE, TEXT_OUT, PICTURE], 1)
    real = (where.document == 0)[..., None].split([TEXT_IN + PICTURE, TEXT_OUT, PICTURE], 1)
    logits = lambda hidden, table: F.linear(hidden, WEIGHTS[f"{table}_token_embedder.weight"]) / math.sqrt(WIDTH)
    return SimpleNamespace(
        encoder_out=torch.where(real[0], given, UIO2.outputs["encoder_out"]),
        text_logits=torch.where(real[1], logits(text, "text"), UIO2.outputs["text_logits"]),
        image_logits=logits(picture, "image"),
    )


@torch.no_grad()
def codes() -> Tensor:
    """Ids of the target pictures: 0 begins, 1 is unused."""
    codec = vqgan()
    return codec.quantizer(codec.latents(IN["target_image"].movedim(-1, 1))).codes + 2


def test_pictures_become_the_published_ids():
    UIO2.check("image_targets", codes())


def test_hidden_states_and_logits(places):
    found = said(trunk(), places, codes())
    for name in ("encoder_out", "text_logits", "image_logits"):
        UIO2.check(name, getattr(found, name))


def test_losses(places):
    targets = codes()
    found = said(trunk(), places, targets)
    UIO2.check("text_targets", IN["target_text_targets"].long())
    for name, goal, mask in (
        ("text", IN["target_text_targets"].long(), IN["target_text_mask"]),
        ("image", targets, IN["target_image_loss_mask"]),
    ):
        each = F.cross_entropy(getattr(found, f"{name}_logits").flatten(0, 1), goal.flatten(), reduction="none")
        UIO2.check(f"{name}_loss", (each * mask.flatten()).sum() / mask.sum())


def test_the_patterns_are_rules(places):
    """Row, column, convolution, and all that came before."""
    order = torch.arange(PICTURE)
    picture = places(order=order.tolist(), row=(order // COLUMNS).tolist(), column=(order % COLUMNS).tolist())
    masks = [rule.dense(picture, picture)[0] for rule in (Rules.row, Rules.column, Rules.near, causal)]
    UIO2.check("pattern_masks", torch.stack(masks).byte())


def pairs_are_neighbours(ours: EncoderDecoder) -> None:
    """The published layout of queries, taken for ours."""
    inner = ours.decoder[0].attention.inner
    q = WEIGHTS["decoder.layers_0.self_attention.query.weight"]
    inner.qkv.weight.data[: len(q)] = q


def one_scale_for_both_grids(ours: EncoderDecoder) -> None:
    ours.rotary.scale = ()


def keys_without_a_norm(ours: EncoderDecoder) -> None:
    for block in ours.decoder:
        block.cross.inner.k_norm = nn.Identity()


def rows_for_columns(ours: EncoderDecoder) -> None:
    ours.rotary.grid = ours.rotary.line


@pytest.mark.parametrize("mutation", [pairs_are_neighbours, one_scale_for_both_grids, keys_without_a_norm, rows_for_columns])
def test_a_mutated_trunk_is_not(mutation, places):
    ours, targets = trunk(), codes()
    mutation(ours)
    assert not UIO2.agrees("image_logits", said(ours, places, targets).image_logits)
