"""Orthus loaded from a folder under the official names, against the numbers of the published code."""

import copy

import pytest
import torch
from hub.official import misshapen, refuses, said, with_more, without, write, write_words
from parity.fixture import load
from parity.heads import Official

from tessera.codecs.reconstruction import floats
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.drops import Hidden
from tessera.hub import export_published, load_published
from tessera.laws import Sampling
from tessera.orders import Seen
from tessera.verbs import generate as verb
from tessera.verbs.generate import generate

ORTHUS = load("orthus")
CONFIG, IN = ORTHUS.config, ORTHUS.inputs
SCALE = CONFIG["latent_scale"]
SPECIAL = {"<s>": 1, "</s>": 2, "<image>": 50, "<racm3:break>": 51, "<eoss>": 52, "<reserved08706>": 53}


def official(folder):
    """The folder of the fixture."""
    c, vq = CONFIG, CONFIG["vq"]
    coder = {name: vq[name] for name in ("num_embeddings", "resolution", "base_channels", "channel_multiplier", "num_res_blocks")}
    config = {
        "architectures": ["OrthusForConditionalGeneration"], "model_type": "chameleon", "vocab_size": c["vocab_size"],
        "hidden_size": c["hidden_size"], "intermediate_size": c["intermediate_size"], "num_hidden_layers": c["num_layers"],
        "num_attention_heads": c["num_heads"], "num_key_value_heads": c["num_kv_heads"], "rms_norm_eps": c["rms_norm_eps"],
        "rope_theta": c["rope_theta"], "bos_token_id": 1, "eos_token_id": 2, "diffloss_w": c["head_width"],
        "num_res_blocks": c["head_blocks"], "vq_config": {**coder, "embed_dim": c["latent_dim"], "latent_channels": c["latent_dim"]},
    }  # fmt: skip
    write(folder, ORTHUS.weights, config)
    write_words(folder, c["vocab_size"], special=SPECIAL, begin="<s>", end="</s>", opens=True)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return official(tmp_path_factory.mktemp("orthus"))


@pytest.fixture(scope="module")
def system(folder):
    return load_published(folder)


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def text(ids):
    return Text(said(ids, SPECIAL))


def states(system, document, clean):
    encoded = system.encode([document], [Draw(0)])[0]
    given = [one if one is not None else e.clean for one, e in zip(clean, encoded, strict=True)]
    return system.hidden(system.arrange([document], [Draw(0)], [given]))[0]


def replayed(monkeypatch, count):
    """Each of so many elements begins at the published noise."""
    noise = Official(*[IN["gen_noise"]] * count)
    monkeypatch.setattr(verb, "Streams", lambda *_: noise)


def outputs(system):
    """What it says where the fixture says it, too: text, text behind a picture, the latents in the middle of one, the codec."""
    (ids,) = IN["text_ids"].tolist()
    found = states(system, Document((text(ids[1:4]), Image(None, learn=True))), [None, torch.zeros(16, 16)])
    yield "discrete_logits", system.text.writer(found)[:, :5], ORTHUS.outputs["discrete_logits"]

    ids, latents = IN["mm_ids"][0].tolist(), SCALE * IN["mm_latents"][0]
    found = states(system, Document((text(ids[1:3]), Image(None), text(ids[-2:]))), [None, latents, None])
    yield "multimodal_logits", system.text.writer(found), ORTHUS.outputs["multimodal_logits"]
    image = system.by_name["image"]
    before = Seen(found[:, 18:19])  # the marker in front, a word, another, what begins the picture, and fifteen latents
    drawn = image.law.draw(image.writer, before, Sampling(), Official(IN["gen_noise"])).value
    yield "next_latents_multimodal", drawn / SCALE, ORTHUS.outputs["next_latents_multimodal"]

    codec = system.by_name["image"].codec.codec
    latents = codec.latents(IN["pixels"].to(codec.to_latents.weight))
    yield "vq_latents", latents.mT.unflatten(2, (4, 4)), ORTHUS.outputs["vq_latents"]
    drawn = ORTHUS.outputs["vq_latents"].flatten(2).mT.to(latents)
    yield "vq_decoded_from_latents", codec.paint(drawn), ORTHUS.outputs["vq_decoded_from_latents"]


def test_a_whole_drawing_begins_with_the_published_latents(system, monkeypatch):
    replayed(monkeypatch, 16)
    written = generate(system, [text(IN["text_ids"][0, 1:4].tolist())], want=Image, sampling={Image: Sampling()})
    ORTHUS.check("next_latents", written.clean[1][:1] / SCALE)
    codec = system.by_name["image"].codec.codec
    (shown,) = floats(written.pictures, torch.empty(0), codec.pixels)
    assert (shown - codec.paint(written.clean[1][None] / SCALE)[0].clamp(-1, 1)).abs().max() < 1 / 255


def test_guidance_with_a_prompt_that_nobody_sees(system, monkeypatch):
    """So the fixture has it; people ask for any picture instead."""
    assert system.drop.said == "Generate an image.<reserved08706>" and system.by_name["image"].law.sampling.guidance == 5
    hidden = copy.copy(system)
    hidden.drop = Hidden()
    replayed(monkeypatch, 16)
    written = generate(hidden, [text(IN["cfg_ids"][0, 1:4].tolist())], want=Image, sampling={Image: Sampling(guidance=CONFIG["cfg_scale"])})
    ORTHUS.check("next_latents_cfg", written.clean[1][:1].expand(2, -1) / SCALE)


def test_pictures_become_latents_of_a_smaller_scale(system):
    codec = system.by_name["image"].codec.codec
    picture = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    (clean,) = system.by_name["image"].codec.encode([picture]).clean
    torch.testing.assert_close(clean, SCALE * codec.latents(floats([picture], clean, 8))[0])


def test_people_put_things_to_it_as_its_makers_do(system):
    asked = system.manners.document(Document((Image(torch.zeros(3, 8, 8, dtype=torch.uint8)), Text("w09"), Text(learn=True))))
    assert asked[1].content == "w09<reserved08706>"
    drawn = system.manners.document(Document((Text("w09"), Image(learn=True))))
    assert drawn[0].content == "w09<reserved08706>" and generate(system, asked.segments[:2], want=Text, longest=3).texts


@pytest.mark.parametrize(
    "change",
    [
        without("mlp_head.final_layer.linear.bias"),
        without("model.vqmodel.decoder.norm_out.weight"),
        with_more("mlp_head.res_blocks.3.in_ln.weight"),
        misshapen("model.codebook_in.weight"),
    ],
)
def test_tensors_without_a_partner_are_named(tmp_path, change):
    refuses(official(tmp_path), tmp_path, change)


def test_it_is_written_back_as_it_was(tmp_path, system):
    export_published(system, tmp_path / "out")
    back = load_published(tmp_path / "out").state_dict()
    assert all(torch.equal(back[name], tensor) for name, tensor in system.state_dict().items())
