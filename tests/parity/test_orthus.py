"""Orthus' trunk, soft reading of pictures and diffusion head from our parts, against numbers that the published code computed.

Its picture tower is a VQGAN: see test_vqgan.py. Latents enter as they are and leave scaled, so results are divided here.
"""

from functools import partial

import pytest
import torch
from parity.fixture import load
from parity.heads import Official, head
from torch import nn

from tessera.attention import causal
from tessera.hub.filling import filled
from tessera.hub.language import LLAMA
from tessera.hub.names import Part, Row
from tessera.hub.orthus import SOFT, TRUNK
from tessera.laws import Denoiser, Sampling
from tessera.orders import Seen
from tessera.paths import Diffusion, Predicts, scaled_linear_betas, spaced_evenly, spaced_trailing
from tessera.places import View
from tessera.readers import SoftReader, TokenReader
from tessera.trunk import Block, HeadwiseLayerNorm, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer

ORTHUS = load("orthus")
CONFIG, IN = ORTHUS.config, ORTHUS.inputs
WIDTH, HEADS, FEATURES = CONFIG["hidden_size"], CONFIG["num_heads"], CONFIG["latent_dim"]
HEAD = head(ORTHUS.under("mlp_head."))
BESIDE = ("embed_tokens.*", "codebook_in.*", "vqmodel.*")


def trunk(qk_norm=partial(HeadwiseLayerNorm, HEADS)) -> Transformer:
    eps, size = CONFIG["rms_norm_eps"], WIDTH // HEADS
    blocks = [
        Block(
            PreNorm(nn.RMSNorm(WIDTH, eps), SelfAttention(WIDTH, HEADS, qk_norm=qk_norm)),
            PreNorm(nn.RMSNorm(WIDTH, eps), SwiGLU(WIDTH, CONFIG["intermediate_size"])),
        )
        for _ in range(CONFIG["num_layers"])
    ]
    made = Transformer(blocks, norm=nn.RMSNorm(WIDTH, eps), rotary=Rotary(size, theta=CONFIG["rope_theta"]))
    first = lambda one: Row((Part(f"layers.*.self_attn.{one}_norm", slice(0, 1)),), shaped=True)  # head's, where all share one
    names = TRUNK if isinstance(qk_norm, partial) else {**LLAMA, **{f"blocks.*.attention.inner.{one}_norm": first(one) for one in "qk"}}
    return filled(made, names, ORTHUS.under("model."), unread=BESIDE)


def reader(temperature: float = 1.0) -> SoftReader:
    weights = {name: weight for name, weight in ORTHUS.under("model.").items() if name.startswith(("embed_tokens.", "codebook_in."))}
    (size, width), book = weights["embed_tokens.weight"].shape, torch.zeros_like(weights["codebook_in.weight"])
    made = SoftReader(TokenReader(nn.Embedding(size, width)), book, first=CONFIG["first_code_id"], temperature=temperature)
    return filled(made, SOFT, weights)


def hidden(places, ids, latents=None, seen=None, made=None, soft=None) -> torch.Tensor:
    """Hidden states [row, place, width]; latents take the place of the placeholder, and places that are not seen are private."""
    soft, ids = soft or reader(), torch.atleast_2d(ids)
    embeddings = soft.tokens.table(ids)
    if latents is not None:
        embeddings[ids == CONFIG["image_placeholder_id"]] = soft(latents, torch.tensor([0])).embeddings[0, : latents.shape[1]]
    seen = torch.ones_like(ids) if seen is None else seen
    segment, view = (1 - seen) + 2 * (seen.cumsum(-1) > 1), torch.where(seen.bool(), View.PUBLIC, View.PRIVATE)
    order = torch.arange(ids.shape[1]).expand(ids.shape)
    return (made or trunk())(embeddings, None, places(order=order.tolist(), segment=segment.tolist(), view=view.tolist()), causal)


def logits(states: torch.Tensor) -> torch.Tensor:
    return states @ ORTHUS.weights["lm_head.weight"].T


def drawn(states, guidance=1.0, spacing=spaced_trailing, predicts=Predicts.VELOCITY) -> torch.Tensor:
    """The next latents, from hidden states [branch, 1, width]."""
    path = Diffusion(scaled_linear_betas(), zero_snr=True, spacing=spacing)
    law = Denoiser(FEATURES, path, predicts=predicts, steps=CONFIG["ddim_steps"])
    return law.draw(HEAD, Seen(states), Sampling(guidance=guidance), Official(IN["gen_noise"])).value / CONFIG["latent_scale"]


def test_text(places):
    ORTHUS.check("discrete_logits", logits(hidden(places, IN["text_ids"])))


def test_text_behind_a_picture_of_latents(places):
    ORTHUS.check("multimodal_logits", logits(hidden(places, IN["mm_ids"], IN["mm_latents"])))


def test_the_head_says_what_theirs_says():
    ORTHUS.check("head_out", HEAD(IN["head_z"], None, IN["head_x"], IN["head_t"].float()))


def test_the_table_of_times():
    path = Diffusion(scaled_linear_betas(), zero_snr=True, spacing=spaced_trailing)
    ORTHUS.check("scheduler_alphas_cumprod", path.signal[:-1].square().float())
    ORTHUS.check("scheduler_timesteps", path.grid(CONFIG["ddim_steps"])[:-1].long())


def test_the_first_latents_of_a_picture(places):
    ORTHUS.check("next_latents", drawn(hidden(places, IN["text_ids"])[:, -1:]))


def test_latents_in_the_middle_of_a_picture(places):
    states = hidden(places, IN["mm_ids"][:, :-4], IN["mm_latents"][:, :-1])
    ORTHUS.check("next_latents_multimodal", drawn(states[:, -1:]))


def test_latents_under_guidance(places):
    states = hidden(places, IN["cfg_ids"], seen=IN["cfg_attention_mask"])
    found = drawn(states[:, -1:], CONFIG["cfg_scale"])
    ORTHUS.check("next_latents_cfg", found.expand(2, -1))


def test_mutations_of_the_trunk_and_of_reading_are_others(places):
    mutations = {
        "one norm for all heads": {"made": trunk(nn.LayerNorm)},
        "colder": {"soft": reader(temperature=0.5)},
        "codes elsewhere": {"soft": SoftReader(reader().tokens, ORTHUS.weights["model.codebook_in.weight"], first=5)},
    }
    for name, mutation in mutations.items():
        found = logits(hidden(places, IN["mm_ids"], IN["mm_latents"], **mutation))
        assert not ORTHUS.agrees("multimodal_logits", found), name


@pytest.mark.parametrize("mutation", [{"spacing": spaced_evenly}, {"predicts": Predicts.CLEAN}], ids=["even times", "clean"])
def test_another_walk_ends_elsewhere(mutation, places):
    assert not ORTHUS.agrees("next_latents", drawn(hidden(places, IN["text_ids"])[:, -1:], **mutation))
