"""D-DiT as it was published: a pipeline of Stable Diffusion 3's transformer with two more heads, its latents, and T5's encoder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from jaxtyping import UInt8
from PIL import Image as Pillow
from torch import Tensor, nn

from tessera.attention import everywhere
from tessera.clocks import Clock
from tessera.codecs import BPE, Canvas
from tessera.codecs.text import MarkerIds
from tessera.document import Document, Image, Task, Text
from tessera.drops import Instead
from tessera.hub.blueprint import Blueprint
from tessera.hub.folder import Folder, Settings
from tessera.hub.manners import token
from tessera.hub.markers import ids_of, tokenizer
from tessera.hub.names import Names, Part, Row, shaped, under
from tessera.hub.pictures import Fit, cropped
from tessera.hub.tensors import Stored, tensors
from tessera.hub.vae import PART, elements, latents, stride
from tessera.hub.vae import names as named_latents
from tessera.laws import Categorical, Regression, Sampling
from tessera.orders import InPlace, Masked, by_chance, linear
from tessera.paths import Flow
from tessera.ports import Port
from tessera.readers import T5, AdaptiveReader, EncodedReader, Middle
from tessera.system import System
from tessera.trunk import MLP, Block, Experts, PreNorm, SelfAttention, Transformer
from tessera.writers import AdaptedWriter, LinearWriter

PIPELINE = "JleeOfficial/dual_diff_sd3_512_base"
TRANSFORMER, ENCODER, TOKENIZER = "transformer", "text_encoder", "tokenizer"  # folders of the pipeline
MASK, END, LENGTH = "<extra_id_0>", "</s>", 256
USUAL = {
    "sample_size": 128, "patch_size": 2, "in_channels": 16, "num_layers": 18, "attention_head_dim": 64, "num_attention_heads": 18,
    "joint_attention_dim": 4096, "out_channels": 16, "pos_embed_max_size": 96,
}  # fmt: skip
READS = {"relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "feed_forward_proj": "gated-gelu"}
UNREAD = (f"{TRANSFORMER}.null_image_embd", f"{ENCODER}.*embed_tokens.weight", f"{ENCODER}.shared.weight")


def stream(number: int, width: int, *, norm: str, qkv: tuple[str, ...], out: str, mlp: str) -> Names:
    """The names of one of the two towers. What conditions say comes in six chunks there, shift, scale and gate of either step."""
    chunk = lambda i: slice(i * width, (i + 1) * width if i < 5 else None)
    said = lambda first: Row(tuple(Part(f"{norm}.linear", chunk(i)) for i in (first + 1, first, first + 2)))
    names: Names = {
        "attention.adapt": said(0),
        "mlp.adapt": said(3),
        "attention.inner.qkv": [f"attn.{name}" for name in qkv],
        "attention.inner.out": f"attn.{out}",
        "mlp.inner.up": f"{mlp}.net.0.proj",
        "mlp.inner.down": f"{mlp}.net.2",
    }
    return under(names, ours=f"trunk.towers.{number}.blocks.*", theirs="transformer_blocks.*")


def transformer(width: int, channels: int, patch: int) -> Names:
    """The names of all that stands in the transformer's folder."""
    clock = "time_text_embed.timestep_embedder"
    reader: Names = {
        "embed.weight": shaped("pos_embed.proj.weight"),
        "embed.bias": "pos_embed.proj.bias",
        "positions.rows": shaped("pos_embed.pos_embed"),
        "clock.up": f"{clock}.linear_1",
        "clock.out": f"{clock}.linear_2",
    }
    writer: Names = {
        "adapt": Row((Part("image_norm_out.linear", slice(width, None)), Part("image_norm_out.linear", slice(0, width)))),
        "out": Row((Part("image_proj_out", elements(patch, channels)),)),
    }
    return {
        **stream(0, width, norm="norm1_context", qkv=("add_q_proj", "add_k_proj", "add_v_proj"), out="to_add_out", mlp="ff_context"),
        **stream(1, width, norm="norm1", qkv=("to_q", "to_k", "to_v"), out="to_out.0", mlp="ff"),
        **under(reader, ours="by_name.image.reader"),
        **under(writer, ours="by_name.image.writer"),
        "by_name.text.reader.project": "context_embedder",
        "by_name.text.writer.out": "text_proj_out",
    }


def encoder(table: str) -> Names:
    """The names of T5's encoder, as transformers has it."""
    layer = "encoder.block.*.layer"
    return {
        "table": table,
        "distances.numbers": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
        "blocks.*.norms.0": f"{layer}.0.layer_norm",
        "blocks.*.norms.1": f"{layer}.1.layer_norm",
        "blocks.*.qkv": [f"{layer}.0.SelfAttention.{name}" for name in "qkv"],
        "blocks.*.out": f"{layer}.0.SelfAttention.o",
        "blocks.*.mlp.gate_up": [f"{layer}.1.DenseReluDense.wi_{i}" for i in range(2)],
        "blocks.*.mlp.down": f"{layer}.1.DenseReluDense.wo",
        "norm": "encoder.final_layer_norm",
    }


def t5(config: Mapping[str, Any]) -> T5:
    """The encoder of a configuration of transformers. Raises ValueError for others than those of version 1.1."""
    said = Settings(config, READS, f"{ENCODER}/config.json")
    for name, value in READS.items():
        if said[name] != value:
            raise ValueError(f"hub: {said.where} asks for {name} {said[name]!r}; {value!r} is accepted; load it with another library")
    sizes = {"depth": said["num_layers"], "heads": said["num_heads"], "size": said["d_kv"], "hidden": said["d_ff"]}
    return T5(said["vocab_size"], said["d_model"], **sizes, eps=config.get("layer_norm_epsilon", 1e-6))


@dataclass(frozen=True)
class Plain:
    """Pictures cut to a square, and words as they are: a prompt draws, a picture is described without a word, and nothing else is asked."""

    fit: Fit

    def picture(self, picture: UInt8[Tensor, "3 height wide"]) -> UInt8[Tensor, "3 ..."]:
        """The picture scaled and cut."""
        return self.fit(picture)

    drawing = picture

    def document(self, document: Document) -> Document:
        """The document as it is. Raises ValueError for questions, which the published code lets T5 read together with the answer."""
        for before, segment in zip(document, document.segments[1:], strict=False):
            if isinstance(before, Text) and isinstance(segment, Text) and segment.learn:
                raise ValueError(
                    "d_dit: a text is to go on from a text; descriptions of a picture alone are accepted; leave the question out"
                )
        return document


def d_dit(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`DualDiffSD3Pipeline`: draws from a text, and describes pictures, with the parts of its folder."""
    parts = {name: folder.apart(f"{PIPELINE}/{name}", within=name) for name in (TRANSFORMER, PART, ENCODER)}
    said = Settings(parts[TRANSFORMER].config, USUAL, f"{TRANSFORMER}/config.json")
    said.refuse({"qk_norm": None})
    width, place, patch = said["num_attention_heads"] * said["attention_head_dim"], parts[PART], said["patch_size"]
    codec = latents(place, pixels=said["sample_size"] * stride(place), patch=patch)
    if codec.channels != said["in_channels"] or codec.channels != said["out_channels"]:
        raise ValueError(
            f"hub: {said.where} asks for {said['in_channels']} channels in and {said['out_channels']} out, and latents have "
            f"{codec.channels}; one number is accepted; fetch all parts of one model"
        )
    text = text_port(folder, t5(parts[ENCODER].config), said, width)
    shift = folder.read("scheduler/scheduler_config.json").get("shift", 3.0)
    positions = Middle(said["pos_embed_max_size"], width, columns=codec.columns)
    image = Port(
        "image",
        Image,
        codec=codec,
        reader=AdaptiveReader(codec.features, width, clock=Clock(width), columns=codec.columns, positions=positions, together=True),
        writer=AdaptedWriter(width, codec.features, told=width),
        order=InPlace(Flow(shift=shift, least=shift * 0.001 / (1 + (shift - 1) * 0.001), backwards=True)),
        law=Regression(sampling=Sampling(guidance=7.0, steps=28)),
    )
    heard = tensors(parts[ENCODER])
    table = "encoder.embed_tokens" if heard and "shared.weight" not in heard else "shared"
    names = {
        **under(transformer(width, codec.channels, patch), theirs=TRANSFORMER),
        **under(encoder(table), ours="by_name.text.reader.encoder", theirs=ENCODER),
        **under(named_latents(codec, tensors(place)), ours="by_name.image.codec"),
    }
    system = System("d_dit", trunk=trunk(said, width, image), ports=(text, image), attention=everywhere, drop=Instead(""))
    manners = Plain(cropped(codec.pixels, Pillow.Resampling.BICUBIC))
    return Blueprint(system, names, UNREAD, manners=manners, within={TRANSFORMER: ""}, parts=parts, tasks=(Task.DRAW, Task.CAPTION))


def trunk(said: Settings, width: int, image: Port) -> Experts:
    """Two towers, of text and of pictures; both hear the picture's time."""
    norm = partial(nn.LayerNorm, width, eps=1e-6, elementwise_affine=False)
    step = partial(PreNorm, condition=width, gated=True, rest=0.0)
    attention = lambda: step(norm(), SelfAttention(width, said["num_attention_heads"], bias=True))
    mlp = lambda: step(norm(), MLP(width, activation=nn.GELU("tanh")))
    tower = lambda last: Transformer([Block(attention(), mlp()) for _ in range(said["num_layers"])], norm=last, rotary=None)
    return Experts((tower(norm()), tower(nn.Identity())), {image: 1}, told=image)


def text_port(folder: Folder, heard: T5, said: Settings, width: int) -> Port:
    """The port of text: T5's ids, on a canvas where they are learned, through T5's encoder."""
    inside = replace(folder, path=folder.path / TOKENIZER)
    (end,), (mask,), (pad,) = (ids_of(tokenizer(inside), one) for one in (END, MASK, token(inside, "pad_token", "<pad>")))
    bpe = BPE(inside.file("tokenizer.json"), markers=MarkerIds((), (), (), end), canvas=Canvas(LENGTH, LENGTH))
    read = EncodedReader(heard, width, mask=mask, pad=pad, length=LENGTH)
    law = Categorical(allowed=[id for id in range(said["vocab_size"]) if id != mask], only=True)
    order = Masked(schedule=linear, steps=64, decide=by_chance, bound=True)
    head = LinearWriter(width, said["vocab_size"], bias=True)
    return Port("text", Text, codec=bpe, reader=read, writer=head, order=order, law=law)
