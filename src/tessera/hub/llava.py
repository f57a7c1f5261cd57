"""LLaVA-1.5 and LLaVA-NeXT as they were published: an eye (CLIP's or SigLIP's), a projector, and a language model, which writes text."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from torch import nn

from tessera.codecs import Codec, Patches, Tiles
from tessera.document import Image
from tessera.hub.blueprint import Blueprint
from tessera.hub.eyes import behind, is_clip, layer_of
from tessera.hub.eyes import eye as eye_of
from tessera.hub.eyes import settings as eye_settings
from tessera.hub.folder import Folder, Settings
from tessera.hub.language import TURNS, language, named, settings, text_port, tied, under_one_of
from tessera.hub.manners import Published, chat, token
from tessera.hub.markers import markers
from tessera.hub.names import Names, shaped, under
from tessera.hub.pictures import Fit, colours, resample, resized, sized, upto
from tessera.hub.tensors import Stored
from tessera.ports import Port, Takes
from tessera.readers import EyeReader, Reader, TileReader
from tessera.system import System
from tessera.vision import ViT

USUAL = {
    "vision_feature_layer": -2, "projector_hidden_act": "gelu", "multimodal_projector_bias": True,
    "image_grid_pinpoints": ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)),
}  # fmt: skip
UNREAD = ("*position_ids", *TURNS)
TEMPLATE = (
    "{% for message in messages %}{{ message.role.upper() }}: "
    "{% for part in message.content if part.type == 'image' %}<image>\n{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text }} {% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


class Looked(NamedTuple):
    """How pictures are looked at: the codec and the reader of their port, the reader's own names, and the rule for pictures."""

    codec: Codec
    reader: Reader
    names: Names
    fit: Fit


class Eye(NamedTuple):
    """What looks, what brings that to the language model's width, and the side of pictures, of which it sees what whole squares cover."""

    eye: ViT
    projector: nn.Sequential
    side: int


Look = Callable[[Folder, Settings, Eye], Looked]


def llava(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`LlavaForConditionalGeneration`: a picture stands bare among the text, as many places as it has squares."""
    return built(folder, weights, whole)


def llava_next(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`LlavaNextForConditionalGeneration`: the whole picture small, then tiles of it in rows, each ended by a place of its own."""
    return built(folder, weights, in_tiles)


def whole(folder: Folder, said: Settings, through: Eye) -> Looked:
    """Pictures of one size."""
    eye, projector, side = through
    squares = Patches(pixels=eye.pixels, patch=eye.patch, **colours(folder))
    return Looked(squares, EyeReader(eye, projector), {}, upto(eye.pixels, sized(folder, side)))


def in_tiles(folder: Folder, said: Settings, through: Eye) -> Looked:
    """Pictures of any shape."""
    eye, projector, side = through
    grids = [(height, width) for height, width in said["image_grid_pinpoints"]]
    resize = partial(resized, how=resample(folder))
    codec = Tiles(pixels=side, patch=eye.patch, grids=grids, resize=resize, **colours(folder))
    width = projector[-1].out_features
    reader = TileReader(eye, projector, row_end=nn.Embedding(1, width))  # type: ignore[arg-type]  # torch does not know its last layer
    return Looked(codec, reader, {"row_end.weight": shaped("image_newline")}, lambda picture: picture)


def built(folder: Folder, weights: Mapping[str, Stored], look: Look) -> Blueprint:
    """The system: text, an eye, and a language model that reads both."""
    said = Settings(folder.config, USUAL)
    said.refuse({"projector_hidden_act": "gelu"})
    model = under_one_of(weights, "language_model.model", "model.language_model")
    tower = under_one_of(weights, "vision_tower.vision_model", "vision_tower", "model.vision_tower.vision_model", "model.vision_tower")
    around = under_one_of(weights, "multi_modal_projector", "model.multi_modal_projector").removesuffix("multi_modal_projector")
    head = "language_model.lm_head" if model == "language_model.model" else "lm_head"

    text = settings(folder.config.get("text_config") or {}, "config.json, text_config,")
    speaker = language(text, tied=tied(folder.config, text, weights, head))
    words = text_port(folder, speaker, markers(folder, text))

    seeing = eye_settings(folder.config.get("vision_config") or {}, "config.json, vision_config,")
    strategy = "default" if is_clip(seeing) else "full"  # a class token is no feature
    said.refuse({"vision_feature_select_strategy": strategy})
    eye, of_eye = eye_of(seeing, layer=layer_of(said, "vision_feature_layer"))
    bias = said["multimodal_projector_bias"]
    projector = nn.Sequential(nn.Linear(eye.width, speaker.width, bias=bias), nn.GELU(), nn.Linear(speaker.width, speaker.width, bias=bias))
    looked = look(folder, said, Eye(eye, projector, seeing["image_size"]))
    image = Port("image", Image, codec=looked.codec, reader=looked.reader, takes=Takes.GIVEN)

    names = {
        **named(model=model, head=head),
        **under(of_eye, ours="by_name.image.reader.eye", theirs=tower),
        "by_name.image.reader.projector.0": f"{around}multi_modal_projector.linear_1",
        "by_name.image.reader.projector.2": f"{around}multi_modal_projector.linear_2",
        **under(looked.names, ours="by_name.image.reader", theirs=around.removesuffix(".")),
    }
    system = System("llava", trunk=speaker.trunk, ports=(words, image), attention=speaker.looks)
    unread = (*behind(eye, seeing, tower), f"{tower}.head.*")
    manners = Published(chat(folder, TEMPLATE, picture=token(folder, "image_token", "<image>")), looked.fit)
    return Blueprint(system, names, (*UNREAD, *unread), manners=manners, within={model: "model.language_model"})
