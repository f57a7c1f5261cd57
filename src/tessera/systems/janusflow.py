"""JanusFlow: an eye for the pictures it looks at and a flow for those it draws, in one causal trunk.

Source: Ma et al. 2024, arXiv:2411.07975, section 3. Text is read and written. Pictures are drawn as latents on a straight path from noise,
all at once, through shallow nets of convolutions on both sides of the trunk, which looks back only; given ones, and those just drawn, are
read by an eye. The trunk is taught to see in its drawing what the eye would see (`alignment`).
Differs: a stage of text stands for the pretrained language model; the VAE sees each square alone, and it and the eye learned on the world;
markers begin pictures, in front of the time and of what the eye sees; queries and keys are normed; mixes are Chameleon's, pictures' losses
weigh fivefold; the eye opens a stage earlier; times lean to the noise (`shift`). 4.8 M parameters. Command: `tessera train janusflow`.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tessera import parts
from tessera.attention import causal
from tessera.clocks import Clock
from tessera.codecs import BPE, Patches
from tessera.document import Image, Task, Text
from tessera.drops import Hidden
from tessera.extras import Extra
from tessera.laws import Categorical, Regression, Sampling
from tessera.orders import InPlace, Next
from tessera.paths import leaning
from tessera.perceptron import perceptron
from tessera.ports import Port, Takes
from tessera.readers import EyeReader, GridReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.unets import ConvNeXtDown, ConvNeXtUp
from tessera.writers import GridWriter, LinearWriter

PAPER = {"width": 2048, "depth": 24, "heads": 16, "channels": 768, "pixels": 384, "vae": (512, 4, 8, 2), "look": (1024, 24, 16)}
TINY = {"width": 32, "depth": 2, "heads": 2, "channels": 16, "vae": (16, 4, 8, 1), "look": (32, 1, 2)}
PRESETS = {"tiny": TINY, "paper": {**PAPER, "shift": 1.0}}


def janusflow(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    channels: int = 64,
    pixels: int = 32,
    vae: Sequence = (64, 16, 8, 1),
    look: Sequence = (128, 3, 4),
    shift: float = 3.0,
) -> System:
    """Build JanusFlow. `channels` is the nets' width; `vae` is as Transfusion's, `look` as Janus'."""
    bpe, norm = BPE(), lambda: nn.RMSNorm(width)
    words, law = TokenReader(nn.Embedding(bpe.size, width), scale=width**0.5), Categorical(allowed=bpe.writable, sampling=Sampling(0.0))
    text = Port("text", Text, codec=bpe, reader=words, writer=LinearWriter(width, bpe.size, tied=words.table), order=Next(), law=law)
    codec, learn_codec = parts.latents(pixels=pixels, channels=vae[0], features=vae[1], stride=vae[2], patch=vae[3])
    features, columns, squares = codec.features, codec.columns, Patches(pixels=pixels, patch=codec.patch * codec.stride)
    seen, learn_eye = parts.eye(pixels=pixels, patch=squares.patch, width=look[0], depth=look[1], heads=look[2])
    given = EyeReader(seen, nn.Linear(seen.width, width))
    sees = Port("eye", Image, codec=squares, reader=given, takes=Takes.AFTERWARDS)

    down, up = ConvNeXtDown(features, channels, width, patch=codec.patch), ConvNeXtUp(features, channels, width)
    reader = GridReader(down, width, clock=Clock(width), columns=columns, leading=True)
    writer, order = GridWriter(width, up, columns=columns, norm=norm()), InPlace(leaning(shift))
    flow = Regression(sampling=Sampling(guidance=2.0, steps=30))
    image = Port("image", Image, codec=codec, reader=reader, writer=writer, order=order, law=flow, takes=Takes.LEARNED)

    blocks = [Block(PreNorm(norm(), SelfAttention(width, heads, qk_norm=nn.RMSNorm)), PreNorm(norm(), SwiGLU(width))) for _ in range(depth)]
    trunk = Transformer(blocks, norm=norm(), rotary=Rotary(width // heads))
    head, point = perceptron(width, width, width, seen.width), blocks[(depth - 1) // 4].after_mlp
    alignment = Extra("alignment", port=image, point=point, codec=squares, teacher=seen, head=head)

    told = Stage("language", train=(trunk, words), documents=4_000, mix={Task.TEXT: 1.0}, batch=64, lr=4e-3)
    pairs, weights, emphasis = {Task.DRAW: 0.5, Task.CAPTION: 0.5}, {"image": 5.0}, {Task.QUESTION: 4.0}
    adapt = replace(told, name="adaptors", train=(reader, writer, given.projector, head), mix=pairs, weights=weights)
    opened = (trunk, words, seen, *adapt.train)
    unified = replace(adapt, name="unified", train=opened, documents=32_000, mix=parts.MIX, decay="constant", emphasis=emphasis)
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(unified, name="tuned", documents=50_000, mix=asked, decay="cosine", carry=True)
    stages, ports = (learn_eye, learn_codec, told, adapt, unified, tuned), (text, image, sees)
    return System("janusflow", trunk=trunk, ports=ports, attention=causal, stages=stages, drop=Hidden(), extras=(alignment,))
