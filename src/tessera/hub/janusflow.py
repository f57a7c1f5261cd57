"""JanusFlow as it was published: Llama, an eye and the place in front of it, and ConvNeXts around the trunk, over latents of SDXL's."""

from collections.abc import Mapping

from torch import nn

from tessera.clocks import Clock
from tessera.codecs import VAE, Patches
from tessera.document import Image
from tessera.drops import Hidden
from tessera.hub.blueprint import Blueprint
from tessera.hub.eyes import TIMM
from tessera.hub.folder import Folder, Settings
from tessera.hub.janus import END, manners, own_eye
from tessera.hub.janus import TEMPLATE as JANUS
from tessera.hub.language import TURNS, language, named, settings, text_port, tied
from tessera.hub.markers import markers
from tessera.hub.names import Names, shaped, under
from tessera.hub.pictures import colours
from tessera.hub.tensors import Stored, tensors
from tessera.hub.vae import PART, latents, stride
from tessera.hub.vae import names as named_latents
from tessera.laws import Regression, Sampling
from tessera.orders import InPlace
from tessera.paths import Flow
from tessera.ports import Port, Takes
from tessera.readers import EyeReader, GridReader
from tessera.system import System
from tessera.unets import ConvNeXtDown, ConvNeXtUp
from tessera.writers import GridWriter

LATENTS = "stabilityai/sdxl-vae"
TEMPLATE = JANUS.replace("<|User|>", "User").replace("<|Assistant|>", "Assistant")
DOWN = {
    "input_channels": 3, "stride": 4, "kernel_size": 7, "padding": None, "block_out_channels": (768,), "layers_in_middle": 2,
}  # fmt: skip
UP = {"in_channels": 768, "out_channels": 3, "upsamples": 2, "layers_in_middle": 2}
NETS = {"elementwise_affine": True, "use_bias": True, "norm_eps": 1e-6, "use_mid_block": True}
UNREAD = (*TURNS, "*position_ids", "vision_und_enc_model.vision_tower.attn_pool.*")

BLOCK: Names = {
    "around": "depthwise",
    "norm": "norm",
    "up": "channelwise_linear_1",
    "down": "channelwise_linear_2",
    "response.weight": shaped("channelwise_norm.weight"),
    "response.bias": shaped("channelwise_norm.bias"),
    "adapt": "cond_embeds_mapper",
}
READER: Names = {
    "net.stem": "vision_gen_enc_model.in_conv",
    **under(BLOCK, ours="net.blocks.*", theirs="vision_gen_enc_model.mid_block.res_blocks.*"),
    "clock.up": "vision_gen_enc_model.time_embed.linear_1",
    "clock.out": "vision_gen_enc_model.time_embed.linear_2",
    "embed": "vision_gen_enc_aligner",
}
WRITER: Names = {
    "net.into": "vision_gen_dec_model.input_norm",
    **under(BLOCK, ours="net.blocks.*", theirs="vision_gen_dec_model.mid_block.res_blocks.*"),
    "net.norm": "vision_gen_dec_model.out_convs.0.norm",
    "net.out.weight": shaped("vision_gen_dec_model.out_convs.0.unpatch_conv.weight"),
    "net.out.bias": "vision_gen_dec_model.out_convs.0.unpatch_conv.bias",
    "norm": "vision_gen_dec_aligner_norm",
    "into": "vision_gen_dec_aligner",
}
PROJECTOR: Names = {kind: f"vision_und_enc_aligner.{kind}" for kind in ("weight", "bias")}
BEGIN: Names = {"weight": "beg_of_und_embed"}


def janusflow(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`MultiModalityCausalLM` of `janus.janusflow`, with latents of a folder beside it.

    A drawn picture has as many places as a seen one, which is how large it is: the published code says so in numbers of its own.
    """
    params = lambda name: (folder.config.get(f"vision_{name}_config") or {}).get("params") or {}
    part = lambda name, usual: Settings(params(name), usual, f"config.json, vision_{name}_config, params,")
    said = settings(folder.config.get("language_config") or {}, "config.json, language_config,")
    head = "language_model.lm_head"
    speaker = language(said, tied=tied(folder.config, said, weights, head))
    text = text_port(folder, speaker, markers(folder, said, end_image=[END]))
    look = own_eye(part("und_enc", {}))
    given = EyeReader(look, nn.Linear(look.width, speaker.width), begin=nn.Embedding(1, speaker.width))
    squares = Patches(pixels=look.pixels, patch=look.patch, **colours(folder))
    sees = Port("eye", Image, codec=squares, reader=given, takes=Takes.AFTERWARDS)
    nets = part("gen_enc", DOWN), part("gen_dec", UP)
    place, patch = folder.apart(LATENTS, within=PART), steps(*nets)
    codec = latents(place, pixels=look.columns * patch * stride(place), patch=patch)
    image = drawing(codec, *nets, said)

    names = {
        **named(model="language_model.model", head=head),
        **under(TIMM, ours="by_name.eye.reader.eye", theirs="vision_und_enc_model.vision_tower"),
        **under(PROJECTOR, ours="by_name.eye.reader.projector"),
        **under(BEGIN, ours="by_name.eye.reader.begin"),
        **under(READER, ours="by_name.image.reader"),
        **under(WRITER, ours="by_name.image.writer"),
        **under(named_latents(codec, tensors(place)), ours="by_name.image.codec"),
    }
    system = System("janusflow", trunk=speaker.trunk, ports=(text, image, sees), attention=speaker.looks, drop=Hidden())
    return Blueprint(system, names, UNREAD, manners=manners(folder, look.pixels, codec.pixels, TEMPLATE), parts={PART: place})


def steps(down: Settings, up: Settings) -> int:
    """How many cells of latents an element has on a side. Raises ValueError for nets that are not built here."""
    for net in (down, up):
        net.refuse(NETS)
    patch, kernel, padding = down["stride"], down["kernel_size"], down["padding"]
    padding = kernel - patch if padding is None else padding
    if (patch, up["upsamples"]) != (2, 1) or 2 * padding != kernel - patch or down["input_channels"] != up["out_channels"]:
        raise ValueError(
            f"hub: {down.where} and vision_gen_dec_config ask for steps of {patch}, a kernel of {kernel}, {padding} cells around, "
            f"{down['input_channels']} channels in and {up['out_channels']} out after {up['upsamples']} times; steps of 2, taken back "
            "once, as many cells around as the kernel is larger, and as many channels out as in are accepted; load it elsewhere"
        )
    return patch


def drawing(codec: VAE, down: Settings, up: Settings, said: Settings) -> Port:
    """The port of pictures that are drawn: a flow of latents between two nets."""
    width, channels, margin = said["hidden_size"], down["block_out_channels"][0], (down["kernel_size"] - down["stride"]) // 2
    into = ConvNeXtDown(codec.features, channels, width, patch=codec.patch, depth=down["layers_in_middle"], margin=margin)
    back = ConvNeXtUp(codec.features, channels, width, depth=up["layers_in_middle"])
    reader = GridReader(into, width, clock=Clock(width, features=channels), columns=codec.columns, leading=True)
    writer = GridWriter(width, back, columns=codec.columns, norm=nn.RMSNorm(width, eps=said["rms_norm_eps"]))
    law = Regression(sampling=Sampling(guidance=2.0, steps=30))
    return Port("image", Image, codec=codec, reader=reader, writer=writer, order=InPlace(Flow()), law=law, takes=Takes.LEARNED)
