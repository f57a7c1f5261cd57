"""Janus and Janus-Pro as they were published, in transformers' layout and in DeepSeek's own."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn

from tessera import vision
from tessera.codecs import VQ, VQGAN, ConvDecoder, ConvEncoder, Padding, Patches
from tessera.document import Image, Text
from tessera.drops import Replaced
from tessera.hub.blueprint import Blueprint
from tessera.hub.eyes import SIGLIP, TIMM
from tessera.hub.folder import Folder, Settings
from tessera.hub.language import TURNS, language, named, settings, text_port, tied
from tessera.hub.manners import Published, chat, token
from tessera.hub.markers import markers, padding
from tessera.hub.names import Names, under
from tessera.hub.pictures import background, colours, cropped, padded, processing, resample
from tessera.hub.tensors import Stored
from tessera.hub.vqgan import LLAMAGEN, TRANSFORMERS, Layout, of_transformers, vqgan
from tessera.hub.vqgan import USUAL as CODECS
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.perceptron import perceptron
from tessera.ports import Port, Takes
from tessera.readers import EyeReader, TokenReader
from tessera.system import System
from tessera.writers import MLPWriter

BEGIN, END = "<begin_of_image>", "<end_of_image>"
PREFACE = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and assist the "
    "user with a variety of tasks using natural language.\n\n"
)
TEMPLATE = (
    "{% for message in messages %}{{ '<|User|>: ' if message.role == 'user' else '<|Assistant|>: ' }}"
    "{% for part in message.content %}{{ '<image_placeholder>\n' if part.type == 'image' else part.text | trim }}{% endfor %}"
    "{{ '\n\n' if message.role == 'user' else '<｜end▁of▁sentence｜>' }}{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|>:{% endif %}"
)
EYE = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 384, "patch_size": 16, "mlp_ratio": 4.0,
    "layer_norm_eps": 1e-6, "projection_dim": 2048, "depth": 2,
}  # fmt: skip
CODES = {**CODECS, "embed_dim": 8, "num_embeddings": 16_384, "projection_dim": 2048, "num_hidden_layers": 2}
OWN_EYES: Mapping[str, Mapping[str, Any]] = {"siglip_large_patch16_384": {"width": 1024, "depth": 24, "heads": 16, "patch": 16}}
OWN_CODECS: Mapping[str, Mapping[str, Any]] = {"VQ-16": {"channels": 128, "multiples": (1, 1, 2, 2, 4), "blocks": 2, "features": 256}}
"""What DeepSeek's own code calls by a name."""


class Described(NamedTuple):
    """What a configuration says: of the language model, of the eye and the MLP behind it, of codes and the MLP that reads them."""

    text: Settings
    eye: vision.ViT
    projector: nn.Module
    codec: VQGAN
    adaptor: nn.Module
    drawer: MLPWriter


class Named(NamedTuple):
    """How a layout names the parts; `*` in the names of MLPs is the number of a layer, each two apart."""

    model: str
    head: str
    eye: tuple[str, Names]
    projector: Names
    codec: tuple[str, Layout]
    table: str
    adaptor: Names
    drawer: Names


def _layers(prefix: str) -> Names:
    """An MLP of transformers: one layer apart, the others counted."""
    return {"0": f"{prefix}.fc1", **{str(2 * i + 2): f"{prefix}.hidden_layers.{i}" for i in range(8)}}


OF_TRANSFORMERS = Named(
    model="model.language_model",
    head="lm_head",
    eye=("model.vision_model", {**SIGLIP, "blocks.*.attention.inner.out": "encoder.layers.*.self_attn.projection_layer"}),
    projector=_layers("model.aligner"),
    codec=("model.vqmodel", TRANSFORMERS),
    table="model.generation_embeddings",
    adaptor=_layers("model.generation_aligner"),
    drawer={"before.0": "model.generation_head.proj_out", "out": "model.generation_head.vision_head"},
)
OF_DEEPSEEK = Named(
    model="language_model.model",
    head="language_model.lm_head",
    eye=("vision_model.vision_tower", TIMM),
    projector={"*": "aligner.layers.*"},
    codec=("gen_vision_model", LLAMAGEN),
    table="gen_embed",
    adaptor={"*": "gen_aligner.layers.*"},
    drawer={"before.0": "gen_head.output_mlp_projector", "out": "gen_head.vision_head"},
)
UNREAD = (*TURNS, "*position_ids", "vision_model.vision_tower.attn_pool.*", "gen_vision_model.quantize.codebook_used")


def janus(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`JanusForConditionalGeneration`, or `MultiModalityCausalLM`."""
    own = folder.config.get("model_type") == "multi_modality"
    said, names = (of_deepseek(folder), OF_DEEPSEEK) if own else (of_transformers_own(folder), OF_TRANSFORMERS)
    return built(folder, weights, said, names)


def built(folder: Folder, weights: Mapping[str, Stored], said: Described, layout: Named) -> Blueprint:
    """The system: text, an eye for pictures that are given, and codes for those that are drawn."""
    own = layout is OF_DEEPSEEK
    speaker = language(said.text, tied=tied(folder.config, said.text, weights, layout.head, usual=not own))
    marks = markers(folder, said.text, begin_image=[BEGIN], end_image=[END])
    text = text_port(folder, speaker, marks)
    pads = Port("padding", Text, codec=Padding(text.codec, padding(folder, said.text)), reader=speaker.words, takes=Takes.DROPPED)
    squares = Patches(pixels=said.eye.pixels, patch=said.eye.patch, **colours(folder))
    given = Port("eye", Image, codec=squares, reader=EyeReader(said.eye, said.projector), takes=Takes.AFTERWARDS)

    codec, size = said.codec, said.codec.quantizer.size
    read = TokenReader(nn.Embedding(size, codec.quantizer.features), columns=codec.columns, adaptor=said.adaptor)
    law = Categorical(allowed=range(size), sampling=Sampling(guidance=5.0))
    image = Port("image", Image, codec=codec, reader=read, writer=said.drawer, order=Next(), law=law, takes=Takes.LEARNED)

    (tower, eye), (coder, net) = layout.eye, layout.codec
    names = {
        **named(model=layout.model, head=layout.head),
        **under(eye, ours="by_name.eye.reader.eye", theirs=tower),
        **under(layout.projector, ours="by_name.eye.reader.projector"),
        **under(vqgan(codec, net), ours="by_name.image.codec", theirs=coder),
        "by_name.image.reader.table": layout.table,
        **under(layout.adaptor, ours="by_name.image.reader.adaptor"),
        **under(layout.drawer, ours="by_name.image.writer"),
    }
    system = System("janus", trunk=speaker.trunk, ports=(text, image, given, pads), attention=speaker.looks, drop=Replaced())
    assert isinstance(codec.quantizer, VQ)
    return Blueprint(system, names, UNREAD, codec.quantizer.settle, manners(folder, said.eye.pixels, codec.pixels))


def manners(folder: Folder, side: int, drawn: int, usual: str = TEMPLATE) -> Published:
    """Pictures that are seen are padded, those to be drawn are cut; answers stand behind a preface, where the folder says so."""
    told = folder.read("processor_config.json").get("use_default_system_prompt", True)
    words = chat(folder, usual, picture=token(folder, "image_token", "<image_placeholder>"), preface=PREFACE if told else "")
    seen = padded(side, resample(folder), background(folder), processing(folder).get("min_size", 14))
    return Published(words, seen, cropped(drawn, resample(folder)))


def of_transformers_own(folder: Folder) -> Described:
    """What a configuration of transformers says."""
    whole = Settings(folder.config)
    seeing, coding = whole.part("vision_config", EYE), whole.part("vq_config", CODES)
    seeing.refuse({"hidden_act": "gelu", "use_qk_norm": False, "attention_bias": True})
    coding.refuse({"hidden_act": "gelu"})
    eye = vision.siglip(
        pixels=seeing["image_size"],
        patch=seeing["patch_size"],
        width=seeing["hidden_size"],
        depth=seeing["num_hidden_layers"],
        heads=seeing["num_attention_heads"],
        hidden=round(seeing["mlp_ratio"] * seeing["hidden_size"]),
        eps=seeing["layer_norm_eps"],
    )
    coarsest = len(coding["channel_multiplier"]) - 1
    codec = of_transformers(coding, pixels=eye.columns << coarsest, attended=(coarsest,), normalized=True)
    text = settings(folder.config.get("text_config") or {}, "config.json, text_config,")
    inner = coding["projection_dim"]
    return Described(
        text,
        eye,
        perceptron(eye.width, *[seeing["projection_dim"]] * seeing["depth"]),
        codec,
        perceptron(codec.quantizer.features, *[inner] * coding["num_hidden_layers"]),
        MLPWriter(text["hidden_size"], inner, codec.quantizer.size),
    )


def of_deepseek(folder: Folder) -> Described:
    """What a configuration of DeepSeek's own code says."""
    params = lambda name: Settings(folder.config.get(f"{name}_config", {}).get("params") or {}, {}, f"config.json, {name}_config, params,")
    text = settings(folder.config.get("language_config") or {}, "config.json, language_config,")
    seeing, aligned, adapted, drawn, coded = map(params, ("vision", "aligner", "gen_aligner", "gen_head", "gen_vision"))
    eye = own_eye(seeing)
    sizes = dict(own(OWN_CODECS, (folder.config.get("gen_vision_config") or {}).get("cls", "VQ-16"), coded.where, "cls"))
    blocks, sizes["attended"] = sizes.pop("blocks"), (len(sizes["multiples"]) - 1,)
    encoder, decoder = ConvEncoder(**sizes, blocks=blocks), ConvDecoder(**sizes, blocks=blocks + 1)
    quantizer = VQ(size=coded["image_token_size"], features=coded["n_embed"], normalized=True)
    return Described(
        text,
        eye,
        perceptron(eye.width, *[aligned["n_embed"]] * aligned["depth"]),
        VQGAN(encoder=encoder, decoder=decoder, quantizer=quantizer, pixels=encoder.stride * eye.columns),
        perceptron(adapted["input_dim"], *[adapted["n_embed"]] * adapted["depth"]),
        MLPWriter(drawn["n_embed"], drawn["image_token_embed"], drawn["image_token_size"]),
    )


def own_eye(seeing: Settings) -> vision.ViT:
    """The eye that DeepSeek's own code calls by its name."""
    seeing.refuse({"select_layer": -1, "select_feature": "same"})
    return vision.siglip(pixels=seeing["image_size"], **own(OWN_EYES, seeing["model_name"], seeing.where, "model_name"))


def own(known: Mapping[str, Mapping[str, Any]], name: str, where: str, setting: str) -> Mapping[str, Any]:
    """The sizes of what goes by this name. Raises ValueError for names that are not known here."""
    if name not in known:
        raise ValueError(f"hub: {where} asks for {setting} {name!r}; {', '.join(known)} are accepted; load it elsewhere")
    return known[name]
