"""MetaMorph as it was published: Llama reads what SigLIP's eye sees, and says what it would see next."""

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt

import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image as Pillow
from torch import Tensor

from tessera.codecs import Features
from tessera.codecs.text import MarkerIds
from tessera.document import Image
from tessera.hub.blueprint import Blueprint
from tessera.hub.eyes import behind, layer_of
from tessera.hub.eyes import eye as eye_of
from tessera.hub.eyes import settings as eye_settings
from tessera.hub.folder import Folder, Settings, bare
from tessera.hub.language import TURNS, language, named, settings, text_port, tied
from tessera.hub.manners import Published, chat
from tessera.hub.markers import ids_of, tokenizer
from tessera.hub.names import Names, under
from tessera.hub.pictures import Fit, covered, squared
from tessera.hub.tensors import Stored
from tessera.laws import Regression, cosine_distance
from tessera.orders import Next
from tessera.perceptron import perceptron
from tessera.ports import Port
from tessera.readers import FeatureReader
from tessera.system import System
from tessera.writers import MLPWriter

EYE = "google/siglip-so400m-patch14-384"
USUAL = {"num_image_tokens": 64, "mm_vision_select_layer": -1, "image_aspect_ratio": "square"}
BUILT = {
    "mm_projector_type": "mlp2x_gelu", "vision_head_type": "mlp2x_gelu", "normalize_vision": True, "image_token_reduction": "interpolation",
    "mm_patch_merge_type": "flat",
}  # fmt: skip
SEEING = {
    "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
    "image_size": 384, "patch_size": 14,
}  # fmt: skip
BEGIN, END, TURN = "<image_start>", "<image_end>", "<|eot_id|>"
TEMPLATE = (
    "<|begin_of_text|>{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n"
    "{% if message.role == 'user' %}"
    "{% for part in message.content if part.type == 'image' %}<image_start>{{ '\n' if loop.last }}{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}"
    "{% else %}{% for part in message.content %}{{ '<image_start>' if part.type == 'image' else part.text }}{% endfor %}{% endif %}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n{% endif %}"
)

PROJECTOR: Names = {"*": "model.mm_projector.*"}
HEAD: Names = {"before.*": "vision_head.*", "out": "vision_head.4"}


class Interpolated:
    """What an eye sees in a grid of so many columns, between whose squares it looks (bilinear, without antialiasing), as a row."""

    def __init__(self, columns: int, features: int):
        self.columns, self.elements, self.features = columns, columns**2, features

    def __call__(self, seen: Float[Tensor, "batch element width"]) -> Float[Tensor, "batch ... width"]:
        """The elements of it."""
        across = isqrt(seen.shape[1])
        grid = seen.mT.unflatten(2, (across, across)).float()
        return F.interpolate(grid, (self.columns, self.columns), mode="bilinear").flatten(2).mT.to(seen)


def metamorph(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`MetaMorphLlamaForCausalLM`. Its pictures are painted by another model, a tuned Stable Diffusion, which is not built."""
    said = Settings(folder.config, USUAL)
    said.refuse(BUILT)
    text = settings({**folder.config, "model_type": "llama"})
    speaker = language(text, tied=tied(folder.config, text, weights, "lm_head"))
    words = text_port(folder, speaker, marks(folder))

    apart = bool(weights) and not any(name.startswith("model.vision_tower.") for name in weights)
    beside = bare(EYE)
    parts = {beside: folder.apart(EYE)} if apart else {}
    seen = parts.get(beside, folder)
    tower = f"{beside}.vision_model" if apart else "model.vision_tower.vision_tower"
    seeing = eye_settings({**SEEING, **(seen.config.get("vision_config") or {})}, f"{seen.path}, config.json, vision_config,")
    eye, of_eye = eye_of(seeing, layer=layer_of(said, "mm_vision_select_layer"))
    codec = Features(eye, None, former=Interpolated(isqrt(said["num_image_tokens"]), eye.width), unit=True)
    width = speaker.width
    squares, drawer = FeatureReader(perceptron(eye.width, width, width)), MLPWriter(width, width, width, eye.width)
    image = Port("image", Image, codec=codec, reader=squares, writer=drawer, order=Next(), law=Regression(cosine_distance, unit=True))

    names = {
        **named(model="model", head="lm_head"),
        **under(PROJECTOR, ours="by_name.image.reader.projector"),
        **under(HEAD, ours="by_name.image.writer"),
        **under(of_eye, ours="by_name.image.codec.eye", theirs=tower),
    }
    system = System("metamorph", trunk=speaker.trunk, ports=(words, image), attention=speaker.looks)
    idle = ("model.vision_proj.*", f"{tower}.head.*", f"{beside}.text_model.*", f"{beside}.logit_*", "*position_ids")
    manners = Published(
        replace(chat(folder, TEMPLATE, picture=BEGIN), begin=""), fit(seeing["image_size"], eye.pixels, said["image_aspect_ratio"] == "pad")
    )
    return Blueprint(system, names, (*TURNS, *behind(eye, seeing, tower), *idle), manners=manners, parts=parts)


def marks(folder: Folder) -> MarkerIds:
    """One token in front of a document, another on either side of a picture; a turn ends with Llama 3's token for that."""
    made = tokenizer(folder)
    (end,) = ids_of(made, TURN)
    return MarkerIds(tuple(made.encode("").ids), tuple(ids_of(made, BEGIN)), tuple(ids_of(made, END)), end, closes_given=False)


def fit(side: int, seen: int, pads: bool) -> Fit:
    """Pictures scaled to squares, or filled up to them with grey before."""
    scaled = covered(side, seen, Pillow.Resampling.BICUBIC)
    square = squared(side, Pillow.Resampling.BICUBIC, (127, 127, 127))
    return (lambda picture: scaled(square(picture))) if pads else scaled
