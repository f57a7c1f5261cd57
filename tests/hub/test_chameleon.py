"""Chameleon loaded from the folder that transformers writes, beside transformers' class with its ban on pictures lifted."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hub.oracle import MUTATIONS, exactly, ids_of, near, redrawn, rounds_as_theirs, saved, states, transformers
from safetensors.torch import load_file, save_file

from tessera.codecs import ConvDecoder
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.hub import load_published
from tessera.hub.vqgan import TAMING, net
from tessera.laws import Sampling
from tessera.verbs.generate import generate

VQ = {"embed_dim": 8, "num_embeddings": 10, "latent_channels": 8, "base_channels": 32, "channel_multiplier": [1, 1, 2], "resolution": 16}
FIRST = 304  # of ten codes; their names stand in another order
CODES = {f"IMGIMG{chr(ord('A') + (3 * i) % 10)}Z": FIRST + i for i in range(10)}
SIZES = {"vocab_size": 320, "intermediate_size": 40, "num_hidden_layers": 2, "bos_token_id": 0, "eos_token_id": 3}
SPECIAL = ("<racm3:break>", "<eoss>", "<image>", "<reserved08706>")


def config(vq=None, **changes):
    made = {**SIZES, "vocabulary_map": {"<image>": 302, **CODES}, **changes}
    return transformers.ChameleonConfig(**made, vq_config={**VQ, "num_res_blocks": 1, "attn_resolutions": [], **(vq or {})})


CONFIGS = {
    "7B": lambda: config(hidden_size=32, num_attention_heads=4, num_key_value_heads=4),
    "30B: swin, grouped": lambda: config(hidden_size=48, num_attention_heads=6, num_key_value_heads=2, swin_norm=True, rms_norm_eps=1e-6),
    "tied, odd sizes": lambda: config(
        {"embed_dim": 6, "attn_resolutions": [8], "num_res_blocks": 2}, hidden_size=36, num_attention_heads=3, num_key_value_heads=1,
        num_hidden_layers=3, tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    ),
}  # fmt: skip


def with_painter(theirs, folder):
    """The folder with what paints codes, which the class leaves out, as Orthus' and Anole's files have it."""
    said = theirs.config.vq_config
    coarse = [i for i in range(len(said.channel_multiplier)) if said.resolution >> i in said.attn_resolutions]
    painter = ConvDecoder(
        features=said.latent_channels,
        channels=said.base_channels,
        multiples=said.channel_multiplier,
        blocks=said.num_res_blocks + 1,
        attended=coarse,
    )
    redrawn(painter, seed=7)
    state, tensors = painter.state_dict(), load_file(folder / "model.safetensors")
    for name, row in net(painter, "decoder", TAMING).items():
        for kind in ("", ".weight", ".bias"):
            ours = state.get(f"{name}{kind}".removeprefix("decoder."))
            if ours is not None:
                parts = ours.chunk(len(row.parts))
                tensors |= {f"model.vqmodel.{part.name}{kind}": one.contiguous() for part, one in zip(row.parts, parts, strict=True)}
    save_file(tensors, folder / "model.safetensors")
    return painter


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, tmp_path_factory):
    """Their class, the ban lifted, and our system from one folder; and what paints."""
    theirs = redrawn(transformers.ChameleonForConditionalGeneration(CONFIGS[request.param]()))
    folder = saved(theirs, tmp_path_factory.mktemp("chameleon"), special=SPECIAL)
    painter = with_painter(theirs, folder)
    mapping = theirs.model.vocabulary_mapping
    assert len(mapping.img2bpe_mapping_tensor) == len(CODES)  # it is made of the ids that are banned, and kept
    mapping.__dict__["image_tokens"] = []
    return theirs, load_published(folder), painter


def picture(system, seed=1):
    side = system.by_name["image"].codec.pixels
    return torch.randint(0, 256, (3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def scaled(picture):
    return picture[None] / 127.5 - 1


def document(system):
    seen, drawn = (Image(picture(system, seed), learn=seed == 2) for seed in (1, 2))
    return Document((Text("a red"), seen, Text(" what is it?"), Text(" a star", learn=True), drawn))


def whole(system, some):
    return torch.tensor([ids_of(system, some, lambda piece: piece.visible.tolist())])


def test_pictures_become_their_codes(pair):
    theirs, system, _ = pair
    shown = [picture(system, seed) for seed in range(4)]
    found = torch.stack(list(system.by_name["image"].codec.encode(shown).clean))
    assert torch.equal(found, theirs.get_image_tokens(torch.cat([scaled(one) for one in shown]))) and len(found.unique()) > 3
    latents = system.by_name["image"].codec.codec.latents(scaled(shown[0]))
    encoded = theirs.model.vqmodel.quant_conv(theirs.model.vqmodel.encoder(scaled(shown[0])))
    assert near(latents, encoded.flatten(2).mT)


def test_states_logits_and_losses_are_theirs(pair):
    theirs, system, _ = pair
    some = document(system)
    ids = whole(system, some)
    found, out = states(system, some), theirs(ids, output_hidden_states=True)
    assert near(found, theirs.model(ids).last_hidden_state[0]) and near(system.text.writer(found), out.logits[0])
    nats = F.cross_entropy(out.logits[0, :-1], ids[0, 1:], reduction="none")
    losses, codes = system.losses([some], [Draw(0)]), int(system.by_name["image"].codec.codec.elements)
    assert near(losses["image"][0], nats[-codes:].sum()) and losses["image"][1] == codes
    said = int(losses["text"][1]) - 1  # the marker that begins the picture is learned too
    assert near(losses["text"][0], nats[-codes - 1 - said : -codes].sum())


def test_a_picture_is_read_where_its_placeholder_stands(pair):
    theirs, system, _ = pair
    some = Document((Image(picture(system)), Text("what?"), Text(" a star", learn=True)))
    ids = torch.tensor([ids_of(system, some, lambda piece: [302] * piece.count)])
    assert near(states(system, some), theirs.model(ids, pixel_values=scaled(picture(system))).last_hidden_state[0])


def test_text_and_pictures_are_written_greedily_as_theirs(pair):
    theirs, system, painter = pair
    greedy = {Text: Sampling(temperature=0.0), Image: Sampling(temperature=0.0)}
    elements = system.by_name["image"].codec.codec.elements
    for want, allowed, prompt, longest in (
        (Text, system.text.law.allowed, (Image(picture(system)), Text("what?")), 12),
        (Image, system.by_name["image"].law.allowed, (Text("a red circle"),), elements),
    ):
        given = whole(system, Document((*prompt, want(learn=True, content="" if want is Text else picture(system)))))
        given = given[:, : -1 if want is Text else -elements]
        said = theirs.generate(
            given, max_new_tokens=longest, do_sample=False, prefix_allowed_tokens_fn=lambda batch, sent, ids=allowed: ids.tolist()
        )
        written = generate(system, Document(prompt), want=want, sampling=greedy, longest=13)
        count = min(longest, len(written.clean[-1]))
        assert said[0, given.shape[1] :].tolist()[:count] == written.clean[-1].tolist()[:count] and count > 3
    codes = system.by_name["image"].codec.codes(written.clean[-1])
    features = theirs.model.vqmodel.quantize.embedding(codes).T.view(1, -1, *[system.by_name["image"].codec.codec.columns] * 2)
    painted = painter(theirs.model.vqmodel.post_quant_conv(features))
    assert torch.equal(written.pictures[0], ((painted[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))


def test_guidance_compares_with_the_picture_alone(pair):
    theirs, system, _ = pair
    sampling, allowed = Sampling(temperature=0.0, guidance=3.0), system.by_name["image"].law.allowed
    written = generate(system, "a red circle", want=Image, sampling={Image: sampling})
    asked = whole(system, Document((Text("a red circle"), Image(picture(system), learn=True))))[:, : -len(written.clean[-1])]
    for code in written.clean[-1]:
        alone = torch.cat([asked[:, :1], asked[:, asked[0].tolist().index(300) :]], 1)
        one, other = (theirs(ids).logits[0, -1, allowed] for ids in (asked, alone))
        assert allowed[(other + 3 * (one - other)).argmax()] == code
        asked = torch.cat([asked, code.view(1, 1)], 1)


def test_without_what_paints_it_reads_and_says_what_is_lacking(tmp_path):
    theirs = redrawn(transformers.ChameleonForConditionalGeneration(CONFIGS["7B"]()))
    system = load_published(saved(theirs, tmp_path, special=SPECIAL))
    assert generate(system, [Image(picture(system)), Text("what?")], want=Text, longest=3).texts
    with pytest.raises(ValueError, match=r"VQGAN: a picture is to be painted, and there is no decoder"):
        generate(system, "a red circle", want=Image)


def test_a_vocabulary_without_all_codes_is_refused(tmp_path):
    theirs = transformers.ChameleonForConditionalGeneration(config(hidden_size=32, num_attention_heads=4, num_key_value_heads=4))
    theirs.config.vocabulary_map = {"<image>": 302, "IMGIMGBZ": 305}
    with pytest.raises(ValueError, match=r"vocabulary_map in config.json names 1 codes, not all of them"):
        load_published(saved(theirs, tmp_path, special=SPECIAL))


def test_in_half_precision_it_rounds_as_theirs(pair, tmp_path):
    theirs, _, _ = pair
    rounded = copy.deepcopy(theirs).to(torch.bfloat16)
    half = load_published(saved(rounded, tmp_path, special=SPECIAL))
    some = document(half)
    exact, said = (made.model(whole(half, some)).last_hidden_state[0] for made in (exactly(rounded), rounded))
    assert rounds_as_theirs(states(half, some), said, exact)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_system_says_something_else(pair, mutation):
    theirs, system, _ = pair
    system = copy.deepcopy(system)
    mutation(system)
    some = document(system)
    assert not near(states(system, some), theirs.model(whole(system, some)).last_hidden_state[0], 1e-2)
