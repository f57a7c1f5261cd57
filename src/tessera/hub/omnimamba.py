"""OmniMamba as it was published: Mamba-2 with adapters by task, two eyes for what is shown, and codes of their own for what is drawn."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import isqrt

from PIL import Image as Pillow
from tokenizers import Tokenizer
from torch import nn

from tessera import vision
from tessera.attention import causal
from tessera.codecs import BPE, VQ, VQGAN, ConvDecoder, ConvEncoder, Patches
from tessera.document import Image
from tessera.hub.blueprint import Blueprint
from tessera.hub.eyes import DINO, TIMM
from tessera.hub.folder import Folder, Settings, bare
from tessera.hub.language import Words, text_port
from tessera.hub.manners import Published, chat
from tessera.hub.markers import alone
from tessera.hub.names import Names, shaped, under
from tessera.hub.pictures import covered, cropped
from tessera.hub.tensors import Stored
from tessera.hub.vqgan import LLAMAGEN, vqgan
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.perceptron import perceptron
from tessera.ports import Port, Takes
from tessera.readers import EyeReader, FramedReader, TokenReader
from tessera.system import System
from tessera.trunk import Entry, Mamba, MambaBlock, Mixer, TaskFront, TaskLoRA
from tessera.writers import LinearWriter

WORDS, END = "EleutherAI/gpt-neox-20b", "<|endoftext|>"
SPECIAL = ("[PAD]", "<|soi|>", "<|eoi|>", "<|sot|>", "<|eot|>", "<|t2i|>", "<|mmu|>", "<|soc|>", "<|eoc|>", "<|lvg|>")
USUAL = {
    "d_model": 2048, "n_layer": 48, "vocab_size": 50_288, "vqvae_vocab_size": 16_384, "num_tokens": 256, "d_state": 128, "headdim": 64,
    "expand": 2, "d_conv": 4, "ngroups": 1, "lora_rank": 8, "lora_alpha": 32, "norm_eps": 1e-5, "mmu_positions": 1500, "prompt": 68,
}  # fmt: skip
CODEC = {"channels": 128, "multiples": (1, 1, 2, 2, 4), "blocks": 2, "features": 256, "code": 8}
EYES = {"pixels": 384, "patch": 14}
DINO_SIZES = {"width": 1024, "depth": 24, "heads": 16}
SIGLIP_SIZES = {"width": 1152, "depth": 27, "heads": 16, "hidden": 4304}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "spread": (0.229, 0.224, 0.225)}  # of the colours that DINO is shown
AROUND = 4  # ids around a prompt: the task, what begins and ends a text, what begins a picture
ASKED = (
    "{% for message in messages %}{% if message.role == 'user' %}"
    "{% for part in message.content if part.type == 'image' %}<|soc|>{% endfor %}USER: "
    "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %} ASSISTANT:"
    "{% else %}{{ message.content[0].text }}{{ eos_token }}{% endif %}{% endfor %}"
)

TASKS = ("mmu", "t2i")  # which adapter is which, in the order of ours
TRUNK: Names = {
    "norm": "norm_f",
    "blocks.*.norm": "layers.*.norm",
    "blocks.*.mixer.log_decay": "layers.*.mixer.A_log",
    "blocks.*.mixer.skip": "layers.*.mixer.D",
    "blocks.*.mixer.conv": "layers.*.mixer.conv1d",
    "blocks.*.mixer.step_bias": "layers.*.mixer.dt_bias",
    "blocks.*.mixer.into.linear": "layers.*.mixer.in_proj",
    **{f"blocks.*.mixer.into.down.{i}": f"layers.*.mixer.in_proj.{task}_lora_A0" for i, task in enumerate(TASKS)},
    **{f"blocks.*.mixer.into.up.{i}": f"layers.*.mixer.in_proj.{task}_lora_B0" for i, task in enumerate(TASKS)},
    "blocks.*.mixer.into": "layers.*.mixer.in_proj",
    "blocks.*.mixer.norm": "layers.*.mixer.norm",
    "blocks.*.mixer.out": "layers.*.mixer.out_proj",
}
"""Without adapters it is Mamba-2's."""

CODES: Names = {"*": "img_embeddings.project_in.projector.*"}
CAPTIONS: Names = {"0": "caption_embed.cap_proj.fc1", "2": "caption_embed.cap_proj.fc2"}
FRONT: Names = {
    "positions.0.weight": shaped("mmu_pos_embed"),
    "positions.1.weight": shaped("pos_embed"),
    **under(CAPTIONS, ours="project.1"),
}
EYE = "vision_backbone"
LANGUAGE = "llm_backbone.mamba"


def omnimamba(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`OmniMamba`. What stands around a picture that is shown belongs to it, what stands around a prompt of one is said by the template."""
    said = Settings(folder.config, USUAL)
    parts = {} if (folder.path / "tokenizer.json").is_file() else {bare(WORDS): folder.apart(WORDS, numbers=False)}
    spoken = parts.get(bare(WORDS), folder)
    speaker = language(said, tied=f"{LANGUAGE}.lm_head.weight" not in weights)
    words = text_port(spoken, speaker, alone(spoken, END), added=SPECIAL)
    assert isinstance(words.codec, BPE)
    before, behind = words.codec.encode(["<|mmu|><|soi|>", "<|eoi|><|sot|>"]).clean
    fitting(said, words.codec.size)

    two, of_eyes = eyes(said.part("eyes", EYES))
    sees = EyeReader(two, perceptron(two.width, 4 * two.width, said["d_model"], said["d_model"]))
    framed = FramedReader(sees, speaker.words, before=before.tolist(), behind=behind.tolist())
    shown = Port("eye", Image, codec=Patches(pixels=two.pixels, patch=two.patch), reader=framed, takes=Takes.GIVEN)
    codec = coding(said)
    image = drawing(said, codec, tied=f"{LANGUAGE}.img_head.weight" not in weights)
    system = System("omnimamba", trunk=trunk(said, words, image), ports=(words, image, shown), attention=causal)
    names: Names = {
        **under(TRUNK, ours="trunk", theirs=f"{LANGUAGE}.backbone"),
        **under(FRONT, ours="trunk.front", theirs=f"{LANGUAGE}.backbone"),
        "by_name.text.reader.table": f"{LANGUAGE}.backbone.embedding",
        "by_name.text.writer.out": f"{LANGUAGE}.lm_head",
        "by_name.image.reader.table": f"{LANGUAGE}.backbone.img_embeddings.word_embeddings",
        **under(CODES, ours="by_name.image.reader.adaptor", theirs=f"{LANGUAGE}.backbone"),
        "by_name.image.writer.out": f"{LANGUAGE}.img_head",
        **under(vqgan(codec, LLAMAGEN), ours="by_name.image.codec", theirs="llm_backbone.vqvae"),
        **under(of_eyes, ours="by_name.eye.reader.inner.eye", theirs=EYE),
        "by_name.eye.reader.inner.projector.*": "projector.projector.*",
    }

    def ready() -> None:
        assert isinstance(codec.quantizer, VQ)
        codec.quantizer.settle()
        tie(speaker.words.table, speaker.head)
        assert isinstance(image.reader, TokenReader) and isinstance(image.writer, LinearWriter)
        tie(image.reader.table, image.writer)

    spoken_to = manners(said, spoken, words.codec.tokenizer, two.pixels, codec.pixels)
    return Blueprint(system, names, unread(two), ready, spoken_to, parts=parts)


def language(said: Settings, *, tied: bool) -> Words:
    """What reads and writes ids of text."""
    width, size = said["d_model"], said["vocab_size"]
    table = nn.Embedding(size, width)
    return Words(TokenReader(table), LinearWriter(width, size, tied=table if tied else None), said)


def drawing(said: Settings, codec: VQGAN, *, tied: bool) -> Port:
    """The port of pictures that are drawn: codes with a table, a projector and a head of their own, the likeliest one always."""
    width, size = said["d_model"], said["vqvae_vocab_size"]
    table = nn.Embedding(size, width)
    reader = TokenReader(table, columns=codec.columns, adaptor=perceptron(width, 4 * width, width, width))
    writer = LinearWriter(width, size, tied=table if tied else None)
    law = Categorical(allowed=range(size), sampling=Sampling(temperature=0.0))
    return Port("image", Image, codec=codec, reader=reader, writer=writer, order=Next(), law=law, takes=Takes.LEARNED)


def trunk(said: Settings, words: Port, image: Port) -> Mamba:
    """Mamba-2; its adapters, positions, and how text is read, are those of what is about to be written."""
    width = said["d_model"]
    project = partial(TaskLoRA, tasks=((words,), (image,)), rank=said["lora_rank"], alpha=said["lora_alpha"])
    sizes = {
        "expand": said["expand"],
        "head": said["headdim"],
        "state": said["d_state"],
        "groups": said["ngroups"],
        "reach": said["d_conv"],
    }
    norm = lambda: nn.RMSNorm(width, eps=said["norm_eps"])
    telling = Entry((words,), nn.Embedding(said["mmu_positions"], width))
    asks = perceptron(width, width, width, bias=False, approximate="tanh")
    asking = Entry((image,), nn.Embedding(said["num_tokens"] + said["prompt"] + AROUND + 1, width), (words,), asks)
    blocks = [MambaBlock(norm(), Mixer(width, **sizes, project=project)) for _ in range(said["n_layer"])]
    return Mamba(blocks, norm=norm(), front=TaskFront([telling, asking]))


def coding(said: Settings) -> VQGAN:
    """LlamaGen's codec."""
    told = said.part("vqvae", CODEC)
    coarsest = len(told["multiples"]) - 1
    sizes = {"features": told["features"], "channels": told["channels"], "multiples": told["multiples"], "attended": (coarsest,)}
    encoder, decoder = ConvEncoder(**sizes, blocks=told["blocks"]), ConvDecoder(**sizes, blocks=told["blocks"] + 1)
    quantizer = VQ(size=said["vqvae_vocab_size"], features=told["code"], normalized=True)
    return VQGAN(encoder=encoder, decoder=decoder, quantizer=quantizer, pixels=isqrt(said["num_tokens"]) * encoder.stride)


def eyes(said: Settings) -> tuple[vision.TwoEyes, Names]:
    """DINOv2's and SigLIP's, each read behind the last block but one; what whole squares do not cover of a picture is not seen."""
    patch = said["patch"]
    sizes = {"pixels": said["pixels"] // patch * patch, "patch": patch}
    dino, siglip = said.part("dino", DINO_SIZES), said.part("siglip", SIGLIP_SIZES)
    first = vision.dino(**sizes, **{name: dino[name] for name in DINO_SIZES})
    second = vision.siglip(**sizes, **{name: siglip[name] for name in SIGLIP_SIZES} | {"depth": siglip["depth"] - 1})
    second.after = nn.Identity()
    names = {**under(DINO, ours="first", theirs="dino_featurizer"), **under(TIMM, ours="second", theirs="siglip_featurizer")}
    return vision.TwoEyes(first, second, **IMAGENET), names


def unread(two: vision.TwoEyes) -> tuple[str, ...]:
    """Of the eyes, what stands behind the block where they are read."""
    last = lambda name, eye: (f"{EYE}.{name}.blocks.{len(eye.blocks)}.*", f"{EYE}.{name}.norm.*", f"{EYE}.{name}.attn_pool.*")
    return (*last("dino_featurizer", two.first), *last("siglip_featurizer", two.second), "llm_backbone.vqvae.quantize.codebook_used")


def fitting(said: Settings, words: int) -> None:
    """Raises ValueError where the vocabulary has more ids than the model."""
    if words > said["vocab_size"]:
        raise ValueError(
            f"hub: {said.where} has {said['vocab_size']} ids, and its tokenizer {words} with its markers; that of {WORDS} is accepted"
        )


def tie(table: nn.Embedding, head: LinearWriter) -> None:
    """Table and head are one. Raises ValueError where the file has two."""
    if head.out.weight is not table.weight and not head.out.weight.equal(table.weight):
        raise ValueError("hub: a head of OmniMamba is not its table; heads that are tied are accepted; load it with another library")
    head.out.weight = table.weight


def manners(said: Settings, folder: Folder, made: Tokenizer, seen: int, drawn: int) -> Published:
    """Prompts of pictures are filled up to one length; pictures that are shown are scaled, and lose what whole squares do not cover."""
    words = chat(folder, ASKED, picture="<|soc|>", behind="<|eot|><|soi|>", plain=True)
    side = said.part("eyes", EYES)["pixels"]
    words = replace(words, ahead="<|t2i|><|sot|>", filled=partial(filled, made, said["prompt"]), special=words.special | set(SPECIAL))
    return Published(words, covered(side, seen, Pillow.Resampling.BICUBIC), cropped(drawn, Pillow.Resampling.BICUBIC))


def filled(made: Tokenizer, length: int, text: str) -> str:
    """The text with padding in front, so that it has so many ids; what is longer is cut."""
    coded = made.encode(text, add_special_tokens=False)
    if len(coded.ids) > length:
        return text[: coded.offsets[length - 1][1]]
    return "[PAD]" * (length - len(coded.ids)) + text
