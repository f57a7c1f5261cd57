"""Emu3 as it was published, in transformers' layout: text and pictures as tokens of one vocabulary, a token behind every row."""

from collections.abc import Mapping
from math import isqrt

from torch import nn

from tessera.codecs import VQ, ConvEncoder, FilmDecoder, FilmEncoder, FilmVQGAN, Lines, Shifted, ToldDecoder
from tessera.codecs.convolutions import ConvBlock, SpatialAttention, Upsample
from tessera.codecs.films import ToldAttention, ToldBlock
from tessera.document import Image
from tessera.drops import Instead
from tessera.hub.blueprint import Blueprint
from tessera.hub.folder import Folder, Settings
from tessera.hub.language import TURNS, language, named, text_port, tied, under_one_of
from tessera.hub.language import USUAL as LANGUAGES
from tessera.hub.manners import Published, chat, token
from tessera.hub.markers import ids_of, markers, tokenizer
from tessera.hub.names import Names, Row, row, shaped, under
from tessera.hub.pictures import cropped, near, plain, processing, resample
from tessera.hub.tensors import Stored
from tessera.hub.vqgan import BLOCK, ENDS, REMEMBERED
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.ports import Port, Takes
from tessera.readers import RowReader, TokenReader
from tessera.system import System

USUAL = {
    **LANGUAGES["llama"], "vocab_size": 184_622, "intermediate_size": 14_336, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
    "rope_theta": 1e6, "bos_token_id": 151_849, "eos_token_id": 151_850,
}  # fmt: skip
CODEC = {
    "codebook_size": 32_768, "embed_dim": 4, "latent_channels": 4, "temporal_downsample_factor": 4, "base_channels": 256,
    "channel_multiplier": (1, 2, 2, 4), "num_res_blocks": 2, "attn_resolutions": (3,), "hidden_size": 1024,
}  # fmt: skip
AREA = 518_400  # pixels of a drawing, where nothing else is said
LEAST, MOST = 512 * 512, 1024 * 1024  # pixels of a picture that is given
DOCUMENT, BEGIN, FROM_HERE, ROW, LAST, END = (
    "<|extra_203|>",
    "<|image start|>",
    "<|image token|>",
    "<|extra_200|>",
    "<|extra_201|>",
    "<|image end|>",
)
TEMPLATE = (
    "You are a helpful assistant.{% for message in messages %}{{ ' USER: ' if message.role == 'user' else ' ASSISTANT:' }}"
    "{% for part in message.content %}{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}"
    "{{ '.' if message.role == 'user' }}{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)
WANTED = " masterpiece, film grained, best quality."
UNWANTED = (
    "lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, fewer digits, cropped, worst quality, low quality, normal "
    "quality, jpeg artifacts, signature, watermark, username, blurry."
)

TOLD_NORM: Names = {"norm": "norm_layer", "scale": "conv_y", "shift": "conv_b"}
TOLD_BLOCK: Names = {
    **under(TOLD_NORM, ours="norm1", theirs="norm1"),
    **under(TOLD_NORM, ours="norm2", theirs="norm2"),
    **{"conv1": "conv1", "conv2": "conv2", "shortcut": "nin_shortcut"},
}
TIMES: Names = {"steps.0": "norm1", "steps.2.conv": "conv1.conv", "steps.3": "norm2", "steps.5.conv": "conv2.conv"}


def emu3(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`Emu3ForConditionalGeneration`. A picture begins with its size in words; those that are drawn are squares of one size."""
    model = under_one_of(weights, "text_model.model", "model.text_model")
    head = "text_model.lm_head" if model == "text_model.model" else "lm_head"
    coder = under_one_of(weights, "vqmodel", "model.vqmodel")
    said = Settings(folder.config.get("text_config") or {}, USUAL, "config.json, text_config,")
    speaker = language(said, tied=tied(folder.config, said, weights, head))
    codec = tokens_of(Settings(folder.config.get("vq_config") or {}, CODEC, "config.json, vq_config,"), folder)
    size = f"{codec.columns}*{codec.columns}"
    marks = markers(folder, said, document=[DOCUMENT], begin_image=[BEGIN, size, FROM_HERE], end_image=[LAST, END])
    ids = codes(folder.config.get("vocabulary_map") or {}, codec.quantizer.size)
    spells = tokenizer(folder)
    (ended,) = ids_of(spells, ROW)
    words = text_port(folder, speaker, marks, beside=[*ids, ended])

    rows = RowReader(TokenReader(speaker.words.table), columns=codec.columns, end=ended)
    law = Categorical(allowed=ids, sampling=Sampling(top_k=2048, guidance=3.0))
    coded, takes = Shifted(codec, ids=ids), Takes.LEARNED
    image = Port("image", Image, codec=coded, reader=rows, writer=speaker.head, order=Next(), law=law, takes=takes)
    begins = lambda rows, columns: spells.encode(f"{BEGIN}{rows}*{columns}{FROM_HERE}", add_special_tokens=False).ids
    lines = Lines(coded, stride=codec.stride, begins=begins, ended=ended, ends=marks.end_image)
    seen = Port("seen", Image, codec=lines, reader=speaker.words, takes=Takes.GIVEN)
    names = {**named(model=model, head=head), **under(film_names(codec), ours="by_name.image.codec.codec", theirs=coder)}
    system = System("emu3", trunk=speaker.trunk, ports=(words, image, seen), attention=speaker.looks, drop=Instead(UNWANTED))
    plain(folder)
    words_around = chat(folder, TEMPLATE, picture=token(folder, "image_token", "<image>"), behind=WANTED, plain=True)
    told, how = processing(folder), resample(folder)
    fit = near(codec.stride, told.get("min_pixels", LEAST), told.get("max_pixels", MOST), how)
    manners = Published(words_around, fit, cropped(codec.pixels, how))
    return Blueprint(system, names, TURNS, lambda: _settle(codec), manners, {model: "model.text_model"})


def _settle(codec: FilmVQGAN) -> None:
    """What batch norms remember is of the precision that they work in."""
    assert isinstance(codec.quantizer, VQ)
    codec.quantizer.settle()
    for module in codec.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.to(module.weight.dtype)


def tokens_of(said: Settings, folder: Folder) -> FilmVQGAN:
    """The codec that a configuration describes."""
    said.refuse({"double_latent": False, "in_channels": 3, "out_channels": 3, "num_attention_heads": 1})
    channels, multiples, depth = said["base_channels"], said["channel_multiplier"], said["num_res_blocks"]
    features, attended = said["latent_channels"], tuple(said["attn_resolutions"])
    halvings = said["temporal_downsample_factor"].bit_length() - 1
    usual = {"features": features, "channels": channels, "multiples": multiples, "attended": attended}
    encoder = FilmEncoder(ConvEncoder(**usual, blocks=depth), halvings=halvings, blocks=depth)
    decoder = FilmDecoder(ToldDecoder(**usual, told=said["embed_dim"], blocks=depth + 1), doublings=halvings, blocks=depth)
    quantizer = VQ(size=said["codebook_size"], features=said["embed_dim"])
    told = processing(folder)
    area = min(max(AREA, told.get("min_pixels", 0)), told.get("max_pixels", AREA))
    stride = encoder.frames.stride
    return FilmVQGAN(encoder=encoder, decoder=decoder, quantizer=quantizer, pixels=isqrt(area) // stride * stride)


def codes(vocabulary: Mapping[str, int], size: int) -> list[int]:
    """The id of every code. Raises ValueError where the vocabulary leaves one out."""
    names = [f"<|visual token {code:06d}|>" for code in range(size)]
    missing = [name for name in names if name not in vocabulary]
    if missing:
        raise ValueError(
            f"hub: vocabulary_map in config.json lacks {len(missing)} of {size} codes; a whole map is accepted; fetch it again"
        )
    return [vocabulary[name] for name in names]


# ---------------------------------------------------------------- names of the codec


def attention(theirs: str, norm: str, of_norm: Names) -> dict[str, Row]:
    """Attention over a grid: linear layers where ours are convolutions of single cells, and a norm that stands apart."""
    names = under(of_norm, ours="norm", theirs=norm) if of_norm else {"norm": row(norm)}
    for kind in ("weight", "bias"):
        names[f"qkv.{kind}"] = shaped(*(f"{theirs}.{one}_proj.{kind}" for one in "qkv"))
        names[f"out.{kind}"] = shaped(f"{theirs}.out_proj.{kind}")
    return names


def level_names(level: nn.Module, ours: str, theirs: str, told: bool) -> dict[str, Row]:
    """One level: its blocks and attentions are counted apart."""
    names: dict[str, Row] = {}
    blocks = attentions = 0
    for i, part in enumerate(level.children()):
        at = f"{ours}.{i}"
        if isinstance(part, ConvBlock | ToldBlock):
            names |= under(TOLD_BLOCK if told else BLOCK, ours=at, theirs=f"{theirs}.block.{blocks}")
            blocks += 1
        elif isinstance(part, SpatialAttention | ToldAttention):
            inner = attention(f"{theirs}.attn.{attentions}", f"{theirs}.attn_norms.{attentions}", TOLD_NORM if told else {})
            names |= under(inner, ours=at)
            attentions += 1
        else:
            names[f"{at}.conv"] = row(f"{theirs}.{'up' if isinstance(part, Upsample) else 'down'}sample.conv")
    return names


def middle_names(ours: str, theirs: str, told: bool) -> dict[str, Row]:
    """What stands at the coarsest level."""
    names = under(attention(f"{theirs}.attn_1", f"{theirs}.attn_norm", TOLD_NORM if told else {}), ours=f"{ours}.1")
    for i, name in ((0, "block_1"), (2, "block_2")):
        names |= under(TOLD_BLOCK if told else BLOCK, ours=f"{ours}.{i}", theirs=f"{theirs}.{name}")
    return names


def film_names(codec: FilmVQGAN) -> Names:
    """All of a codec's names."""
    encoder, painter = codec.encoder.frames, codec.decoder.painter
    names = under(ENDS, ours="encoder.frames", theirs="encoder") | middle_names("encoder.frames.middle", "encoder.middle_block", False)
    for i, level in enumerate(encoder.levels):
        names |= level_names(level, f"encoder.frames.levels.{i}", f"encoder.down_block.down.{i}", False)
    names |= middle_names("decoder.painter.middle", "decoder.middle_block", True)
    for i, level in enumerate(painter.levels):
        finest_first = len(painter.levels) - 1 - i
        names |= level_names(level, f"decoder.painter.levels.{i}", f"decoder.up_block.up.{finest_first}", True)
    names |= under(TOLD_NORM, ours="decoder.painter.norm", theirs="decoder.norm_out")
    names |= under({"stem": "conv_in", "out": "conv_out"}, ours="decoder.painter", theirs="decoder")
    names |= under({"halvings.*.conv": "time_conv.*.conv.conv"}, ours="encoder", theirs="encoder")
    names |= under({"doublings.*.conv": "time_conv.*.conv.conv"}, ours="decoder", theirs="decoder")
    for side in ("encoder", "decoder"):
        names |= under(TIMES, ours=f"{side}.blocks.*", theirs=f"{side}.time_res_stack.*")
    ends = {"to_latents.conv": "quant_conv.conv", "from_latents.conv": "post_quant_conv.conv"}
    return {**names, **ends, "quantizer.book": "quantize.embedding.weight", **REMEMBERED}
