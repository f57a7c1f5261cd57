"""Show-o as it was published: Phi's trunk reads and writes text and codes of one vocabulary, the codes of MAGVIT-v2 beside it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import isqrt
from types import MappingProxyType
from typing import NamedTuple

import torch
from PIL import Image as Pillow
from torch import Tensor, nn

from tessera.attention import causal, within
from tessera.codecs import BPE, LFQ, VQGAN, ConvDecoder, ConvEncoder, Patches, Shifted
from tessera.document import Image
from tessera.drops import Instead
from tessera.hub.blueprint import Blueprint
from tessera.hub.eyes import behind
from tessera.hub.eyes import eye as eye_of
from tessera.hub.eyes import settings as eye_settings
from tessera.hub.folder import Folder, Settings, bare
from tessera.hub.language import TURNS, Language, activation, text_port
from tessera.hub.manners import Published, chat, token
from tessera.hub.markers import alone
from tessera.hub.names import Names, Part, Row, under
from tessera.hub.pictures import Fit, colours, cropped, upto
from tessera.hub.tensors import Stored
from tessera.hub.vqgan import INSIDE, TAMING, vqgan
from tessera.laws import Categorical, Sampling
from tessera.orders import Confident, Masked
from tessera.ports import Port, Takes
from tessera.readers import EyeReader, FramedReader, HiddenReader, TokenReader
from tessera.system import System
from tessera.trunk import MLP, ParallelBlock, Rotary, SelfAttention, Transformer
from tessera.writers import LinearWriter

PHI, TOKENIZER, EYE = "microsoft/phi-1_5", "showlab/magvitv2", "openai/clip-vit-large-patch14-336"  # what stands beside it
SPECIAL = ("[PAD]", "<|soi|>", "<|eoi|>", "<|sov|>", "<|eov|>", "<|t2i|>", "<|mmu|>", "<|t2v|>", "<|v2v|>", "<|lvg|>")
USUAL = {
    "w_clip_vit": False, "vocab_size": 58_498, "llm_vocab_size": 50_295, "codebook_size": 8192, "num_vq_tokens": 256,
    "num_new_special_tokens": len(SPECIAL),
}  # fmt: skip
TRUNK = {
    "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "num_attention_heads": 32, "num_key_value_heads": None,
    "hidden_act": "gelu_new", "layer_norm_eps": 1e-5, "rope_theta": 10_000.0, "partial_rotary_factor": 0.5, "rope_parameters": None,
}  # fmt: skip
CODEC = {"ch": 128, "z_channels": 13}
ENCODER = {**CODEC, "ch_mult": (1, 2, 2, 4, 4), "num_res_blocks": (4, 3, 4, 3, 4)}
DECODER = {**CODEC, "ch_mult": (1, 1, 2, 2, 4), "num_res_blocks": (4, 4, 3, 4, 3)}
ASKED = (
    "{% for message in messages %}{% if message.role == 'user' %}"
    "{% for part in message.content if part.type == 'image' %}<|soi|>{% endfor %}OPENUSER: "
    "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %} ASSISTANT:"
    "{% else %}{{ message.content[0].text }}{{ eos_token }}{% endif %}{% endfor %}"
)
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to "
    "the user's questions."
)
SAMPLING = Sampling(guidance=2.75, steps=18)  # theirs counts 1.75

HEAD: Names = {"out": "lm_head"}


def halves(heads: int, size: int, portion: float) -> Tensor:
    """Rows of queries or keys in the order of our rotary, which pairs a feature with that half a head on; theirs, half of what turns on."""
    pairs, turning = size // 2, int(size * portion) // 2
    first = torch.cat([torch.arange(turning), torch.arange(2 * turning, pairs + turning)])
    second = torch.cat([torch.arange(turning, 2 * turning), torch.arange(pairs + turning, size)])
    return (torch.arange(heads)[:, None] * size + torch.cat([first, second])).flatten()


def trunk(heads: int, order: Tensor, one: Tensor) -> Names:
    """The names of a trunk; `order` is that of the rows of queries and keys of all heads, `one` of a single one."""
    proj = lambda name, rows=None: Part(f"layers.*.self_attn.{name}_proj", rows)
    return {
        "norm": "final_layernorm",
        "blocks.*.norm": "layers.*.input_layernorm",
        "blocks.*.attention.qkv": Row((proj("q", order), proj("k", order), proj("v"))),
        "blocks.*.attention.q_norm": Row((Part("layers.*.self_attn.q_layernorm", one),)),
        "blocks.*.attention.k_norm": Row((Part("layers.*.self_attn.k_layernorm", one),)),
        "blocks.*.attention.out": "layers.*.self_attn.dense",
        "blocks.*.mlp.up": "layers.*.mlp.fc1",
        "blocks.*.mlp.down": "layers.*.mlp.fc2",
    }


def show_o(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`Showo`, with pictures given as codes or through CLIP's eye. Phi's tokenizer, MAGVIT-v2 and CLIP are folders beside it.

    What stands in front of a picture and behind it belongs to it: it sees the picture.
    """
    said = Settings(folder.config, USUAL)
    spoken = folder.apart(PHI, numbers=False)
    text = Settings({**spoken.config, "vocab_size": said["vocab_size"]}, TRUNK, f"{spoken.path}, config.json,")
    speaker, of_trunk = phi(text)
    begin, end = (token(spoken, f"{one}_token", "<|endoftext|>") for one in ("bos", "eos"))
    words = text_port(spoken, speaker, alone(spoken, end), added=SPECIAL)
    assert isinstance(words.codec, BPE)
    begins, ends, asks = words.codec.encode(["<|soi|>", "<|eoi|>", "<|mmu|><|soi|>"]).clean

    first, mask = said["llm_vocab_size"] + said["num_new_special_tokens"], said["vocab_size"] - 1
    coder = folder.apart(TOKENIZER)
    codec = tokens_of(Settings(coder.config, where=f"{coder.path}, config.json,"), isqrt(said["num_vq_tokens"]))
    check(said, words.codec.size, first, mask, codec.quantizer.size)
    known = TokenReader(speaker.words.table, columns=codec.columns)
    squares = HiddenReader(FramedReader(known, speaker.words, before=begins.tolist(), behind=ends.tolist()), speaker.width)
    law, order = Categorical(allowed=range(first, mask), sampling=SAMPLING), Masked(steps=18, decide=Confident(compounds=True))
    codes = Shifted(codec, first=first)
    image = Port("image", Image, codec=codes, reader=squares, writer=speaker.head, order=order, law=law, takes=Takes.LEARNED)

    fit = cropped(codec.pixels, Pillow.Resampling.BICUBIC)
    framed = FramedReader(known, speaker.words, before=asks.tolist(), behind=ends.tolist())
    if said["w_clip_vit"]:
        looked = through_clip(folder, words.codec, speaker)
    else:
        looked = Looked(Port("seen", Image, codec=codes, reader=framed, takes=Takes.GIVEN), fit, f"{begin}USER: \n")
    names = {
        **under(of_trunk, ours="trunk", theirs="showo.model"),
        "by_name.text.reader.table": "showo.model.embed_tokens",
        "by_name.text.writer.out": "showo.lm_head",
        "by_name.image.reader.mask": Row((Part("showo.model.embed_tokens.weight", slice(mask, mask + 1)),), shaped=True),
        **under(vqgan(codec, TAMING, around=INSIDE), ours="by_name.image.codec.codec", theirs=bare(TOKENIZER)),
        **looked.names,
    }
    rule, drop = causal | within(image) | within(looked.port), Instead(f"<|t2i|>{begin}{end}")
    system = System("show_o", trunk=speaker.trunk, ports=(words, image, looked.port), attention=rule, drop=drop)
    spoken_to = chat(spoken, ASKED.replace("OPENUSER: ", looked.opens), picture="<|soi|>", behind=end, plain=True)
    manners = Published(replace(spoken_to, ahead=f"<|t2i|>{begin}", special=spoken_to.special | set(SPECIAL)), looked.fit, fit)
    parts = {bare(PHI): spoken, bare(TOKENIZER): coder, **looked.parts}
    return Blueprint(system, names, (*TURNS, f"{bare(TOKENIZER)}.quantize.*", *looked.unread), manners=manners, parts=parts)


class Looked(NamedTuple):
    """How given pictures are read: their port, its rule, and how a user begins; names, what of them is not read, and where they are."""

    port: Port
    fit: Fit
    opens: str
    names: Names = MappingProxyType({})
    unread: tuple[str, ...] = ()
    parts: Mapping[str, Folder] = MappingProxyType({})


def through_clip(folder: Folder, bpe: BPE, speaker: Language) -> Looked:
    """CLIP's eye and a projector, behind the task's token and what is said of the assistant."""
    seen, clip = folder.apart(EYE), bare(EYE)
    tower = f"{clip}.vision_model"
    said = eye_settings(seen.config.get("vision_config") or {}, f"{seen.path}, config.json, vision_config,")
    eye, of_eye = eye_of(said, layer=-2)
    projector = nn.Sequential(nn.Linear(eye.width, speaker.width), nn.GELU(), nn.Linear(speaker.width, speaker.width))
    before = bpe.encode([f"<|mmu|>{SYSTEM}<|soi|>"]).clean[0].tolist()
    reader = FramedReader(EyeReader(eye, projector), speaker.words, before=before)
    port = Port("seen", Image, codec=Patches(pixels=eye.pixels, patch=eye.patch, **colours(seen)), reader=reader, takes=Takes.GIVEN)
    names: Names = {
        **under(of_eye, ours="by_name.seen.reader.inner.eye", theirs=tower),
        "by_name.seen.reader.inner.projector.*": "mm_projector.*",
    }
    idle = (f"{clip}.{name}" for name in ("text_model.*", "*projection.weight", "logit_scale"))
    unread = (*behind(eye, said, tower), *idle, "*position_ids")
    fit = upto(eye.pixels, cropped(said["image_size"], Pillow.Resampling.BICUBIC))
    return Looked(port, fit, "<|eoi|>USER: ", names, unread, {clip: seen})


def check(said: Settings, words: int, first: int, mask: int, codes: int) -> None:
    """Raises ValueError where the vocabularies of text, codes and model do not fit each other."""
    if words != first or first + codes != mask:
        raise ValueError(
            f"hub: {said.where} has codes from id {first} to the mask, {mask}; there are {words} ids of text and markers and {codes} "
            f"codes; the tokenizers of {PHI} and {TOKENIZER} are accepted; fetch them again"
        )


def phi(said: Settings) -> tuple[Language, Names]:
    """The language model and the names of its trunk: Phi's, with queries and keys normed."""
    width, heads, eps = said["hidden_size"], said["num_attention_heads"], said["layer_norm_eps"]
    said.refuse({"num_key_value_heads": heads, "rope_scaling": None})
    told = {**{name: said[name] for name in ("rope_theta", "partial_rotary_factor")}, **(said["rope_parameters"] or {})}
    size, portion = width // heads, told["partial_rotary_factor"]
    attention = partial(SelfAttention, width, heads, qk_norm=partial(nn.LayerNorm, eps=eps), bias=True)
    mlp = partial(MLP, width, said["intermediate_size"], activation=activation(said, "hidden_act"))
    blocks = [ParallelBlock(nn.LayerNorm(width, eps), attention(), mlp()) for _ in range(said["num_hidden_layers"])]
    made = Transformer(blocks, norm=nn.LayerNorm(width, eps), rotary=Rotary(size, theta=told["rope_theta"], portion=portion))
    words, head = TokenReader(nn.Embedding(said["vocab_size"], width)), LinearWriter(width, said["vocab_size"], bias=True)
    return Language(made, words, head, said), trunk(heads, halves(heads, size, portion), halves(1, size, portion))


def tokens_of(said: Settings, columns: int) -> VQGAN:
    """MAGVIT-v2 for pictures of so many columns of codes."""
    of_encoder, of_decoder = said.part("encoder", ENCODER), said.part("decoder", DECODER)
    for one in (of_encoder, of_decoder):
        one.refuse({"double_z": False, "in_ch": 3, "out_ch": 3})
    sizes = lambda one: {"features": one["z_channels"], "channels": one["ch"], "multiples": one["ch_mult"], "blocks": one["num_res_blocks"]}
    encoder, decoder = ConvEncoder(**sizes(of_encoder)), ConvDecoder(**sizes(of_decoder))
    return VQGAN(encoder=encoder, decoder=decoder, quantizer=LFQ(of_encoder["z_channels"]), pixels=columns * encoder.stride)
