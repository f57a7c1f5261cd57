"""Show-o loaded from folders under the official names, against the numbers of the published code."""

import json
import shutil

import pytest
import torch
from hub.official import misshapen, refuses, said, with_more, without, write, write_words
from hub.oracle import transformers
from parity.fixture import load

from tessera.codecs.reconstruction import floats
from tessera.document import Document, Image, Text
from tessera.draws import Draw, Streams
from tessera.hub import export_published, load_published
from tessera.laws import Sampling
from tessera.orders import masked
from tessera.orders.masked import PartlyHidden
from tessera.verbs import generate as verb
from tessera.verbs.generate import Request, generate

SHOW_O = load("show_o")
CONFIG, IN = SHOW_O.config, SHOW_O.inputs
FIRST, MASK, CODES = CONFIG["llm_vocab_size"] + CONFIG["num_new_special_tokens"], CONFIG["mask_token_id"], CONFIG["num_vq_tokens"]
SPECIAL = {name: 50 + i for i, name in enumerate(["[PAD]", *(f"<|{n}|>" for n in "soi eoi sov eov mmu t2i t2v v2v lvg".split())])}
SPECIAL |= {"w03": 3, "w04": 4}  # what begins and what ends a text


def official(folder):
    """The folders of the fixture: the model, and Phi's and MAGVIT-v2's beside it."""
    c, vq = CONFIG, CONFIG["vq"]
    trunk = {name: weight for name, weight in SHOW_O.weights.items() if name.startswith("showo.")}
    sizes = {name: c[name] for name in ("vocab_size", "llm_vocab_size", "codebook_size", "num_vq_tokens")}
    write(folder / "show-o", trunk, {"_class_name": "Showo", "w_clip_vit": False, "mask_token_id": MASK, **sizes})
    phi = {"model_type": "phi", "hidden_size": c["hidden_size"], "intermediate_size": c["intermediate_size"], "vocab_size": 51}
    phi |= {"num_hidden_layers": c["num_layers"], "num_attention_heads": c["num_heads"], "hidden_act": "gelu_new"}
    write(folder / "phi-1_5", {}, phi | {"partial_rotary_factor": c["partial_rotary_factor"], "layer_norm_eps": c["layer_norm_eps"]})
    write_words(folder / "phi-1_5", FIRST, special=SPECIAL, begin="w03", end="w04")
    coder = {name: weight for name, weight in SHOW_O.weights.items() if not name.startswith("showo.")}
    usual = {"ch": vq["ch"], "ch_mult": vq["ch_mult"], "z_channels": vq["z_channels"]}
    sides = {side: {**usual, "num_res_blocks": vq[f"num_res_blocks_{side}"]} for side in ("encoder", "decoder")}
    write(folder / "magvitv2", coder, sides)
    return folder / "show-o"


def phi(**changes):
    """Phi's class, as large as the fixture's language model where nothing is changed."""
    sizes = {name: CONFIG[name] for name in ("vocab_size", "hidden_size", "intermediate_size", "partial_rotary_factor", "layer_norm_eps")}
    layers = {"num_hidden_layers": CONFIG["num_layers"], "num_attention_heads": CONFIG["num_heads"]}
    return transformers.PhiForCausalLM(
        transformers.PhiConfig(**{**sizes, **layers, "hidden_act": "gelu_new", "qk_layernorm": True, **changes})
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return official(tmp_path_factory.mktemp("show_o"))


@pytest.fixture(scope="module")
def system(folder):
    return load_published(folder)


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def logits(system, document, clean):
    """What is said at every place of a document whose pictures have these codes."""
    encoded = system.encode([document], [Draw(0)])[0]
    given = [torch.tensor(one) if one is not None else e.clean for one, e in zip(clean, encoded, strict=True)]
    laid = system.arrange([document], [Draw(0)], [given])
    return laid, lambda: system.text.writer(system.hidden(laid)[0])


def outputs(system):
    """What it says where the fixture says it, too: a question about a picture, one that is partly hidden behind its prompt, the codec."""
    (ids,) = IN["mmu_input_ids"].tolist()
    asked = Document((Image(None), Text(said(ids[CODES + 3 :], SPECIAL))))
    yield "mmu_logits", logits(system, asked, [ids[2 : CODES + 2], None])[1](), SHOW_O.outputs["mmu_logits"]

    (ids,) = IN["trunk_input_ids"].tolist()
    codes = torch.tensor(ids[-CODES - 1 : -1])
    asked = Document((Text(said(ids[1 : CONFIG["max_seq_length"] + 1], SPECIAL)), Image(None, learn=True)))
    laid, found = logits(system, asked, [None, codes.clamp(max=MASK - 1).tolist()])
    laid[0][-1].visible = PartlyHidden(codes.masked_fill(codes == MASK, 0), codes == MASK)
    yield "trunk_logits", found(), SHOW_O.outputs["trunk_logits"][:, 1:]  # in front stands padding, which nobody sees

    codec, expected = system.by_name["image"].codec.codec, SHOW_O.outputs["vq_latents"]
    latents = codec.latents(IN["vq_pixels"].to(codec.to_latents.weight))  # of more codes than those that its trunk draws
    yield "vq_latents", latents.mT.unflatten(2, expected.shape[2:]), expected
    features = codec.quantizer.lookup(SHOW_O.outputs["vq_codes"]).mT.unflatten(2, expected.shape[2:]).to(latents)
    yield "vq_recon", codec.decoder(codec.from_latents(features)), SHOW_O.outputs["vq_recon"]


def test_pictures_become_the_published_codes(system):
    codec = system.by_name["image"].codec.codec
    SHOW_O.check("vq_codes", codec.quantizer(codec.latents(IN["vq_pixels"])).codes)


class Replay(Streams):
    """The recorded numbers of one pass, those of the elements that are hidden in it, as tests/parity/test_show_o.py has it."""

    def __init__(self):
        self.step, self.where, self.probabilities = -1, None, []

    def watch(self, step, hidden):
        visible = step.pieces[-1].visible
        if isinstance(visible, PartlyHidden):
            self.where = visible.hidden.nonzero()[:, 0]

    def begin(self, *_):
        self.step += 1
        return self

    def uniform(self, *shape):
        if not shape:
            return IN["draw_uniform"][self.step, 0, self.where].double()
        p = SHOW_O.outputs["t2i_probs"][self.step, 0, self.where].double()
        winner = (p / IN["draw_exponential"][self.step, self.where]).argmax(-1, keepdim=True)
        return (p.cumsum(-1) - p / 2).gather(-1, winner) / p.sum(-1, keepdim=True)


def test_a_whole_drawing_is_the_published_one(system, monkeypatch):
    replay = Replay()
    monkeypatch.setattr(masked, "Streams", replay.begin)
    monkeypatch.setattr(verb, "Streams", lambda *_: replay)
    prompt = IN["t2i_input_ids"][0, 1 : CONFIG["max_seq_length"] + 1].tolist()
    sampling = Sampling(guidance=1 + CONFIG["guidance_scale"], steps=CONFIG["timesteps"])
    request = Request(Document((Text(said(prompt, SPECIAL)), Image(learn=True))), sampling={Image: sampling})
    (written,) = verb.write(system, [request], watch=replay.watch)
    assert torch.equal(written.clean[1] - FIRST, SHOW_O.outputs["t2i_codes"][0]) and replay.step == CONFIG["timesteps"] - 1
    codec = system.by_name["image"].codec.codec
    painted = codec.paint(codec.quantizer.lookup(SHOW_O.outputs["t2i_codes"]))
    (shown,) = floats(written.pictures, torch.empty(0), codec.pixels)
    assert (shown - painted[0].clamp(-1, 1)).abs().max() < 1 / 255


def test_people_put_things_to_it_as_its_makers_do(system):
    picture = torch.zeros(3, 20, 30, dtype=torch.uint8)
    drawn = system.manners.document(Document((Text("w09 w11"), Image(learn=True))))
    assert system.encode([drawn], [Draw(0)])[0][0].clean.tolist() == [SPECIAL["<|t2i|>"], 3, 9, 11, 4]
    assert system.drop.said == "<|t2i|>w03w04"
    asked = system.manners.document(Document((Image(picture), Text("w09 w11"), Text(learn=True))))
    assert isinstance(asked[0], Image) and asked[1].content == "w03USER: \nw09 w11 ASSISTANT:"
    assert system.manners.picture(picture).shape == (3, 8, 8)
    with pytest.raises(ValueError, match=r"a text holds <\|mmu\|>"):
        system.manners.document(Document((Text("w09 <|mmu|>"), Image(learn=True))))
    assert generate(system, [Image(torch.zeros(3, 8, 8, dtype=torch.uint8)), Text("w09")], want=Text, longest=4).texts


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("show-o", without("showo.model.layers.1.self_attn.dense.bias")),
        ("magvitv2", without("encoder.quant_conv.weight")),
        ("show-o", with_more("mm_projector.0.bias")),
        ("magvitv2", with_more("encoder.down.0.attn.0.norm.weight")),
        ("show-o", misshapen("showo.lm_head.bias")),
        ("magvitv2", misshapen("decoder.conv_in.weight")),
    ],
)
def test_tensors_without_a_partner_are_named(tmp_path, place, change):
    folder = official(tmp_path)
    refuses(folder, tmp_path / place, change)


def test_what_stands_beside_may_stand_inside_and_must_stand_somewhere(tmp_path, system):
    folder = official(tmp_path)
    shutil.move(tmp_path / "magvitv2", folder / "magvitv2")
    assert load_published(folder).state_dict().keys() == system.state_dict().keys()
    shutil.rmtree(folder / "magvitv2")
    with pytest.raises(ValueError, match=r"beside it is none called magvitv2; showlab/magvitv2 in one of both places"):
        load_published(folder)


def test_vocabularies_that_do_not_fit_are_refused(tmp_path):
    folder = official(tmp_path)
    write_words(tmp_path / "phi-1_5", FIRST + 1, special=SPECIAL, begin="w03", end="w04")
    with pytest.raises(ValueError, match=r"codes from id 60 to the mask, 76; there are 61 ids of text and markers and 16 codes"):
        load_published(folder)


def written_back(system, into):
    """The folders inside of what is exported; it is the same, with nothing beside it."""
    export_published(system, into)
    back = load_published(into)
    assert all(torch.equal(back.state_dict()[name], tensor) for name, tensor in system.state_dict().items())
    assert back.drop.said == system.drop.said
    return {place.name for place in into.iterdir() if place.is_dir()}


def test_it_is_written_back_whole(tmp_path, folder, system):
    assert written_back(system, tmp_path / "out") == {"magvitv2", "phi-1_5"}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["_class_name"] == "Showo"
    assert json.loads((tmp_path / "out" / "phi-1_5" / "config.json").read_text())["model_type"] == "phi"
