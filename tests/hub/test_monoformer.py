"""MonoFormer loaded from a folder of official names, beside the numbers of official code."""

import copy
import json

import pytest
import torch
from hub.denoised import CHANGES, FromNoise, cells, elements, latents, painted, text
from hub.official import altered, said, write, write_words
from hub.oracle import near, states
from parity.fixture import load
from safetensors.torch import load_file

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.drops import Instead
from tessera.hub import export_published, load_published
from tessera.laws import Sampling
from tessera.verbs.generate import generate

MONOFORMER = load("monoformer")
SIZES, IN = MONOFORMER.config, MONOFORMER.inputs
PATCH, COLUMNS = SIZES["patch_size"], SIZES["latent_size"] // SIZES["patch_size"]
SPECIAL = {"<s>": 1, "<PAD>": 2, "</s>": 4, "<|im_start|>": 58, "<|im_end|>": 59, "<image>": 60}
PROMPT = IN["input_ids"][0, 1:4].tolist()
HOW = Sampling(guidance=SIZES["cfg_scale"], steps=SIZES["steps"])


def config():
    """The configuration of official code, of the fixture's sizes."""
    return {
        "model_type": "llama", "architectures": ["MonoFormerForCausalLM"], "vocab_size": SIZES["vocab_size"],
        "hidden_size": SIZES["hidden_size"], "intermediate_size": SIZES["intermediate_size"], "num_hidden_layers": SIZES["num_layers"],
        "num_attention_heads": SIZES["num_heads"], "num_key_value_heads": SIZES["num_kv_heads"], "rms_norm_eps": SIZES["rms_norm_eps"],
        "patch_size": PATCH, "in_channels": SIZES["in_channels"], "learn_sigma": True, "image_size": 8 * SIZES["latent_size"],
        "image_token_index": SIZES["image_token_index"], "decoder_t_embed": "add_before_image_tokens", "use_pos_embed": True,
        "add_pos_embed_each_layer": False, "use_adaln_final_layer": True, "use_bi_attn_img_tokens": True,
    }  # fmt: skip


def official(folder):
    """The folder, and the latents beside it."""
    write(folder, MONOFORMER.weights, config())
    write_words(folder, SIZES["vocab_size"], special=SPECIAL, begin="<s>", end="</s>", pad="<pad>", opens=True)
    latents(stride=8).save_pretrained(folder.parent / "sd-vae-ft-mse")
    return folder


@pytest.fixture
def published(tmp_path):
    """The folder, and the class of its latents."""
    return official(tmp_path / "MonoFormer_ImageNet_256"), latents(stride=8)


def outputs(system):
    """What it says where the fixture says it, too: text, and latents after a guided walk."""
    asked = Document((text(*IN["text_ids"][0].tolist()[1:]),))
    yield "text_logits", system.text.writer(states(system, asked))[None], MONOFORMER.outputs["text_logits"]
    yield "trajectory", cells(drawn(system).clean[-1], PATCH, COLUMNS), expected()


def drawn(system):
    """The fixture's drawing; what is left out of a prompt is, there, an id of padding, and seen."""
    system.drop = Instead(said(IN["input_ids"][1, 1:4].tolist()))
    image = system.by_name["image"]
    noise, steps = (elements(cell, PATCH) for cell in IN["sample_noise"][:1]), [elements(cell[0], PATCH) for cell in IN["step_noise"]]
    image.order.solver = FromNoise(next(noise), steps, eta=1.0)
    return generate(system, Document((text(*PROMPT),)), want=Image, sampling={Image: HOW})


def expected():
    return MONOFORMER.outputs["trajectory"][-1, 0]


@torch.no_grad()
def test_what_is_drawn_is_painted(published):
    folder, theirs = published
    system = load_published(folder)
    assert system.by_name["image"].law.sampling == Sampling(guidance=4.0, steps=20)
    written = drawn(system)
    assert (written.pictures[0].int() - painted(theirs, written.clean[-1], PATCH, COLUMNS).int()).abs().max() <= 1


def guided_everywhere(system):
    system.by_name["image"].law.guided = None


def looks_back_only(system):
    from tessera.attention import causal

    system.attention = causal


def channels_change_places(system):
    out = system.by_name["image"].writer.out
    out.weight.data, out.bias.data = (part.unflatten(0, (PATCH**2, -1)).transpose(0, 1).flatten(0, 1) for part in (out.weight, out.bias))


def variances_are_left_out(system):
    order = system.by_name["image"].order
    walk = order.solver

    def bare(path, x, grid, fresh):
        steps = walk(path, x, grid, fresh)
        answer = yield next(steps)
        while True:
            try:
                answer = yield steps.send(answer._replace(spread=None))
            except StopIteration as finished:
                return finished.value

    bare.passes, bare.adds, bare.closes = 1, True, False
    order.solver = bare


@torch.no_grad()
@pytest.mark.parametrize("mutation", [guided_everywhere, looks_back_only, channels_change_places, variances_are_left_out])
def test_a_mutated_system_draws_something_else(published, mutation):
    system = copy.deepcopy(load_published(published[0]))
    if mutation is not variances_are_left_out:
        mutation(system)
        assert not near(cells(drawn(system).clean[-1], PATCH, COLUMNS), expected(), 1e-2)
    else:
        drawn(system)
        system.by_name["image"].order.solver.fresh = [elements(cell[0], PATCH) for cell in IN["step_noise"]]
        variances_are_left_out(system)
        written = generate(system, Document((text(*PROMPT),)), want=Image, sampling={Image: HOW})
        assert not near(cells(written.clean[-1], PATCH, COLUMNS), expected(), 1e-2)


def test_a_prompt_is_said_as_it_is_and_left_out_under_guidance(published):
    folder, _ = published
    said_there = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**said_there, "chat_template": "{{ raise_exception('of TinyLlama') }}"}))
    system = load_published(folder)
    document = system.manners.document(Document((Text("w05 w06"), Image(learn=True))))
    assert document.texts == ["w05 w06"] and system.drop.left(document.segments[:1]) == ()
    written = generate(system, document, sampling={Image: HOW})
    assert written.pictures[0].shape == (3, 64, 64)
    (folder / "cfg.json").write_text(json.dumps({"use_chat_template": True}))
    with pytest.raises(ValueError, match=r"cfg.json asks for a chat template; prompts as they are are accepted"):
        load_published(folder)


def test_it_answers_and_learns_to_draw(published):
    system = load_published(published[0])
    assert generate(system, Document((text(5, 6),)), want=Text, longest=5).clean[-1].numel()
    picture = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    losses = system.losses([Document((text(5), Image(picture, learn=True)))], [Draw(0)])
    assert losses["image"][1] == COLUMNS**2 and losses["image"][0].isfinite()


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize(
    ("place", "name"),
    [("MonoFormer_ImageNet_256/model", "final_layer.linear.weight"), ("sd-vae-ft-mse/diffusion_pytorch_model", "quant_conv.bias")],
)
def test_a_tensor_that_does_not_fit_is_named(published, tmp_path, how, place, name):
    altered(tmp_path / f"{place}.safetensors", lambda tensors: CHANGES[how](tensors, name))
    with pytest.raises(ValueError, match=rf"1 tensors .*{how}: .*{name}.*; nothing was loaded"):
        load_published(published[0])


def test_a_folder_comes_back_with_its_latents_inside(published, tmp_path):
    folder, _ = published
    assert len(export_published(load_published(folder), tmp_path / "back")) == 2
    for ours, back in ((folder / "model", "model"), (tmp_path / "sd-vae-ft-mse/diffusion_pytorch_model", "vae/diffusion_pytorch_model")):
        one, other = load_file(f"{ours}.safetensors"), load_file(tmp_path / "back" / f"{back}.safetensors")
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"decoder_t_embed": "add_at_each_layer"}, r"asks for decoder_t_embed 'add_at_each_layer'; 'add_before_image_tokens' is accepted"),
        ({"use_bi_attn_img_tokens": False}, r"asks for use_bi_attn_img_tokens False"),
        ({"in_channels": 16}, r"has 4 channels for 8 pixels; 16 for 8 are accepted; fetch stabilityai/sd-vae-ft-mse"),
    ],
)
def test_what_is_not_built_is_refused(published, what, said):
    (published[0] / "config.json").write_text(json.dumps({**config(), **what}))
    with pytest.raises(ValueError, match=said):
        load_published(published[0])
