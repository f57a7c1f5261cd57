"""LLaVA-1.5 as it was published: CLIP's eye (or SigLIP's), a projector, and a language model that reads pictures and writes text."""

from collections.abc import Mapping

from torch import nn

from tessera.attention import causal
from tessera.codecs import Patches
from tessera.document import Image
from tessera.hub.blueprint import Blueprint
from tessera.hub.eyes import eye as eye_of
from tessera.hub.eyes import is_clip
from tessera.hub.eyes import settings as eye_settings
from tessera.hub.folder import Folder, Settings
from tessera.hub.language import TURNS, language, named, settings, text_port, tied, under_one_of
from tessera.hub.manners import Published, chat, token
from tessera.hub.markers import markers
from tessera.hub.names import under
from tessera.hub.pictures import background, colours, cropped, processing, resample, squared
from tessera.hub.tensors import Stored
from tessera.ports import Port, Takes
from tessera.readers import EyeReader
from tessera.system import System

USUAL = {"vision_feature_layer": -2, "projector_hidden_act": "gelu", "multimodal_projector_bias": True}
UNREAD = ("*position_ids", *TURNS)
TEMPLATE = (
    "{% for message in messages %}{{ message.role.upper() }}: "
    "{% for part in message.content if part.type == 'image' %}<image>\n{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text }} {% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def llava(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`LlavaForConditionalGeneration`: a picture stands bare among the text, as many places as it has squares."""
    said = Settings(folder.config, USUAL)
    said.refuse({"projector_hidden_act": "gelu"})
    model = under_one_of(weights, "language_model.model", "model.language_model")
    tower = under_one_of(weights, "vision_tower.vision_model", "vision_tower", "model.vision_tower.vision_model", "model.vision_tower")
    around = under_one_of(weights, "multi_modal_projector", "model.multi_modal_projector")
    head = "language_model.lm_head" if model == "language_model.model" else "lm_head"

    text = settings(folder.config.get("text_config") or {}, "config.json, text_config,")
    speaker = language(text, tied=tied(folder.config, text, weights, head))
    words = text_port(folder, speaker, markers(folder, text))

    seeing = eye_settings(folder.config.get("vision_config") or {}, "config.json, vision_config,")
    strategy = "default" if is_clip(seeing) else "full"  # a class token is no feature
    said.refuse({"vision_feature_select_strategy": strategy})
    eye, of_eye = eye_of(seeing, layer=said["vision_feature_layer"])
    bias = said["multimodal_projector_bias"]
    projector = nn.Sequential(nn.Linear(eye.width, speaker.width, bias=bias), nn.GELU(), nn.Linear(speaker.width, speaker.width, bias=bias))
    squares = Patches(pixels=eye.pixels, patch=eye.patch, **colours(folder))
    image = Port("image", Image, codec=squares, reader=EyeReader(eye, projector), takes=Takes.GIVEN)

    names = {
        **named(model=model, head=head),
        **under(of_eye, ours="by_name.image.reader.eye", theirs=tower),
        "by_name.image.reader.projector.0": f"{around}.linear_1",
        "by_name.image.reader.projector.2": f"{around}.linear_2",
    }
    picture = token(folder, "image_token", "<image>")
    system = System("llava", trunk=speaker.trunk, ports=(words, image), attention=causal)
    read = range(len(eye.blocks), seeing["num_hidden_layers"])  # blocks behind the one where it is read
    unread = [f"{tower}.encoder.layers.{i}.*" for i in read] + [f"{tower}.post_layernorm.*", f"{tower}.head.*"]
    how = resample(folder)
    fit = squared(eye.pixels, how, background(folder)) if processing(folder).get("do_pad") else cropped(eye.pixels, how)
    manners = Published(chat(folder, TEMPLATE, picture=picture), fit)
    return Blueprint(system, names, (*UNREAD, *unread), manners=manners, within={model: "model.language_model"})
