"""OmniMamba: one Mamba-2 for words and for the codes of pictures, each with a vocabulary of its own, and adapters by task.

Source: Zou et al. 2025, arXiv:2503.08686, section 3. Text is read and written. Given pictures are read by an eye; those that are written
are codes, with a table, a projector and a head of their own. Adapters of the projections in front change with what a document is
about to write. First each task trains what is its own, then all learn together.
Differs: one eye, SigLIP's in shape, which learned on the world, not two; codes are Chameleon's (FSQ), their projector has two layers, not
three, their head is not tied to the table; words of prompts have no projection of their own; a stage of text stands for the pretrained
Mamba-2, whose heads begin with longer steps and fade slower, as documents are short; positions are added to codes alone; a written
picture is read on as its codes; losses of pictures weigh double; the eye, frozen there, learns on.
Command: `tessera train omnimamba`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import nn

from tessera import parts
from tessera.attention import causal
from tessera.codecs import BPE, FSQ, Patches
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.perceptron import perceptron
from tessera.ports import Port, Takes
from tessera.readers import Digits, EyeReader, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Fading, Mamba, MambaBlock, Mixer, TaskLoRA
from tessera.writers import LinearWriter

PAPER = {"width": 2048, "depth": 48, "memory": (64, 128), "pixels": 256, "patch": 16, "look": (1152, 27, 16)}
TINY = {"width": 32, "depth": 2, "memory": (16, 8), "levels": (4, 4), "channels": 16, "look": (32, 1, 2)}
PRESETS = {"tiny": TINY, "paper": {**PAPER, "levels": (8, 8, 8, 6, 5), "channels": 128}}


def omnimamba(
    *,
    width: int = 192,
    depth: int = 9,
    memory: Sequence = (32, 32),
    levels: Sequence = (4,) * 5,
    channels: int = 64,
    pixels: int = 32,
    patch: int = 8,
    look: Sequence = (128, 3, 4),
) -> System:
    """Build OmniMamba. `memory` is what a head keeps: its features times its state; `look` is as Janus'."""
    bpe = BPE()
    words, law = TokenReader(nn.Embedding(bpe.size, width), scale=width**0.5), Categorical(allowed=bpe.writable, sampling=Sampling(0.0))
    text = Port("text", Text, codec=bpe, reader=words, writer=LinearWriter(width, bpe.size, tied=words.table), order=Next(), law=law)
    seen, learn_eye = parts.eye(pixels=pixels, patch=patch, width=look[0], depth=look[1], heads=look[2])
    sees = EyeReader(seen, perceptron(seen.width, width, width))
    given = Port("eye", Image, codec=Patches(pixels=pixels, patch=patch), reader=sees, takes=Takes.GIVEN)

    quantizer = FSQ(levels)
    pictures, learn_codes = parts.codes(quantizer, channels=channels, pixels=pixels, stride=patch)
    rows, digits, positions = nn.Embedding(quantizer.size, width), Digits(quantizer, width), nn.Embedding(pictures.elements, width)
    project, drawer = perceptron(width, width, width), LinearWriter(width, quantizer.size)
    squares = TokenReader(rows, columns=pictures.columns, digits=digits, adaptor=project, positions=positions)
    codes = Categorical(allowed=range(quantizer.size), sampling=Sampling(temperature=0.5, guidance=2.0))
    image = Port("image", Image, codec=pictures, reader=squares, writer=drawer, order=Next(), law=codes, takes=Takes.LEARNED)

    adapted = partial(TaskLoRA, tasks=((text,), (image,)))
    mixer = partial(Mixer, width, head=memory[0], state=memory[1], project=adapted, fading=Fading(steps=(0.05, 1.0), rates=(0.02, 0.5)))
    trunk = Mamba([MambaBlock(nn.RMSNorm(width), mixer()) for _ in range(depth)], norm=nn.RMSNorm(width))
    tell, draw = (tuple(module for block in trunk.blocks for module in block.mixer.into.of(task)) for task in (0, 1))

    weights, emphasis, told = {"image": 2.0}, {Task.QUESTION: 4.0}, {Task.TEXT: 0.9, Task.CAPTION: 0.05, Task.QUESTION: 0.05}
    language = Stage("language", train=(trunk, words), documents=4_000, mix=told, batch=64, lr=4e-3)
    telling = replace(language, name="telling", train=(sees.projector, *tell), documents=2_000, mix={Task.CAPTION: 0.9, Task.QUESTION: 0.1})
    drawing = replace(language, name="drawing", train=(squares, drawer, *draw), documents=2_000, mix={Task.DRAW: 1.0})
    opened = (trunk, words, seen, sees.projector, squares, drawer)
    unified = replace(language, name="unified", train=opened, documents=32_000, mix=parts.MIX, weights=weights, emphasis=emphasis)
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(unified, name="tuned", documents=50_000, mix=asked, carry=True)
    stages = (learn_eye, learn_codes, language, telling, drawing, replace(unified, decay="constant"), tuned)
    return System("omnimamba", trunk=trunk, ports=(text, image, given), attention=causal, stages=stages, drop=Absent())
