"""Published VQGANs of the sizes that a fixture states in its own words."""

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from tessera.codecs import LFQ, VQ, VQGAN, ConvDecoder, ConvEncoder
from tessera.hub.filling import filled
from tessera.hub.vqgan import AROUND, INSIDE, LLAMAGEN, TAMING, net, vqgan


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
    return filled(codec, vqgan(codec, LLAMAGEN), weights, unread=("quantize.codebook_used",))


def chameleon(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> VQGAN:
    """Chameleon's tokenizer in Meta's layout."""
    quantizer = VQ(size=config["n_embed"], features=config["embed_dim"])
    codec = VQGAN(**nets(config, config["z_channels"]), quantizer=quantizer, pixels=config["resolution"])
    return filled(codec, vqgan(codec, TAMING), weights)


def orthus(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> VQGAN:
    """Orthus' tokenizer, which is Chameleon's in the layout of transformers; the file keeps it under `model.vqmodel.`."""
    vq = config["vq"]
    renamed = {"ch": vq["base_channels"], "ch_mult": vq["channel_multiplier"], **vq}
    quantizer = VQ(size=vq["num_embeddings"], features=config["latent_dim"])
    codec = VQGAN(**nets(renamed, config["latent_dim"]), quantizer=quantizer, pixels=vq["resolution"])
    return filled(codec, vqgan(codec, TAMING), weights)


def show_o(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> VQGAN:
    """Show-o's MAGVIT-v2, whose projections stand inside encoder and decoder, and whose codebook needs no weights."""
    codec = VQGAN(**nets(config, config["z_channels"]), quantizer=LFQ(config["z_channels"]), pixels=config["resolution"])
    mine = {name: weight for name, weight in weights.items() if name.startswith(("encoder.", "decoder."))}
    return filled(codec, vqgan(codec, TAMING, around=INSIDE), mine)


def tokenflow_pixels(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> VQGAN:
    """The pixel branch of TokenFlow's tokenizer. Its codebook is tied to another one, so this one's quantizer stays unused."""
    quantizer = VQ(size=config["codebook_size"], features=config["pixel_code_dim"], normalized=True)
    parts = nets(config, config["z_channels"], (len(config["ch_mult"]) - 1,))
    codec = VQGAN(**parts, quantizer=quantizer, pixels=config["image"])
    names = {**vqgan(codec, LLAMAGEN), "quantizer.book": "quantize.embedding_vqgan.weight"}
    semantic = ("encoder_vqkd.*", "decoder_vqkd.*", "*task_layer.*", "*_vqkd.*", "quantize.*")
    return filled(codec, names, weights, unread=semantic)


def vila_u_painter(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> nn.Sequential:
    """What paints the sums of VILA-U's codes, as they lie in the picture; the file keeps it under `rqvaesiglip.`."""
    coarse = [level for level in range(len(config["ch_mult"])) if config["dec_resolution"] >> level in config["attn_resolutions"]]
    features = weights["post_quant_conv.weight"].shape[0]
    decoder, project = nets(config, features, coarse)["decoder"], nn.Conv2d(weights["post_quant_conv.weight"].shape[1], features, 1)
    names = {name.replace("decoder", "1", 1): row for name, row in net(decoder, "decoder", TAMING).items()}
    mine = {name: weight for name, weight in weights.items() if name.startswith(("decoder.", "post_quant_conv."))}
    return filled(nn.Sequential(project, decoder), {**names, "0": AROUND["from_latents"]}, mine)
