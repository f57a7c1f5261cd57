"""Emu3 loaded from the folder that transformers writes, beside transformers' class."""

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from hub.oracle import MUTATIONS, exactly, ids_of, near, redrawn, rounds_as_theirs, saved, states, transformers

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.hub import load_published
from tessera.hub.emu3 import BEGIN, DOCUMENT, END, FROM_HERE, LAST, ROW, UNWANTED
from tessera.laws import Sampling
from tessera.verbs.generate import generate

SPECIAL = (DOCUMENT, BEGIN, FROM_HERE, ROW, LAST, END)  # from 300 on
CODES = [320 + (5 * i) % 12 for i in range(12)]  # in another order
MAP = {"<image>": 310, ROW: 303, **{f"<|visual token {i:06d}|>": id for i, id in enumerate(CODES)}}
TEXT = {"vocab_size": 340, "intermediate_size": 40, "num_hidden_layers": 2, "bos_token_id": 300, "eos_token_id": 3, "pad_token_id": 1}
VQ = {"codebook_size": 12, "embed_dim": 4, "latent_channels": 4, "base_channels": 32, "num_res_blocks": 1, "temporal_downsample_factor": 2}
ONES = {"channel_multiplier": [1, 1], "attn_resolutions": [1], "hidden_size": 32}
TWOS = {"channel_multiplier": [1, 1, 2], "attn_resolutions": [2], "hidden_size": 64}


def config(text, vq, **changes):
    text = {**TEXT, "attention_dropout": 0.0, **text}
    return transformers.Emu3Config(text_config=text, vq_config={**VQ, **vq}, vocabulary_map=MAP, **changes)


CONFIGS = {
    "Emu3": (lambda: config({"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}, ONES), 8),
    "not grouped, four frames": (
        lambda: config(
            {"hidden_size": 24, "num_attention_heads": 4, "num_key_value_heads": 4},
            {**TWOS, "temporal_downsample_factor": 4, "num_res_blocks": 2},
        ),
        12,
    ),
    "tied, odd sizes": (
        lambda: config(
            {"hidden_size": 36, "num_attention_heads": 3, "num_key_value_heads": 1, "num_hidden_layers": 3, "rms_norm_eps": 1e-6,
             "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
            {**ONES, "embed_dim": 6, "latent_channels": 6, "temporal_downsample_factor": 1}, tie_word_embeddings=True,
        ),
        6,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, tmp_path_factory):
    """Their class and our system from one folder."""
    made, side = CONFIGS[request.param]
    theirs, folder = redrawn(transformers.Emu3ForConditionalGeneration(made())), tmp_path_factory.mktemp("emu3")
    (folder / "preprocessor_config.json").write_text(json.dumps({"min_pixels": 16, "max_pixels": side**2}))
    return theirs, load_published(saved(theirs, folder, begin="", special=SPECIAL))


def picture(system, seed=1, wider=0):
    """A square one of the size that is drawn, or one `wider` by so many codes, which only is looked at."""
    codec = system.by_name["image"].codec.codec
    size = (3, codec.pixels, codec.pixels + wider * codec.stride)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def scaled(picture):
    return picture[None] / 127.5 - 1


def sizes(picture):
    return torch.tensor([picture.shape[1:]])


def whole(system, some):
    """The ids, with what ends a row: pictures that are given hold it."""
    columns = system.by_name["image"].codec.codec.columns

    def ended(piece):
        if piece.port.name == "seen":
            return piece.visible.tolist()
        rows = piece.visible.view(-1, columns)
        return torch.cat([rows, rows.new_full((len(rows), 1), MAP[ROW])], 1).flatten().tolist()

    return torch.tensor([ids_of(system, some, ended)])


def document(system):
    seen, drawn = (Image(picture(system, seed, wider=seed == 1), learn=seed == 2) for seed in (1, 2))
    return Document((Text("a red"), seen, Text(" what is it?"), Text(" a star", learn=True), drawn))


def test_pictures_and_films_become_their_codes_and_are_painted(pair):
    theirs, system = pair
    codec, vq = system.by_name["image"].codec.codec, theirs.model.vqmodel
    shown = torch.cat([scaled(picture(system, seed)) for seed in range(3)])
    found = codec.quantizer(codec.latents(shown)).codes
    expected = torch.stack(vq.encode(shown, sizes(picture(system)).expand(3, 2)).image_tokens)
    assert torch.equal(found, expected.flatten(1)) and len(found.unique()) > 3
    assert near(codec.paint(codec.quantizer.lookup(found)), vq.decode(expected))
    film = torch.rand(2, 2 * codec.frames, 3, codec.pixels, codec.pixels, generator=torch.Generator().manual_seed(3)) * 2 - 1
    features = codec.encode_film(film)
    expected = torch.stack(vq.encode(film, sizes(picture(system)).expand(2, 2)).image_tokens)
    rounded = codec.quantizer(features.flatten(2).mT)
    assert torch.equal(rounded.codes.view(expected.shape), expected)
    assert near(codec.paint_film(codec.quantizer.lookup(rounded.codes).mT.view(features.shape)), vq.decode(expected))


def test_what_paints_hears_of_the_codes(pair):
    theirs, system = pair
    codec = copy.deepcopy(system.by_name["image"].codec.codec)
    codes = torch.randint(12, (1, codec.elements), generator=torch.Generator().manual_seed(0))
    expected = theirs.model.vqmodel.decode(codes.view(1, codec.columns, codec.columns))
    codec.decoder.painter.norm.scale.weight.data.zero_()
    assert not near(codec.paint(codec.quantizer.lookup(codes)), expected, 1e-2)


def test_states_logits_and_losses_are_theirs(pair):
    theirs, system = pair
    some, columns = document(system), system.by_name["image"].codec.codec.columns
    ids = whole(system, some)
    found, out = states(system, some), theirs(ids)
    assert near(found, theirs.model(ids).last_hidden_state[0]) and near(system.text.writer(found), out.logits[0])
    nats = F.cross_entropy(out.logits[0, :-1], ids[0, 1:], reduction="none")
    losses, drawn = system.losses([some], [Draw(0)]), torch.arange(columns * (columns + 1)) % (columns + 1) < columns
    assert losses["image"][1] == columns**2 and near(losses["image"][0], nats[-len(drawn) :][drawn].sum())


@pytest.mark.parametrize("wider", [0, 3])
def test_a_picture_is_read_where_its_placeholder_stands(pair, wider):
    theirs, system = pair
    shown, codec = picture(system, wider=wider), system.by_name["image"].codec.codec
    some = Document((Image(shown), Text("what?"), Text(" a star", learn=True)))
    written = system.text.codec.encode([f"{codec.columns}*{codec.columns + wider}"]).clean[0].tolist()
    begun, count = 2 + len(written), codec.columns * (codec.columns + wider + 1)

    def placeholders(piece):
        ids = piece.visible.tolist()
        assert ids[:begun] == [301, *written, 302] and ids[begun + count :] == [304, 305]
        return [*ids[:begun], *[310] * count, *ids[begun + count :]]

    ids = torch.tensor([ids_of(system, some, placeholders)])
    assert ids[0, 0] == 300
    expected = theirs.model(ids, pixel_values=scaled(shown), image_sizes=sizes(shown)).last_hidden_state[0]
    assert near(states(system, some), expected)
    put = theirs.model.vqmodel.encode(scaled(shown), sizes(shown)).image_tokens[0]
    line = system.by_name["seen"].codec.encode([shown]).clean[0][begun : begun + count].view(codec.columns, -1)
    assert torch.equal(system.by_name["image"].codec.codes(line[:, :-1]), put) and (line[:, -1] == MAP[ROW]).all()


def test_sides_that_codes_do_not_cover_are_refused(pair):
    _, system = pair
    with pytest.raises(ValueError, match=r"Lines: a picture of \d+ x \d+ pixels; multiples of \d are accepted"):
        system.by_name["seen"].codec.encode([picture(system)[:, :, 1:]])
    with pytest.raises(ValueError, match="only looked at"):
        system.by_name["seen"].codec.blank()


def test_text_is_written_greedily_as_theirs(pair):
    theirs, system = pair
    prompt, allowed = (Image(picture(system, wider=2)), Text("what?")), system.text.law.allowed.tolist()
    given = whole(system, Document((*prompt, Text(content="", learn=True))))[:, :-1]
    said = theirs.generate(given, max_new_tokens=12, do_sample=False, prefix_allowed_tokens_fn=lambda batch, sent: allowed)
    written = generate(system, Document(prompt), want=Text, longest=13)
    assert said[0, given.shape[1] :].tolist()[:12] == written.clean[-1].tolist()[:12]


def test_pictures_are_drawn_greedily_under_guidance_as_theirs(pair):
    """Theirs is told by a function what may come: codes, and behind each row its end."""
    theirs, system = pair
    codec, law = system.by_name["image"].codec, system.by_name["image"].law
    columns = codec.codec.columns
    given = whole(system, Document((Text("a red circle"), Image(picture(system), learn=True))))[:, : -columns * (columns + 1)]
    other = whole(system, Document((Text(UNWANTED), Image(picture(system), learn=True))))[:, : -columns * (columns + 1)]
    may = lambda batch, sent: [MAP[ROW]] if (len(sent) - given.shape[1]) % (columns + 1) == columns else law.allowed.tolist()
    said = theirs.generate(
        given, negative_prompt_ids=other, negative_prompt_attention_mask=torch.ones_like(other), guidance_scale=3.0, do_sample=False,
        max_new_tokens=columns * (columns + 1), prefix_allowed_tokens_fn=may,
    )  # fmt: skip
    written = generate(system, "a red circle", want=Image, sampling={Image: Sampling(temperature=0.0, guidance=3.0)})
    rows = said[0, given.shape[1] :].view(columns, columns + 1)
    assert (rows[:, -1] == MAP[ROW]).all() and torch.equal(written.clean[-1], rows[:, :-1].flatten())
    painted = theirs.model.vqmodel.decode(codec.codes(written.clean[-1]).view(1, columns, columns))[0]
    assert torch.equal(written.pictures[0], ((painted.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))


def test_in_half_precision_it_rounds_as_theirs(pair, tmp_path):
    theirs, system = pair
    rounded, side = copy.deepcopy(theirs).to(torch.bfloat16), system.by_name["image"].codec.pixels
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"min_pixels": 16, "max_pixels": side**2}))
    half = load_published(saved(rounded, tmp_path, begin="", special=SPECIAL))
    some = document(half)
    exact, said = (made.model(whole(half, some)).last_hidden_state[0] for made in (exactly(rounded), rounded))
    assert rounds_as_theirs(states(half, some), said, exact)
    assert half.by_name["image"].codec.encode([picture(half)]).clean[0].shape == (half.by_name["image"].codec.codec.elements,)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_system_says_something_else(pair, mutation):
    theirs, system = pair
    system = copy.deepcopy(system)
    mutation(system)
    some = document(system)
    assert not near(states(system, some), theirs.model(whole(system, some)).last_hidden_state[0], 1e-2)
