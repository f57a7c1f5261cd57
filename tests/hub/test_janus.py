"""Janus loaded from the folder that transformers writes, beside transformers' class."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hub.oracle import MUTATIONS, exactly, ids_of, learned, near, redrawn, rounds_as_theirs, saved, states, transformers

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.hub import load_published
from tessera.laws import Sampling
from tessera.verbs.generate import generate

PICTURE = 290  # the id that stands where a picture is looked at
BEGIN, END, PAD = 300, 301, 1
LLAMA = {"vocab_size": 310, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
EYE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 16, "patch_size": 4, "mlp_ratio": 2.0}
VQ = {
    "embed_dim": 8,
    "num_embeddings": 32,
    "latent_channels": 32,
    "base_channels": 32,
    "channel_multiplier": [1, 1, 1],
    "num_res_blocks": 1,
}


def config(text=None, eye=None, vq=None, **changes):
    text = {**LLAMA, "num_key_value_heads": 2, "bos_token_id": 0, "eos_token_id": 3, "pad_token_id": PAD, **(text or {})}
    width, eye = text["hidden_size"], {**EYE, **(eye or {})}
    told = {**VQ, "projection_dim": width, "image_token_embed_dim": width, **(vq or {})}
    return transformers.JanusConfig(
        text_config={"model_type": "llama", **transformers.LlamaConfig(**text).to_dict()},
        vision_config={**eye, "projection_dim": width, "num_image_tokens": (eye["image_size"] // eye["patch_size"]) ** 2},
        vq_config=told,
        image_token_id=PICTURE,
        **changes,
    )


CONFIGS = {
    "Janus": lambda: config(tie_word_embeddings=False),
    "tied, deeper MLPs": lambda: config({"num_key_value_heads": 4}, {"depth": 3}, {"num_hidden_layers": 1}),
    "odd sizes": lambda: config(
        {"hidden_size": 36, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 10, "num_hidden_layers": 3,
         "rms_norm_eps": 1e-5},
        {"hidden_size": 24, "num_hidden_layers": 1, "image_size": 15, "patch_size": 5},
        {"embed_dim": 5, "num_embeddings": 27, "channel_multiplier": [1, 2], "num_res_blocks": 2},
        tie_word_embeddings=False,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, tmp_path_factory):
    """Their class and our system from one folder. Codes have length 1: there, and not elsewhere, that class encodes as Janus does."""
    theirs = redrawn(transformers.JanusForConditionalGeneration(CONFIGS[request.param]()))
    book = theirs.model.vqmodel.quantize.embedding.weight
    book.data = F.normalize(book.data, dim=-1)
    theirs.generation_config.update(bos_token_id=0, eos_token_id=3, pad_token_id=PAD)
    theirs.generation_config.generation_kwargs = {"boi_token_id": BEGIN}
    return theirs, load_published(saved(theirs, tmp_path_factory.mktemp("janus"), special=("<begin_of_image>", "<end_of_image>")))


def picture(system, port="eye", seed=1):
    side = system.by_name[port].codec.pixels
    return torch.randint(0, 256, (3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def pixels(system, picture):
    codec = system.by_name["eye"].codec
    scale = lambda colours: torch.tensor(colours).view(3, 1, 1)
    return ((picture / 255 - scale(codec.mean)) / scale(codec.spread))[None]


def whole(system, some):
    return torch.tensor([ids_of(system, some, lambda piece: [PICTURE] * piece.count)])


def asked(system):
    return Document((Text("a red"), Image(picture(system)), Text(" what is it?"), Text(" a blue star", learn=True)))


def test_states_logits_and_losses_are_theirs(pair):
    theirs, system = pair
    some = asked(system)
    ids, shown = whole(system, some), pixels(system, picture(system))
    out = theirs(ids, pixel_values=shown, labels=ids.masked_fill(~learned(system, some)[None], -100), attention_mask=torch.ones_like(ids))
    found = states(system, some)
    assert [BEGIN in ids, END in ids] == [True, True] and near(found, theirs.model(ids, pixel_values=shown).last_hidden_state[0])
    assert near(system.text.writer(found), out.logits[0])
    total, count = system.losses([some], [Draw(0)])["text"]
    assert near(total / count, out.loss)


def test_text_is_written_greedily_as_theirs(pair):
    theirs, system = pair
    prompt = Document((Image(picture(system)), Text("what is it?")))
    ids = whole(system, Document((*prompt, Text(content="", learn=True))))[:, :-1]
    allowed = system.text.law.allowed.tolist()
    said = theirs.generate(
        ids, pixel_values=pixels(system, picture(system)), attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False,
        prefix_allowed_tokens_fn=lambda batch, sent: allowed,
    )  # fmt: skip
    written = generate(system, prompt, want=Text, longest=13)
    assert said[0, ids.shape[1] :].tolist()[:12] == written.clean[-1].tolist()[:12]


def test_pictures_are_drawn_greedily_under_guidance_as_theirs_and_painted(pair):
    theirs, system = pair
    ids = torch.tensor([[0, *system.text.codec.encode(["a red circle"]).clean[0].tolist(), BEGIN]])
    drawn = theirs.generate(ids, attention_mask=torch.ones_like(ids), generation_mode="image", do_sample=False, guidance_scale=5)
    written = generate(system, "a red circle", want=Image, sampling={Image: Sampling(temperature=0.0, guidance=5.0)})
    assert torch.equal(written.clean[-1], drawn[0]) and len(drawn[0].unique()) > 1
    painted = theirs.decode_image_tokens(drawn)[0].permute(2, 0, 1)
    assert torch.equal(written.pictures[0], ((painted.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))
    alone = generate(system, "a red circle", want=Image, sampling={Image: Sampling(temperature=0.0)})
    assert not torch.equal(alone.clean[-1], written.clean[-1])


def test_pictures_become_their_codes_and_what_they_are_learned_from(pair):
    theirs, system = pair
    drawn = picture(system, "image")
    codes = system.by_name["image"].codec.encode([drawn]).clean[0]
    assert torch.equal(codes, theirs.model.vqmodel.encode(drawn[None] / 127.5 - 1).image_tokens)
    some = Document((Text("a red circle"), Image(drawn, learn=True)))
    ids = [0, *system.text.codec.encode(["a red circle"]).clean[0].tolist(), BEGIN]
    read = theirs.prepare_embeddings_for_image_generation(codes[None])
    embeddings = torch.cat([theirs.get_input_embeddings()(torch.tensor([ids])), read], 1)
    hidden = theirs.model.language_model(inputs_embeds=embeddings).last_hidden_state[0]
    assert near(states(system, some), hidden)
    total, count = system.losses([some], [Draw(0)])["image"]
    expected = F.cross_entropy(theirs.model.generation_head(hidden[len(ids) - 1 : -1]), codes)
    assert near(total / count, expected)


def test_in_half_precision_it_rounds_as_theirs(pair, tmp_path):
    theirs, system = pair
    rounded = copy.deepcopy(theirs).to(torch.bfloat16)
    half, some = load_published(saved(rounded, tmp_path, special=("<begin_of_image>", "<end_of_image>"))), asked(system)
    ids, shown = whole(system, some), pixels(system, picture(system))
    exact, said = (made.model(ids, pixel_values=shown.to(made.dtype)).last_hidden_state[0] for made in (exactly(rounded), rounded))
    assert rounds_as_theirs(states(half, some), said, exact)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_system_says_something_else(pair, mutation):
    theirs, system = pair
    system = copy.deepcopy(system)
    mutation(system)
    some = asked(system)
    expected = theirs.model(whole(system, some), pixel_values=pixels(system, picture(system))).last_hidden_state[0]
    assert not near(states(system, some), expected, 1e-2)
