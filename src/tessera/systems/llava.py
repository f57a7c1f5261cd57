"""LLaVA: an eye and a projector in front of a language model, which reads pictures and writes text alone.

Source: Liu et al. 2023, arXiv:2310.03744, section 3 (LLaVA-1.5). The projector is aligned first, on captions, and then tuned
together with the language model.
Differs: the eye is SigLIP's in shape and learned on the world (the paper preset has CLIP's, read at its last layer but one);
a stage of text stands for the pretrained language model; table and head are tied; queries and keys are normed; answers weigh
more in the loss; the eye, frozen there, is tuned too: a contrast of pictures and captions taught it little of places.
Command: `tessera train llava`.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tessera import parts, vision
from tessera.attention import causal
from tessera.codecs import BPE, Patches
from tessera.document import Image, Task, Text
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.perceptron import perceptron
from tessera.ports import Port, Takes
from tessera.readers import EyeReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import LinearWriter

PRESETS = {
    "tiny": {"width": 32, "depth": 2, "heads": 2, "look": (32, 1, 2)},
    "paper": {"width": 4096, "depth": 32, "heads": 32, "pixels": 336, "patch": 14, "look": (1024, 24, 16), "clip": True},
}


def llava(
    *,
    width: int = 192,
    depth: int = 5,
    heads: int = 6,
    pixels: int = 32,
    patch: int = 8,
    look: Sequence = (128, 3, 4),
    clip: bool = False,
    tokenizer: str | None = None,
) -> System:
    """Build LLaVA. `look` is the width, depth and heads of the eye; `clip` gives it CLIP's shape."""
    bpe = BPE(tokenizer)
    table = nn.Embedding(bpe.size, width)
    words, head = TokenReader(table, scale=width**0.5), LinearWriter(width, bpe.size, tied=table)
    law = Categorical(allowed=bpe.writable, sampling=Sampling(temperature=0.0))
    text = Port("text", Text, codec=bpe, reader=words, writer=head, order=Next(), law=law)

    shape = vision.clip if clip else vision.siglip
    seen, learn_eye = parts.eye(pixels=pixels, patch=patch, width=look[0], depth=look[1], heads=look[2], shape=shape)
    projector = perceptron(seen.width, width, width)
    image = Port("image", Image, codec=Patches(pixels=pixels, patch=patch), reader=EyeReader(seen, projector), takes=Takes.GIVEN)

    norm = lambda inner: PreNorm(nn.RMSNorm(width), inner)
    blocks = [Block(norm(SelfAttention(width, heads, qk_norm=nn.RMSNorm)), norm(SwiGLU(width))) for _ in range(depth)]
    trunk = Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(width // heads))

    told = {Task.TEXT: 0.9, Task.CAPTION: 0.05, Task.QUESTION: 0.05}  # data of one's own may have no text alone
    language = Stage("language", train=(trunk, words), documents=16_000, mix=told, batch=64, lr=4e-3)
    captions = {Task.CAPTION: 0.9, Task.QUESTION: 0.1}
    align = replace(language, name="align", train=(projector,), documents=8_000, mix=captions)
    asked, emphasis = {Task.CAPTION: 0.3, Task.QUESTION: 0.7}, {Task.QUESTION: 4.0}
    tuned = replace(align, name="tuned", train=(seen, projector, trunk, words), documents=66_000, mix=asked, emphasis=emphasis)
    return System("llava", trunk=trunk, ports=(text, image), attention=causal, stages=(learn_eye, language, align, tuned))
