"""Published picture latents: diffusers' AutoencoderKL, as Stable Diffusion 1, XL and 3 have it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tessera.codecs import VAE, ConvDecoder, ConvEncoder
from tessera.hub.folder import Folder, Settings
from tessera.hub.names import KEPT, Names, shaped, under
from tessera.hub.tensors import Stored
from tessera.hub.vqgan import BLOCK, Layout, net

PART = "vae"  # how the folder is called inside a larger one, and what stands in front of its tensors' names
USUAL = {
    "latent_channels": 4, "block_out_channels": (64,), "layers_per_block": 1, "norm_num_groups": 32, "scaling_factor": 0.18215,
    "shift_factor": 0.0, "use_quant_conv": True, "use_post_quant_conv": True,
}  # fmt: skip
BUILT = {
    "in_channels": 3, "out_channels": 3, "act_fn": "silu", "mid_block_add_attention": True, "latents_mean": None, "latents_std": None,
}  # fmt: skip
TOLD = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}
ONCE = {"q": "query", "k": "key", "v": "value", "out": "proj_attn"}  # how older files call the same


def layout(words: Mapping[str, str]) -> Layout:
    """diffusers' names; `words` are those inside of attention."""
    return Layout(
        encoder="down_blocks",
        decoder="up_blocks",
        block="resnets",
        middle=("mid_block.resnets.0", "mid_block.attentions.0", "mid_block.resnets.1"),
        finest_first=False,
        inside={**BLOCK, "shortcut": "conv_shortcut"},
        attention={"norm": "group_norm", "qkv": shaped(*(words[name] for name in "qkv")), "out": shaped(words["out"])},
        ends={"stem": "conv_in", "head.0": "conv_norm_out", "head.2": "conv_out"},
        between=("downsamplers.0", "upsamplers.0"),
    )


def stride(folder: Folder) -> int:
    """How many pixels a cell of latents has on a side."""
    return 1 << len(Settings(folder.config, USUAL)["block_out_channels"]) - 1


def latents(folder: Folder, *, pixels: int, patch: int = 1) -> VAE:
    """The codec that a folder describes, of pictures of `pixels`, `patch` x `patch` cells to an element.

    Latents are moved by the published shift and multiplied by the published factor. Raises ValueError for other kinds of nets.
    """
    said = Settings(folder.config, USUAL, f"{folder.path.name}/config.json")
    said.refuse(BUILT)
    for name, kind in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")):
        said.refuse({name: [kind] * len(said["block_out_channels"])})
    first, *_ = widths = said["block_out_channels"]
    if any(width % first for width in widths):
        raise ValueError(f"hub: {said.where} asks for block_out_channels {widths}; multiples of the first are accepted; load it elsewhere")
    sizes = {"channels": first, "multiples": [width // first for width in widths], "groups": said["norm_num_groups"]}
    count, depth = said["latent_channels"], said["layers_per_block"]
    around = (
        (nn.Conv2d(2 * count, 2 * count, 1) if said["use_quant_conv"] else nn.Identity()),
        (nn.Conv2d(count, count, 1) if said["use_post_quant_conv"] else nn.Identity()),
    )
    encoder = nn.Sequential(ConvEncoder(features=2 * count, blocks=depth, **sizes), around[0])
    decoder = nn.Sequential(around[1], ConvDecoder(features=count, blocks=depth + 1, **sizes))
    codec = VAE(encoder, decoder, channels=count, pixels=pixels, stride=stride(folder), patch=patch, noise=0.0)
    codec.mean.fill_(said["shift_factor"])
    codec.variance.fill_(said["scaling_factor"] ** -2)
    return codec


def elements(patch: int, channels: int) -> Tensor:
    """Rows of a layer that says elements in the order of ours, by channel first; theirs are by row and column of a patch, then channel."""
    return torch.arange(patch * patch * channels).view(patch, patch, channels).permute(2, 0, 1).flatten()


def names(codec: VAE, weights: Mapping[str, Stored]) -> Names:
    """The names of a codec whose folder, the part `vae`, holds these tensors; older files have other words for its attention."""
    encoder, decoder = codec.encoder[0], codec.decoder[1]  # type: ignore[index]  # they are Sequentials here
    how = layout(ONCE if any(".query." in name for name in weights) else TOLD)
    inside = {**net(encoder, "encoder", how, ours="encoder.0"), **net(decoder, "decoder", how, ours="decoder.1")}
    around: Names = {"encoder.1": "quant_conv", "decoder.0": "post_quant_conv"}
    return {**under({**inside, **around}, theirs=PART), "mean": KEPT, "variance": KEPT}
