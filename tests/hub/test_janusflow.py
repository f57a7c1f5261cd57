"""JanusFlow loaded from a folder of official names, beside the numbers of official code; its latents beside diffusers' class."""

import copy
import json

import pytest
import torch
from hub.denoised import CHANGES, FromNoise, cells, elements, latents, painted, text
from hub.official import altered, write, write_words
from hub.oracle import laid, near, states
from parity.fixture import load
from safetensors.torch import load_file

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.hub import export_published, load_published
from tessera.hub.loading import outline_published
from tessera.laws import Sampling
from tessera.verbs.generate import generate

JANUSFLOW = load("janusflow")
SIZES, IN = JANUSFLOW.config, JANUSFLOW.inputs
PATCH, COLUMNS = SIZES["uvit_stride"], SIZES["latent_size"] // SIZES["uvit_stride"]
SPECIAL = {"<s>": 1, "<pad>": 0, "</s>": 2, "<image_placeholder>": 60, "<end_of_image>": 8}


def config():
    """The configuration of official code, of the fixture's sizes."""
    steps = {"stride": PATCH, "kernel_size": SIZES["uvit_kernel"], "padding": SIZES["uvit_padding"]}
    width, channels, depth = SIZES["hidden_size"], [SIZES["uvit_channels"]], SIZES["uvit_layers"]
    down = {"input_channels": SIZES["latent_channels"], "block_out_channels": channels, "layers_in_middle": depth, "hidden_size": width}
    up = {**down, "in_channels": channels[0], "out_channels": SIZES["latent_channels"], "upsamples": 1}
    eye = {"model_name": "siglip_tiny", "image_size": SIZES["vit_image"], "select_layer": -1, "select_feature": "same"}
    text = {
        "model_type": "llama", "vocab_size": SIZES["vocab_size"], "hidden_size": width, "intermediate_size": SIZES["intermediate_size"],
        "num_hidden_layers": SIZES["num_layers"], "num_attention_heads": SIZES["num_heads"], "rms_norm_eps": SIZES["rms_norm_eps"],
    }  # fmt: skip
    return {
        "model_type": "multi_modality",
        "architectures": ["MultiModalityCausalLM"],
        "language_config": text,
        "vision_und_enc_config": {"cls": "CLIPVisionTower", "params": eye},
        "vision_gen_enc_config": {"cls": "ShallowUViTEncoder", "params": {**down, **steps}},
        "vision_gen_dec_config": {"cls": "ShallowUViTDecoder", "params": up},
    }


def small(patched):
    """Official code calls eyes by names; the fixture's is none of them."""
    sizes = {"width": SIZES["vit_width"], "depth": SIZES["vit_layers"], "heads": SIZES["vit_heads"], "patch": SIZES["vit_patch"]}
    hidden = round(SIZES["vit_mlp_ratio"] * SIZES["vit_width"])
    patched.setattr("tessera.hub.janus.OWN_EYES", {"siglip_tiny": {**sizes, "hidden": hidden}})


def painter():
    """The latents' class: two pixels to a cell, so that what is drawn is as large as what is seen."""
    return latents(stride=2, scaling_factor=0.13025)


def official(folder):
    """The folder, and the latents beside it."""
    write(folder, JANUSFLOW.weights, config())
    write_words(folder, SIZES["vocab_size"], special=SPECIAL, begin="<s>", end="</s>", pad="<pad>", opens=True)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
    painter().save_pretrained(folder.parent / "sdxl-vae")
    return folder


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The folder, and the class of its latents."""
    small(monkeypatch)
    return official(tmp_path / "JanusFlow-1.3B"), painter()


def bytes_of(pixels):
    return ((pixels + 1) * 127.5).round().to(torch.uint8)


def seen(system):
    """The fixture's document. Its pixels are no bytes: the codec hands its squares over as they are."""
    codec, ids = system.by_name["eye"].codec, IN["und_input_ids"][0].tolist()
    squares = elements(IN["und_pixel_values"][0, 0], codec.patch)
    codec.encode = lambda raws, draws: type("", (), {"clean": squares[None], "nats": None})
    picture = torch.zeros(3, codec.pixels, codec.pixels, dtype=torch.uint8)
    return Document((text(*ids[1:3]), Image(picture), text(*ids[21:23]), text(ids[23])))


def outputs(system):
    """What it says where the fixture says it, too: text behind a picture, and latents after a guided drawing."""
    yield "und_logits", system.text.writer(states(system, seen(system)))[None], JANUSFLOW.outputs["und_logits"]
    yield "gen_latents", cells(drawn(system).clean[-1], PATCH, COLUMNS), JANUSFLOW.outputs["gen_latents"][-1]


def drawn(system, guidance=SIZES["cfg_weight"]):
    """The fixture's drawing, from its noise."""
    system.by_name["image"].order.solver = FromNoise(elements(IN["gen_noise"][0], PATCH))
    how = Sampling(guidance=guidance, steps=SIZES["steps"])
    return generate(system, Document((text(*IN["gen_prompt_ids"].tolist()[1:-1]),)), want=Image, sampling={Image: how})


def test_what_is_read_are_the_published_ids(published):
    system, ids = load_published(published[0]), IN["und_input_ids"][0].tolist()
    pieces = laid(system, seen(system))
    assert [piece.visible.tolist() for piece in pieces if piece.port is system.text] == [
        [ids[0]],
        ids[1:3],
        [ids[20]],
        ids[21:23],
        [ids[23]],
    ]


@torch.no_grad()
def test_what_is_drawn_is_painted_and_guided(published):
    folder, theirs = published
    system = load_published(folder)
    assert system.by_name["image"].law.sampling == Sampling(guidance=2.0, steps=30)
    written = drawn(system)
    assert torch.equal(written.pictures[0], painted(theirs, written.clean[-1], PATCH, COLUMNS))
    assert not near(drawn(system, guidance=1.0).clean[-1], written.clean[-1], 1e-2)


def test_pictures_become_the_latents_that_are_learned(published):
    folder, theirs = published
    codec = load_published(folder).by_name["image"].codec
    picture = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8)
    found = cells(codec.encode([picture]).clean[0], PATCH, COLUMNS)
    with torch.no_grad():
        mean = theirs.encode(picture[None] / 127.5 - 1).latent_dist.mean[0]
    assert near(found, mean * 0.13025)


def test_a_whole_document_is_drawn_seen_again_and_learned(published):
    system = load_published(published[0])
    written = generate(system, system.manners.document(Document((Text("w05 w06"), Image(learn=True)))))
    assert written.pictures[0].shape == (3, 16, 16)
    answered = generate(system, Document((text(5), Image(written.pictures[0]), text(9))), want=Text, longest=5)
    assert answered.clean[-1].numel()
    losses = system.losses([Document((text(5), Image(written.pictures[0], learn=True)))], [Draw(0)])
    assert losses["image"][1] == COLUMNS**2 and losses["image"][0].isfinite()


def test_words_are_put_as_its_makers_do(published):
    system = load_published(published[0])
    drawn = system.manners.document(Document((Text("w05"), Image(learn=True))))
    assert drawn.texts == ["User: w05\n\nAssistant:"]
    picture = torch.zeros(3, 16, 16, dtype=torch.uint8)
    asked = system.manners.document(Document((Image(picture), Text("w06"), Text(learn=True))))
    assert asked.texts[0].endswith("natural language.\n\nUser: ") and asked.texts[1] == "\nw06\n\nAssistant:"


def mutated(system):
    yield "the place in front of what is seen", system.by_name["eye"].reader.begin.weight
    yield "a net's scales", system.by_name["image"].reader.net.blocks[0].adapt.bias
    yield "the norm behind the trunk", system.by_name["image"].writer.norm.weight


@torch.no_grad()
@pytest.mark.parametrize("which", [1, 2])
def test_a_mutated_system_draws_something_else(published, which):
    system = copy.deepcopy(load_published(published[0]))
    _, parameter = list(mutated(system))[which]
    parameter[: len(parameter) // 2] += 0.3
    assert not near(cells(drawn(system).clean[-1], PATCH, COLUMNS), JANUSFLOW.outputs["gen_latents"][-1], 1e-2)


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize(
    ("place", "name"),
    [("JanusFlow-1.3B/model", "vision_gen_dec_aligner.weight"), ("sdxl-vae/diffusion_pytorch_model", "decoder.conv_in.weight")],
)
def test_a_tensor_that_does_not_fit_is_named(published, tmp_path, how, place, name):
    altered(tmp_path / f"{place}.safetensors", lambda tensors: CHANGES[how](tensors, name))
    with pytest.raises(ValueError, match=rf"1 tensors .*{how}: .*{name}.*; nothing was loaded"):
        load_published(published[0])


def test_latents_are_inside_or_beside_and_needed(published, tmp_path):
    folder = published[0]
    beside = load_published(folder).state_dict()
    (tmp_path / "sdxl-vae").rename(folder / "vae")
    inside = load_published(folder).state_dict()
    assert all(torch.equal(tensor, beside[name]) for name, tensor in inside.items())
    (folder / "vae").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"holds no folder vae, and beside it is none called sdxl-vae; stabilityai/sdxl-vae in one"):
        load_published(folder)


def test_latents_are_fetched_where_the_model_was(published, tmp_path, monkeypatch):
    import huggingface_hub

    folder, _ = published
    (tmp_path / "sdxl-vae").rename(tmp_path / "elsewhere")
    where, asked = {"deepseek-ai/JanusFlow-1.3B": folder, "stabilityai/sdxl-vae": tmp_path / "elsewhere"}, []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda id, allow_patterns: asked.append(id) or str(where[id]))
    load_published("deepseek-ai/JanusFlow-1.3B")
    assert asked == list(where)


def test_a_folder_comes_back_with_its_latents_inside(published, tmp_path):
    from diffusers import AutoencoderKL

    folder, theirs = published
    system = load_published(folder)
    assert len(export_published(system, tmp_path / "back")) == 2
    ours, again = load_file(folder / "model.safetensors"), load_file(tmp_path / "back" / "model.safetensors")
    assert ours.keys() == again.keys() and all(torch.equal(ours[name], again[name]) for name in ours)
    latents = AutoencoderKL.from_pretrained(tmp_path / "back" / "vae").state_dict()
    assert all(torch.equal(tensor, latents[name]) for name, tensor in theirs.state_dict().items())
    assert all(torch.equal(tensor, system.state_dict()[name]) for name, tensor in load_published(tmp_path / "back").state_dict().items())


def test_an_outline_has_the_same_shapes_and_no_numbers(published):
    system, outline = load_published(published[0]), outline_published(published[0])
    assert {n: t.shape for n, t in outline.state_dict().items()} == {n: t.shape for n, t in system.state_dict().items()}
    assert all(parameter.is_meta for parameter in outline.parameters())


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"vision_gen_enc_config": {"stride": 4}}, r"steps of 4, a kernel of 4, 1 cells around"),
        ({"vision_gen_dec_config": {"norm_eps": 1e-5}}, r"asks for norm_eps 1e-05; 1e-06 is accepted"),
        ({"vision_und_enc_config": {"model_name": "siglip_so400m"}}, r"asks for model_name 'siglip_so400m'; siglip_tiny are accepted"),
    ],
)
def test_nets_that_are_not_built_are_refused(published, part, said):
    folder, changed = published[0], config()
    for name, params in part.items():
        changed[name]["params"] |= params
    (folder / "config.json").write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=said):
        load_published(folder)
