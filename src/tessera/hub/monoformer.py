"""MonoFormer as it was published: Llama, what reads noisy latents and their time, and DiT's last layer."""

from collections.abc import Mapping
from dataclasses import replace

from PIL import Image as Pillow

from tessera.attention import within
from tessera.document import Image
from tessera.drops import Absent
from tessera.hub.blueprint import Blueprint
from tessera.hub.folder import Folder, Settings
from tessera.hub.language import TURNS, language, named, settings, text_port, tied
from tessera.hub.llama import TEMPLATE
from tessera.hub.manners import Published, chat
from tessera.hub.markers import markers
from tessera.hub.names import Names, Part, Row, under
from tessera.hub.pictures import cropped
from tessera.hub.tensors import Stored, tensors
from tessera.hub.vae import PART, elements, latents, stride
from tessera.hub.vae import names as named_latents
from tessera.laws import Regression, Sampling
from tessera.orders import InPlace
from tessera.paths import DDIM, Diffusion, Predicts, linear_betas
from tessera.ports import Port, Takes
from tessera.readers import TimedReader
from tessera.system import System
from tessera.writers import AdaptedWriter

LATENTS = "stabilityai/sd-vae-ft-mse"
BEGIN, END = "<|im_start|>", "<|im_end|>"
BUILT = {
    "decoder_t_embed": "add_before_image_tokens", "use_pos_embed": True, "add_pos_embed_each_layer": False,
    "use_adaln_final_layer": True, "use_bi_attn_img_tokens": True,
}  # fmt: skip
GUIDED = 3  # channels, as in DiT's code

READER: Names = {
    "clock.up": "t_embedder.mlp.0",
    "clock.out": "t_embedder.mlp.2",
    "front.*": "t_projector.*",
    "embed": "x_embedder",
}
WRITER: Names = {"adapt": "final_layer.adaLN_modulation.1", "out": "final_layer.linear"}


def writer(channels: int, patch: int) -> Names:
    """The names of the last layer."""
    return {**WRITER, "out": Row((Part("final_layer.linear", elements(patch, channels)),))}


def monoformer(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`MonoFormerForCausalLM`, with latents of a folder beside it: it reads and writes text, and draws.

    Guidance moves the first three channels of the noise, as its code does, and variances are those under the prompt.
    """
    said = settings(folder.config)
    said.refuse(BUILT)
    if folder.read("cfg.json").get("use_chat_template"):
        raise ValueError(f"hub: {folder.path}/cfg.json asks for a chat template; prompts as they are are accepted; load it elsewhere")
    speaker = language(said, tied=tied(folder.config, said, weights, "lm_head"))
    text = text_port(folder, speaker, markers(folder, said, begin_image=[BEGIN], end_image=[END]))

    sizes = Settings(folder.config, {"patch_size": 2, "in_channels": 4, "learn_sigma": True, "image_size": 256})
    place, patch, channels = folder.apart(LATENTS, within=PART), sizes["patch_size"], sizes["in_channels"]
    codec, said_channels = latents(place, pixels=sizes["image_size"], patch=patch), channels * (1 + bool(sizes["learn_sigma"]))
    if (stride(place), codec.channels) != (8, channels):
        raise ValueError(
            f"hub: {place.path} has {codec.channels} channels for {stride(place)} pixels; {channels} for 8 are accepted; fetch {LATENTS}"
        )
    width = speaker.width
    reader = TimedReader(codec.features, width, columns=codec.columns)
    back = AdaptedWriter(width, said_channels * patch**2, told=width)
    order = InPlace(Diffusion(linear_betas()), predicts=Predicts.NOISE, solver=DDIM(eta=1.0))
    law = Regression(guided=GUIDED * patch**2, sampling=Sampling(guidance=4.0, steps=20))
    image = Port("image", Image, codec=codec, reader=reader, writer=back, order=order, law=law, takes=Takes.LEARNED)

    names = {
        **named(model="model", head="lm_head"),
        **under(READER, ours="by_name.image.reader"),
        **under(writer(said_channels, patch), ours="by_name.image.writer"),
        **under(named_latents(codec, tensors(place)), ours="by_name.image.codec"),
    }
    rule = speaker.looks | within(image, behind=1)
    system = System("monoformer", trunk=speaker.trunk, ports=(text, image), attention=rule, drop=Absent())
    words = replace(chat(folder, TEMPLATE), template=TEMPLATE)  # its folder holds the template of the model that it began with
    manners = Published(words, cropped(codec.pixels, Pillow.Resampling.BICUBIC))
    return Blueprint(system, names, TURNS, manners=manners, parts={PART: place})
