"""Names of JanusFlow's weights: Llama's, an eye and the place in front of it, and ConvNeXts around the trunk."""

from tessera.hub.names import Names, shaped, under

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
