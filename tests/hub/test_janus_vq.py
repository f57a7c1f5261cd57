"""Janus loaded from a folder of DeepSeek's own files, beside the numbers of official code."""

import json

import pytest
import torch
from hub.denoised import elements, text
from hub.official import misshapen, refuses, with_more, without, write, write_words
from hub.oracle import states
from parity.fixture import load
from safetensors.torch import load_file

from tessera.document import Document, Image, Text
from tessera.hub import export_published, load_published
from tessera.laws import Sampling
from tessera.verbs.generate import generate

JANUS = load("janus_vq")
SIZES, IN, VQ = JANUS.config, JANUS.inputs, JANUS.config["vq"]
SPECIAL = {
    "<s>": 1, "<pad>": SIZES["pad_id"], "</s>": 2, "<begin_of_image>": SIZES["boi_id"], "<image_placeholder>": SIZES["image_token_id"],
    "<end_of_image>": int(IN["und_input_ids"][0, -2]),
}  # fmt: skip


def config():
    """The configuration of official code, of the fixture's sizes."""
    width, codes = SIZES["hidden_size"], VQ["codebook_size"]
    part = lambda **params: {"params": params}
    inner = len(JANUS.weights["gen_head.output_mlp_projector.bias"])
    return {
        "model_type": "multi_modality",
        "architectures": ["MultiModalityCausalLM"],
        "language_config": {
            "model_type": "llama", "vocab_size": SIZES["vocab_size"], "hidden_size": width, "rms_norm_eps": SIZES["rms_norm_eps"],
            "intermediate_size": SIZES["intermediate_size"], "num_hidden_layers": SIZES["num_layers"],
            "num_attention_heads": SIZES["num_heads"],
        },
        "vision_config": part(model_name="siglip_tiny", image_size=SIZES["vit_image"], select_layer=-1, select_feature="same"),
        "aligner_config": part(projector_type="mlp_gelu", input_dim=SIZES["vit_width"], n_embed=width, depth=2),
        "gen_vision_config": {"cls": "VQ-tiny", **part(image_token_size=codes, n_embed=VQ["codebook_embed_dim"])},
        "gen_aligner_config": part(projector_type="mlp_gelu", input_dim=VQ["codebook_embed_dim"], n_embed=width, depth=2),
        "gen_head_config": part(n_embed=width, image_token_embed=inner, image_token_size=codes),
    }  # fmt: skip


def small(patched):
    """Official code calls eyes and codecs by names; the fixture's are none of them."""
    sizes = {"width": SIZES["vit_width"], "depth": SIZES["vit_layers"], "heads": SIZES["vit_heads"], "patch": SIZES["vit_patch"]}
    hidden = round(SIZES["vit_mlp_ratio"] * SIZES["vit_width"])
    coder = {"channels": VQ["ch"], "multiples": VQ["ch_mult"], "blocks": VQ["num_res_blocks"], "features": VQ["z_channels"]}
    patched.setattr("tessera.hub.janus.OWN_EYES", {"siglip_tiny": {**sizes, "hidden": hidden}})
    patched.setattr("tessera.hub.janus.OWN_CODECS", {"VQ-tiny": coder})


def official(folder):
    """The folder of the fixture."""
    write(folder, JANUS.weights, config())
    write_words(folder, SIZES["vocab_size"], special=SPECIAL, begin="<s>", end="</s>", pad="<pad>", opens=True)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    small(monkeypatch)
    return official(tmp_path / "Janus-1.3B")


def seen(system):
    """The fixture's document, with nothing in front of the picture, whose pixels are no bytes: the codec hands squares over as they are."""
    system.markers = system.markers._replace(begin_image=())
    codec, ids = system.by_name["eye"].codec, IN["und_input_ids"][0].tolist()
    squares = elements(IN["und_pixel_values"][0, 0], codec.patch)
    codec.encode = lambda raws, draws: type("", (), {"clean": squares[None], "nats": None})
    return Document((text(*ids[1:3]), Image(torch.zeros(3, codec.pixels, codec.pixels, dtype=torch.uint8)), text(ids[-1])))


@torch.no_grad()
def outputs(system):
    """What it says where the fixture says it, too: text behind a picture, and what the codec reads and paints."""
    yield "und_logits", system.text.writer(states(system, seen(system)))[None], JANUS.outputs["und_logits"]
    codec, expected = system.by_name["image"].codec, JANUS.outputs["vq_latents_pre_quant"]
    latents = codec.latents(IN["vq_pixels"].to(codec.to_latents.weight))
    yield "vq_latents_pre_quant", latents.mT.unflatten(2, expected.shape[2:]), expected
    painted = codec.paint(codec.quantizer.lookup(JANUS.outputs["vq_codes"]).to(latents))
    yield "vq_decoded", painted, JANUS.outputs["vq_decoded"]


@torch.no_grad()
def test_a_whole_drawing_is_the_published_one(folder):
    """The prompt of the other row is padded but for its first and its last id, as `Replaced` has it."""
    system = load_published(folder)
    codec, how = system.by_name["image"].codec, Sampling(temperature=0.0, guidance=SIZES["cfg_weight"])
    JANUS.check("vq_codes", codec.quantizer(codec.latents(IN["vq_pixels"])).codes)
    written = generate(system, [text(*IN["prompt_ids"].tolist()[1:-1])], want=Image, sampling={Image: how})
    JANUS.check("gen_codes", written.clean[1][None])


@pytest.mark.parametrize(
    "change",
    [
        without("gen_head.vision_head.bias"),
        without("gen_vision_model.quantize.embedding.weight"),
        with_more("aligner.layers.4.bias"),
        misshapen("gen_embed.weight"),
        misshapen("vision_model.vision_tower.pos_embed"),
    ],
)
def test_tensors_without_a_partner_are_named(folder, change):
    refuses(folder, folder, change)


def test_it_is_written_back_as_it_was(folder, tmp_path):
    export_published(load_published(folder), tmp_path / "back")
    one, other = load_file(folder / "model.safetensors"), load_file(tmp_path / "back" / "model.safetensors")
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("part", "setting", "named"), [("vision", "model_name", "siglip_so400m"), ("gen_vision", "cls", "VQ-8")])
def test_names_that_nobody_knows_are_refused(folder, part, setting, named):
    changed = config()
    where = changed[f"{part}_config"] if setting == "cls" else changed[f"{part}_config"]["params"]
    where[setting] = named
    (folder / "config.json").write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=f"asks for {setting} '{named}'; .*tiny are accepted"):
        load_published(folder)


def test_it_answers_as_its_makers_ask(folder):
    system = load_published(folder)
    asked = system.manners.document(Document((Image(torch.zeros(3, 16, 16, dtype=torch.uint8)), Text("w07"), Text(learn=True))))
    assert generate(system, asked.segments[:-1], want=Text, longest=3).texts
