"""Published VQGANs, and the nets of convolutions that picture latents have too: their names, in the layouts in which they are found."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from torch import nn

from tessera.codecs import VQ, VQGAN, ConvDecoder, ConvEncoder
from tessera.codecs.convolutions import ConvBlock, Downsample, SpatialAttention, Upsample
from tessera.hub.folder import Settings
from tessera.hub.names import KEPT, Names, Row, under

BLOCK: Names = {"steps.0": "norm1", "steps.2": "conv1", "steps.3": "norm2", "steps.5": "conv2", "shortcut": "nin_shortcut"}
ATTENTION: Names = {"norm": "norm", "qkv": ["q", "k", "v"], "out": "proj_out"}
ENDS: Names = {"stem": "conv_in", "head.0": "norm_out", "head.2": "conv_out"}
AROUND: Names = {"to_latents": "quant_conv", "from_latents": "post_quant_conv"}
INSIDE: Names = {"to_latents": "encoder.quant_conv", "from_latents": "decoder.post_quant_conv"}  # Show-o's
BOOK: Names = {"quantizer.book": "quantize.embedding.weight"}
REMEMBERED: Names = dict.fromkeys(("quantizer.members", "quantizer.sums", "quantizer.idle"), KEPT)  # while a codebook learns


class Layout(NamedTuple):
    """How weights of encoder and decoder are named: levels, blocks inside a level, the middle, and the order of decoder levels.

    Then what is named inside a block, an attention, at both ends; and the layers between levels.
    """

    encoder: str
    decoder: str
    block: str
    middle: tuple[str, str, str]
    finest_first: bool
    inside: Names = BLOCK
    attention: Names = ATTENTION
    ends: Names = ENDS
    between: tuple[str, str] = ("downsample", "upsample")


TAMING = Layout("down", "up", "block", ("mid.block_1", "mid.attn_1", "mid.block_2"), finest_first=True)  # also Show-o's and Orthus'
TRANSFORMERS = TAMING._replace(finest_first=False)  # of Janus
LLAMAGEN = Layout("conv_blocks", "conv_blocks", "res", ("mid.0", "mid.1", "mid.2"), finest_first=False)  # also Janus' own and TokenFlow's


def net(part: ConvEncoder | ConvDecoder, side: str, layout: Layout, *, ours: str = "") -> dict[str, Row]:
    """A whole encoder or decoder; `side` says which. `ours` is what it is called here, where that is something else."""
    ours = ours or side
    names = under(layout.ends, ours=ours, theirs=side)
    for i, (name, leaves) in enumerate(zip(layout.middle, (layout.inside, layout.attention, layout.inside), strict=True)):
        names |= under(leaves, ours=f"{ours}.middle.{i}", theirs=f"{side}.{name}")
    for i, level in enumerate(part.levels):
        number = len(part.levels) - 1 - i if side == "decoder" and layout.finest_first else i
        names |= _level(level, f"{ours}.levels.{i}", f"{side}.{getattr(layout, side)}.{number}", layout)
    return names


def _level(level: nn.Module, ours: str, theirs: str, layout: Layout) -> dict[str, Row]:
    """One level: its blocks and attentions are counted apart."""
    names: dict[str, Row] = {}
    blocks = attentions = 0
    for i, part in enumerate(level.children()):
        at = f"{ours}.{i}"
        if isinstance(part, ConvBlock):
            names |= under(layout.inside, ours=at, theirs=f"{theirs}.{layout.block}.{blocks}")
            blocks += 1
        elif isinstance(part, SpatialAttention):
            names |= under(layout.attention, ours=at, theirs=f"{theirs}.attn.{attentions}")
            attentions += 1
        else:
            assert isinstance(part, Downsample | Upsample)
            names |= under({"conv": "conv"}, ours=at, theirs=f"{theirs}.{layout.between[isinstance(part, Upsample)]}")
    return names


def vqgan(codec: VQGAN, layout: Layout, *, around: Names = AROUND) -> Names:
    """All of a codec's names; `around` are those of the layers that stand around the quantizer."""
    painter = net(codec.decoder, "decoder", layout) if codec.decoder is not None else {}
    return {**net(codec.encoder, "encoder", layout), **painter, **around, **BOOK, **REMEMBERED}


USUAL: Mapping[str, Any] = {
    "embed_dim": 256, "num_embeddings": 8192, "latent_channels": 256, "resolution": 512, "base_channels": 128,
    "channel_multiplier": (1, 1, 2, 2, 4), "num_res_blocks": 2, "attn_resolutions": None,
}  # fmt: skip
"""What a configuration of transformers means where it says nothing; Janus' differs, see there."""


def of_transformers(said: Settings, *, pixels: int, attended: Collection[int], normalized: bool = False, paints: bool = True) -> VQGAN:
    """The codec that a `vq_config` describes. `attended` levels, from the finest on, have attention."""
    said.refuse({"double_latent": False, "in_channels": 3, "out_channels": 3, "attn_type": "vanilla"})
    usual = {"features": said["latent_channels"], "channels": said["base_channels"], "multiples": said["channel_multiplier"]}
    depth = said["num_res_blocks"]
    return VQGAN(
        encoder=ConvEncoder(**usual, blocks=depth, attended=attended),
        decoder=ConvDecoder(**usual, blocks=depth + 1, attended=attended) if paints else None,
        quantizer=VQ(size=said["num_embeddings"], features=said["embed_dim"], normalized=normalized),
        pixels=pixels,
    )
