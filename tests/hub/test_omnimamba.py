"""OmniMamba loaded from a folder under the official names, against the numbers of the published code and of classes."""

import pytest
import torch
from hub.official import lacking, misshapen, refuses, said, with_more, without, write, write_words
from hub.oracle import another_epsilon, near, redrawn, transformers
from parity.fixture import load
from safetensors.torch import load_file, save_file

from tessera.codecs.reconstruction import floats
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.hub import export_published, load_published
from tessera.hub.loading import outline_published
from tessera.hub.omnimamba import IMAGENET, SPECIAL
from tessera.verbs.generate import generate

OMNIMAMBA, VQ = load("omnimamba"), load("llamagen_vq")
CONFIG, IN, WEIGHTS = OMNIMAMBA.config, OMNIMAMBA.inputs, OMNIMAMBA.weights
LANGUAGE, EYES = "llm_backbone.mamba.", "vision_backbone."
END = "<|endoftext|>"
IDS = {END: 0, **{name: 30 + i for i, name in enumerate(SPECIAL)}}
DINO = {"width": 24, "depth": 3, "heads": 4}
SIGLIP = {"width": 16, "depth": 3, "heads": 2, "hidden": 20}
PIXELS, PATCH, PROMPT = 18, 4, 68  # two rows and two columns are not seen


def of_dino():
    """A class of transformers, and its weights as timm calls them, where the class token's position is part of it."""
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=DINO["width"], num_hidden_layers=DINO["depth"], num_attention_heads=DINO["heads"], image_size=16, patch_size=PATCH,
        mlp_ratio=4, num_register_tokens=4, layerscale_value=1.0,
    )  # fmt: skip
    theirs = redrawn(transformers.Dinov2WithRegistersModel(config))
    state, made = theirs.state_dict(), {}
    positions = state["embeddings.position_embeddings"]
    made["cls_token"], made["pos_embed"] = state["embeddings.cls_token"] + positions[:, :1], positions[:, 1:]
    made["reg_token"] = state["embeddings.register_tokens"]
    for kind in ("weight", "bias"):
        made[f"patch_embed.proj.{kind}"] = state[f"embeddings.patch_embeddings.projection.{kind}"]
        made[f"norm.{kind}"] = state[f"layernorm.{kind}"]
        for i in range(DINO["depth"]):
            at = lambda name, i=i, kind=kind: state[f"encoder.layer.{i}.{name}.{kind}"]
            qkv = torch.cat([at(f"attention.{one}_proj") for one in "qkv"])
            made |= {f"blocks.{i}.attn.qkv.{kind}": qkv, f"blocks.{i}.attn.proj.{kind}": at("attention.o_proj")}
            made |= {f"blocks.{i}.{name}.{kind}": at(name) for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2")}
    for i in range(DINO["depth"]):
        made |= {f"blocks.{i}.ls{n}.gamma": state[f"encoder.layer.{i}.layer_scale{n}.lambda1"] for n in (1, 2)}
    return theirs, made


def official(folder):
    """The folder: the language model of one fixture, the codec of another, DINO of a class, the rest drawn."""
    c, vq = CONFIG, VQ.config
    names = ("d_model", "n_layer", "vocab_size", "vqvae_vocab_size", "num_tokens", "d_state", "headdim", "expand", "d_conv", "ngroups")
    coder = {"channels": vq["ch"], "multiples": vq["ch_mult"], "blocks": vq["num_res_blocks"], "features": vq["z_channels"]}
    config = {"model_type": "omnimamba", **{name: c[name] for name in names}, "mmu_positions": 40, "vqvae": coder}
    config["eyes"] = {"pixels": PIXELS, "patch": PATCH, "dino": DINO, "siglip": SIGLIP}
    there = {LANGUAGE + name: weight for name, weight in WEIGHTS.items()}
    there |= {f"llm_backbone.vqvae.{name}": weight for name, weight in VQ.weights.items()}
    there |= {f"{EYES}dino_featurizer.{name}": weight for name, weight in of_dino()[1].items()}
    config["prompt"] = there[f"{LANGUAGE}backbone.pos_embed"].shape[1] - c["num_tokens"] - 5
    write(folder, {}, config)
    write_words(folder, c["vocab_size"], special=IDS, end=END)
    there |= {f"{EYES}siglip_featurizer.{name}": torch.ones(2) for name in ("norm.weight", "attn_pool.latent", "blocks.2.norm1.bias")}
    return write(folder, there | lacking(folder, there), config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return official(tmp_path_factory.mktemp("omnimamba"))


@pytest.fixture(scope="module")
def system(folder):
    return load_published(folder)


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def what_came_before_is_read_backwards(system):
    """A state space knows no rotary positions; where places stand is said by the order of its convolution."""
    conv = system.trunk.blocks[0].mixer.conv.weight
    conv.data = conv.data.flip(-1)


def heads_change_places(system):
    """A head forgets as fast as another does."""
    decay = system.trunk.blocks[0].mixer.log_decay
    decay.data = decay.data.roll(1)


MUTATIONS = [what_came_before_is_read_backwards, another_epsilon, heads_change_places]


def text(ids, learn=False):
    return Text(said(ids, IDS), learn)


def at(places, port, begin, count, rows=1):
    """Places of a picture that is drawn, or of what is told, from place `begin` on."""
    number = port.number
    return places(writes=[[number] * count] * rows, port=[[number] * count] * rows, order=[list(range(begin, begin + count))] * rows)


def outputs(system, places):
    """What it says where the fixture says it, too: words that are told, codes that are drawn, and both of what is read already."""
    image, words, begin = system.by_name["image"], system.text, int(IN["t2i_position_ids"][0, 0])
    (ids,) = IN["mmu_ids"].tolist()
    laid = system.arrange([Document((text(ids), text([1], learn=True)))], [Draw(0)])
    yield "mmu_logits_from_ids", words.writer(system.hidden(laid)[0][:, : len(ids)]), OMNIMAMBA.outputs["mmu_logits_from_ids"]

    read = image.reader(IN["t2i_ids"], torch.tensor([0])).embeddings
    drawn = system.trunk(read, None, at(places, image, begin, read.shape[1]), system.attention)
    yield "t2i_logits_from_ids", image.writer(drawn), OMNIMAMBA.outputs["t2i_logits_from_ids"]

    rows, count, _ = IN["mmu_embeds"].shape
    told = system.trunk(IN["mmu_embeds"].to(read), None, at(places, words, 0, count, rows), system.attention)
    yield "mmu_logits", words.writer(told), OMNIMAMBA.outputs["mmu_logits"]
    rows, count, _ = IN["t2i_embeds"].shape
    embeds = IN["t2i_embeds"] - system.trunk.front.positions[1].weight[:count]  # the fixture adds none to what it draws with
    drawn = system.trunk(embeds.to(read), None, at(places, image, 0, count, rows), system.attention)
    yield "t2i_logits", image.writer(drawn), OMNIMAMBA.outputs["t2i_logits"]


def test_the_prompt_of_a_picture_is_projected_and_filled_up_to_one_length(system):
    asked = system.manners.document(Document((Text("w05 w06"), Image(learn=True))))
    laid = system.arrange([asked], [Draw(0)], [[*[e.clean for e in system.encode([asked], [Draw(0)])[0][:1]], torch.arange(16)]])
    ids = laid[0][0].visible.tolist()
    padding, length = IDS["[PAD]"], len(ids) - 4
    assert ids == [35, 33, *[padding] * (length - 2), 5, 6, 34, 31] and length == PROMPT
    embedded = []
    handle = system.trunk.embedded.register_forward_hook(lambda module, given, out: embedded.append(out))
    system.hidden(laid)
    handle.remove()
    front, table = system.trunk.front, system.text.reader.table
    expected = front.project[1](table(torch.tensor(ids))) + front.positions[1].weight[: len(ids)]
    torch.testing.assert_close(embedded[0][0, : len(ids)], expected)
    OMNIMAMBA.check("caption_embed_out", front.project[1](IN["caption_in"]))
    long = system.manners.document(Document((Text("w05 " * 80), Image(learn=True))))
    assert len(system.encode([long], [Draw(0)])[0][0].clean) == PROMPT + 4


def test_a_whole_drawing_is_the_likeliest_code_each_time_and_its_picture(system):
    asked = system.manners.document(Document((Text("w05 w06"), Image(learn=True))))
    written = generate(system, asked.segments[:1], want=Image)
    done = Document((asked[0], Image(written.pictures[0], learn=True)))
    laid = system.arrange([done], [Draw(0)], [[*[e.clean for e in system.encode([done], [Draw(0)])[0][:1]], written.clean[1]]])
    states = system.hidden(laid)[0][0]
    image = system.by_name["image"]
    assert torch.equal(image.writer(states[-17:-1]).argmax(-1), written.clean[1]) and len(written.clean[1].unique()) > 2
    painted = image.codec.paint(image.codec.quantizer.lookup(written.clean[1][None]))
    (shown,) = floats(written.pictures, torch.empty(0), image.codec.pixels)
    assert (shown - painted[0].clamp(-1, 1)).abs().max() < 1 / 255


def test_the_codec_is_llamagen_s(system):
    codec = system.by_name["image"].codec
    VQ.check("encoded_codes", codec.quantizer(codec.latents(VQ.inputs["pixels"])).codes)
    VQ.check("decoded", codec.paint(codec.quantizer.lookup(VQ.inputs["codes"])))


def test_two_eyes_see_behind_their_last_block_but_one(system):
    picture = torch.randint(0, 256, (3, 30, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    fitted, eye = system.manners.picture(picture), system.by_name["eye"]
    assert fitted.shape == (3, 16, 16)
    (squares,) = eye.codec.encode([fitted]).clean
    seen = eye.reader.inner.eye(squares[None])
    mean, spread = (torch.tensor(IMAGENET[name]).view(3, 1, 1) for name in ("mean", "spread"))
    theirs, _ = of_dino()
    states = theirs(((fitted / 255 - mean) / spread)[None], output_hidden_states=True).hidden_states
    assert near(seen[..., : DINO["width"]], states[-2][:, 5:]) and not near(seen[..., : DINO["width"]], states[-1][:, 5:], 1e-2)
    assert seen.shape == (1, 16, DINO["width"] + SIGLIP["width"])


def test_an_answer_is_told_behind_what_stands_around_a_picture(system):
    asked = system.manners.document(Document((Image(torch.zeros(3, 16, 16, dtype=torch.uint8)), Text("w05"), Text("w06", learn=True))))
    assert asked[1].content == "USER: w05 ASSISTANT:"
    (pieces,) = system.arrange([asked], [Draw(0)])
    system.hidden([pieces])
    assert pieces[0].count == 20 and pieces[1].order == 20 and generate(system, asked.segments[:2], want=Text, longest=3).texts
    table = system.text.reader.table.weight
    around = pieces[0].port.reader(pieces[0].visible[None], torch.tensor([0])).embeddings[0, [0, 1, -2, -1]]
    assert torch.equal(around, table[[IDS[f"<|{name}|>"] for name in ("mmu", "soi", "eoi", "sot")]])


def test_heads_are_tables_whether_the_file_holds_both_or_one(tmp_path, system):
    assert system.text.writer.out.weight is system.text.reader.table.weight
    folder = official(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor for name, tensor in tensors.items() if not name.endswith("_head.weight")}, folder / "model.safetensors")
    one = load_published(folder)
    assert one.text.writer.out.weight is one.text.reader.table.weight
    assert all(torch.equal(tensor, system.state_dict()[name]) for name, tensor in one.state_dict().items())
    tensors[f"{LANGUAGE}lm_head.weight"][0] += 1
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match="a head of OmniMamba is not its table"):
        load_published(folder)


def test_what_has_learned_is_written_back_with_both_tables_and_heads(tmp_path, folder):
    system = load_published(folder)
    with torch.no_grad():
        system.text.reader.table.weight += 0.5
    export_published(system, tmp_path / "out")
    back = load_published(tmp_path / "out")
    assert all(torch.equal(tensor, system.state_dict()[name]) for name, tensor in back.state_dict().items())
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(tensors[f"{LANGUAGE}lm_head.weight"], tensors[f"{LANGUAGE}backbone.embedding.weight"])


def test_its_tokenizer_may_lie_beside_it_and_is_written_inside(tmp_path, system):
    folder, beside = official(tmp_path / "there" / "omnimamba"), tmp_path / "there" / "gpt-neox-20b"
    beside.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).rename(beside / name)
    export_published(load_published(folder), tmp_path / "out")
    back = load_published(tmp_path / "out")
    assert all(torch.equal(tensor, system.state_dict()[name]) for name, tensor in back.state_dict().items())
    assert {file.name for file in (tmp_path / "out" / "gpt-neox-20b").iterdir()} == {"tokenizer.json", "tokenizer_config.json"}


@pytest.mark.parametrize(
    "change",
    [
        without(f"{LANGUAGE}backbone.layers.1.mixer.in_proj.t2i_lora_B0.weight"),
        without(f"{EYES}dino_featurizer.blocks.0.ls1.gamma"),
        with_more("projector.projector.6.weight"),
        misshapen(f"{LANGUAGE}backbone.pos_embed"),
        misshapen("llm_backbone.vqvae.post_quant_conv.weight"),
    ],
)
def test_tensors_without_a_partner_are_named(tmp_path, change):
    refuses(official(tmp_path), tmp_path, change)


def test_the_published_sizes_are_those_of_the_recipe_s_paper(tmp_path):
    """1.3 billion parameters with tables; a file says nothing of them."""
    write(tmp_path, {}, {"model_type": "omnimamba"})
    write_words(tmp_path, 300, special={END: 0}, end=END)
    made = outline_published(tmp_path)
    assert 1.2e9 < sum(parameter.numel() for parameter in made.trunk.parameters()) < 1.3e9
    assert made.by_name["eye"].codec.elements == 729 and made.by_name["image"].codec.elements == 256
