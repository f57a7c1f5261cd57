"""Chameleon and Anole as they were published: text and pictures as tokens of one vocabulary."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from PIL import Image as Pillow

from tessera.codecs import VQ, VQGAN, Shifted
from tessera.document import Image
from tessera.drops import Absent
from tessera.hub.blueprint import Blueprint
from tessera.hub.folder import Folder, Settings
from tessera.hub.language import TURNS, Language, language, named, text_port, tied, transformer
from tessera.hub.language import USUAL as LANGUAGES
from tessera.hub.manners import Published, chat, token
from tessera.hub.markers import markers
from tessera.hub.names import Names, Part, Row, shaped, under
from tessera.hub.pictures import cropped, resample
from tessera.hub.tensors import Stored
from tessera.hub.vqgan import TAMING, of_transformers, vqgan
from tessera.hub.vqgan import USUAL as CODECS
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.ports import Port
from tessera.readers import TokenReader
from tessera.system import System
from tessera.trunk import HeadwiseLayerNorm, PreNorm, SwinNorm

USUAL = {**LANGUAGES["llama"], "vocab_size": 65_536, "num_key_value_heads": 32, "rms_norm_eps": 1e-5, "swin_norm": False}
BEGIN, END = "<racm3:break>", "<eoss>"  # of a picture
TEMPLATE = (  # a turn of the user's ends with a token of the vocabulary's reserve
    "{% for message in messages %}{% for part in message.content %}{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}"
    "{% if message.role == 'user' %}<reserved08706>{% endif %}{% endfor %}"
)
CODE = "IMGIMG"  # how the vocabulary calls codes: this, digits as letters, Z

NORMED: Names = {
    f"blocks.*.attention.inner.{one}_norm.{kind}": shaped(f"layers.*.self_attn.{one}_norm.{kind}")
    for one in "qk"
    for kind in ("weight", "bias")
}
"""The norms of queries and keys, which here are each head's own; the other names of the trunk are Llama's."""


def chameleon(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`ChameleonForConditionalGeneration`: it draws, too, which that class forbids it. What paints its codes is not in every file."""
    said = Settings(folder.config, USUAL)
    speaker = speaking(said, weights)
    ids = codes(folder.config.get("vocabulary_map") or {})
    words = text_port(folder, speaker, markers(folder, said, begin_image=[BEGIN], end_image=[END]), beside=ids)

    paints = any(name.startswith("model.vqmodel.decoder.") for name in weights)
    codec = coding(said, paints=paints)
    squares = TokenReader(speaker.words.table, columns=codec.columns)
    law = Categorical(allowed=ids, sampling=Sampling(temperature=0.7, top_p=0.9, guidance=3.0))
    image = Port("image", Image, codec=Shifted(codec, ids=ids), reader=squares, writer=speaker.head, order=Next(), law=law)

    names = {
        **under(NORMED, ours="trunk", theirs="model"),
        **named(model="model", head="lm_head"),
        **under(vqgan(codec, TAMING), ours="by_name.image.codec.codec", theirs="model.vqmodel"),
    }
    system = System("chameleon", trunk=speaker.trunk, ports=(words, image), attention=speaker.looks, drop=Absent())
    unread = (*TURNS, *(() if paints else ("model.vqmodel.post_quant_conv.*",)))
    assert isinstance(codec.quantizer, VQ)
    return Blueprint(system, names, unread, codec.quantizer.settle, manners(folder, codec.pixels))


def speaking(said: Settings, weights: Mapping[str, Stored]) -> Language:
    """The language model: Llama's, queries and keys normed head by head."""
    norms = partial(HeadwiseLayerNorm, said["num_attention_heads"]), partial(HeadwiseLayerNorm, said["num_key_value_heads"])
    trunk = transformer(said, qk_norm=norms, step=SwinNorm if said["swin_norm"] else PreNorm)
    return language(said, tied=tied(said.said, said, weights, "lm_head"), trunk=trunk)


def coding(said: Settings, *, paints: bool) -> VQGAN:
    """The codec of pictures."""
    told = said.part("vq_config", CODECS)
    pixels = told["resolution"]
    attended = [level for level in range(len(told["channel_multiplier"])) if pixels >> level in (told["attn_resolutions"] or ())]
    return of_transformers(told, pixels=pixels, attended=attended, paints=paints)


def manners(folder: Folder, pixels: int) -> Published:
    """A user's turn ends with a token of its own, pictures are cut."""
    words_around = chat(folder, TEMPLATE, picture=token(folder, "image_token", "<image>"))
    return Published(words_around, cropped(pixels, resample(folder, Pillow.Resampling.LANCZOS)))


def codes(vocabulary: Mapping[str, int]) -> Sequence[int]:
    """The id of every code. Raises ValueError where the vocabulary has none, or leaves some out."""
    digits = str.maketrans("ABCDEFGHIJ", "0123456789")
    found = {int(name.removeprefix(CODE)[:-1].translate(digits)): id for name, id in vocabulary.items() if name.startswith(CODE)}
    if not found or sorted(found) != list(range(len(found))):
        raise ValueError(f"hub: vocabulary_map in config.json names {len(found)} codes, not all of them; a whole map is accepted; fetch it")
    return [found[code] for code in range(len(found))]


def halves(heads: int, size: int) -> torch.Tensor:
    """Rows of queries or keys in the order of our rotary, which pairs a feature with the one half a head on, not with the next."""
    return torch.arange(heads * size).view(heads, size // 2, 2).transpose(1, 2).flatten()


def of_meta(heads: int, kv_heads: int, size: int) -> Names:
    """The names of a trunk in the layout of Meta's own files."""
    qkv = [
        Part("layers.*.attention.wq", halves(heads, size)),
        Part("layers.*.attention.wk", halves(kv_heads, size)),
        Part("layers.*.attention.wv"),
    ]
    normed = lambda one: Row((Part(f"layers.*.attention.{one}_normalization", halves(1, size)),))
    return {
        "norm": "norm",
        "blocks.*.attention.norm": "layers.*.attention_norm",
        "blocks.*.attention.inner.qkv": Row(tuple(qkv)),
        "blocks.*.attention.inner.q_norm": normed("q"),
        "blocks.*.attention.inner.k_norm": normed("k"),
        "blocks.*.attention.inner.out": "layers.*.attention.wo",
        "blocks.*.mlp.norm": "layers.*.ffn_norm",
        "blocks.*.mlp.inner.gate_up": ["layers.*.feed_forward.w1", "layers.*.feed_forward.w3"],
        "blocks.*.mlp.inner.down": "layers.*.feed_forward.w2",
    }
