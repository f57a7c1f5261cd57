"""Published VQGANs under our names, in the two layouts in which their weights are found."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tessera.codecs import LFQ, VQ, VQGAN, ConvDecoder, ConvEncoder
from tessera.codecs.convolutions import ConvBlock, Downsample, SpatialAttention, Upsample

BLOCK = {"steps.0": "norm1", "steps.2": "conv1", "steps.3": "norm2", "steps.5": "conv2", "shortcut": "nin_shortcut"}
ATTENTION = {"norm": "norm", "qkv": ("q", "k", "v"), "out": "proj_out"}
RESAMPLED = {"conv": "conv"}
TRACKED = {"quantizer.members", "quantizer.sums", "quantizer.idle"}  # what a codebook remembers only while it learns


class Layout(NamedTuple):
    """How weights of encoder and decoder are named: levels, blocks inside a level, the middle, and the order of decoder levels."""

    encoder: str
    decoder: str
    block: str
    middle: tuple[str, str, str]
    finest_first: bool


TAMING = Layout("down", "up", "block", ("block_1", "attn_1", "block_2"), finest_first=True)  # also Show-o's and Orthus'
LLAMAGEN = Layout("conv_blocks", "conv_blocks", "res", ("0", "1", "2"), finest_first=False)  # also Janus' and TokenFlow's


def named(weights: Mapping[str, Tensor], ours: str, theirs: str, leaves: Mapping[str, str | tuple[str, ...]]) -> dict[str, Tensor]:
    """One part's weights and biases; several of theirs make one of ours."""
    state = {}
    for leaf, published in leaves.items():
        parts = published if isinstance(published, tuple) else (published,)
        for kind in ("weight", "bias"):
            if f"{theirs}.{parts[0]}.{kind}" in weights:
                state[f"{ours}.{leaf}.{kind}"] = torch.cat([weights[f"{theirs}.{part}.{kind}"] for part in parts])
    return state


def level_state(weights: Mapping[str, Tensor], level: nn.Sequential, ours: str, theirs: str, layout: Layout) -> dict[str, Tensor]:
    """One level: its blocks and attentions are counted apart."""
    state: dict[str, Tensor] = {}
    blocks = attentions = 0
    for i, part in enumerate(level):
        at = f"{ours}.{i}"
        if isinstance(part, ConvBlock):
            state |= named(weights, at, f"{theirs}.{layout.block}.{blocks}", BLOCK)
            blocks += 1
        elif isinstance(part, SpatialAttention):
            state |= named(weights, at, f"{theirs}.attn.{attentions}", ATTENTION)
            attentions += 1
        else:
            assert isinstance(part, Downsample | Upsample)
            state |= named(weights, at, f"{theirs}.{'down' if isinstance(part, Downsample) else 'up'}sample", RESAMPLED)
    return state


def net_state(weights: Mapping[str, Tensor], net: ConvEncoder | ConvDecoder, side: str, layout: Layout) -> dict[str, Tensor]:
    """A whole encoder or decoder; `side` says which."""
    ends = {"stem": "conv_in", "head.0": "norm_out", "head.2": "conv_out"}
    state = {f"{side}{name}": weight for name, weight in named(weights, "", side, ends).items()}
    for i, (name, leaves) in enumerate(zip(layout.middle, (BLOCK, ATTENTION, BLOCK), strict=True)):
        state |= named(weights, f"{side}.middle.{i}", f"{side}.mid.{name}", leaves)
    for i, level in enumerate(net.levels):
        number = len(net.levels) - 1 - i if side == "decoder" and layout.finest_first else i
        state |= level_state(weights, level, f"{side}.levels.{i}", f"{side}.{getattr(layout, side)}.{number}", layout)
    return state


def fill(codec: VQGAN, weights: Mapping[str, Tensor], layout: Layout) -> VQGAN:
    """The codec with published weights; every one of them and every parameter of ours has its partner."""
    state = net_state(weights, codec.encoder, "encoder", layout) | net_state(weights, codec.decoder, "decoder", layout)
    for ours, theirs in (("to_latents", "quant_conv"), ("from_latents", "post_quant_conv")):
        state |= {f"{ours}.{kind}": weights[f"{theirs}.{kind}"] for kind in ("weight", "bias")}
    if "quantize.embedding.weight" in weights:
        state["quantizer.book"] = weights["quantize.embedding.weight"]
    missing, unexpected = codec.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= TRACKED, (missing, unexpected)
    ours, theirs = (sum(weight.numel() for weight in named.values()) for named in (state, weights))
    assert ours == theirs, f"{theirs - ours} published numbers have no place"
    return codec.eval()


def nets(config: Mapping[str, Any], features: int, attended: Collection[int] = ()) -> dict[str, ConvEncoder | ConvDecoder]:
    """Encoder and decoder of a published configuration."""
    usual = {"features": features, "channels": config["ch"], "multiples": config["ch_mult"], "attended": attended}
    usual["groups"] = config["norm_groups"]
    encoder = config["num_res_blocks_encoder"] if "num_res_blocks_encoder" in config else config["num_res_blocks"]
    decoder = config["num_res_blocks_decoder"] if "num_res_blocks_decoder" in config else config["num_res_blocks"] + 1
    return {"encoder": ConvEncoder(**usual, blocks=encoder), "decoder": ConvDecoder(**usual, blocks=decoder)}


def llamagen(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> VQGAN:
    """The tokenizer of LlamaGen; Janus keeps it under `gen_vision_model.`, with its numbers under `vq`."""
    quantizer = VQ(size=config["codebook_size"], features=config["codebook_embed_dim"], normalized=True)
    coarsest = len(config["ch_mult"]) - 1
    codec = VQGAN(**nets(config, config["z_channels"], (coarsest,)), quantizer=quantizer, pixels=config["image"])
    return fill(codec, weights, LLAMAGEN)


def chameleon(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> VQGAN:
    """Chameleon's tokenizer in Meta's layout."""
    quantizer = VQ(size=config["n_embed"], features=config["embed_dim"])
    return fill(VQGAN(**nets(config, config["z_channels"]), quantizer=quantizer, pixels=config["resolution"]), weights, TAMING)


def orthus(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> VQGAN:
    """Orthus' tokenizer, which is Chameleon's in the layout of transformers; the file keeps it under `model.vqmodel.`."""
    vq = config["vq"]
    renamed = {"ch": vq["base_channels"], "ch_mult": vq["channel_multiplier"], **vq}
    quantizer = VQ(size=vq["num_embeddings"], features=config["latent_dim"])
    return fill(VQGAN(**nets(renamed, config["latent_dim"]), quantizer=quantizer, pixels=vq["resolution"]), weights, TAMING)


def show_o(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> VQGAN:
    """Show-o's MAGVIT-v2, whose projections stand inside encoder and decoder, and whose codebook needs no weights."""
    renamed = {
        name.removeprefix("encoder.").removeprefix("decoder.") if "quant_conv" in name else name: weight
        for name, weight in weights.items()
        if name.startswith(("encoder.", "decoder."))
    }
    codec = VQGAN(**nets(config, config["z_channels"]), quantizer=LFQ(config["z_channels"]), pixels=config["resolution"])
    return fill(codec, renamed, TAMING)


def tokenflow_pixels(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> VQGAN:
    """The pixel branch of TokenFlow's tokenizer. Its codebook is tied to another one, so this one's quantizer stays unused."""
    names = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
    quantizer = VQ(size=config["codebook_size"], features=config["pixel_code_dim"], normalized=True)
    parts = nets(config, config["z_channels"], (len(config["ch_mult"]) - 1,))
    mine = {name: weight for name, weight in weights.items() if name.startswith(names)}
    mine["quantize.embedding.weight"] = weights["quantize.embedding_vqgan.weight"]
    return fill(VQGAN(**parts, quantizer=quantizer, pixels=config["image"]), mine, LLAMAGEN)


def vila_u_painter(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> nn.Sequential:
    """What paints the sums of VILA-U's codes, as they lie in the picture; the file keeps it under `rqvaesiglip.`."""
    coarse = [level for level in range(len(config["ch_mult"])) if config["dec_resolution"] >> level in config["attn_resolutions"]]
    features = weights["post_quant_conv.weight"].shape[0]
    decoder, project = nets(config, features, coarse)["decoder"], nn.Conv2d(weights["post_quant_conv.weight"].shape[1], features, 1)
    state = {name.removeprefix("decoder."): w for name, w in net_state(weights, decoder, "decoder", TAMING).items()}
    assert sum(w.numel() for w in state.values()) == sum(w.numel() for n, w in weights.items() if n.startswith("decoder."))
    decoder.load_state_dict(state)
    project.load_state_dict({kind: weights[f"post_quant_conv.{kind}"] for kind in ("weight", "bias")})
    return nn.Sequential(project, decoder)
