"""SynerGen-VL: pictures as codes folded into few places, experts for them in a language model, a small head that unfolds them.

Source: Li et al. 2024, arXiv:2412.09604, section 3. Reads and writes text and pictures, all one after another. Places of pictures pass
feed-forward layers of their own, all else they share with text. First these experts learn on pairs, then they and attention, then all.
Differs: a place holds 2 x 2 codes (the paper's 2 x 4, of Emu3's tokenizer), which are Chameleon's, also read by their digits and
places; the head's depth at the paper's size is a guess (it is called shallow); a stage of text stands for the pretrained InternLM2;
queries and keys are normed; pairs are as clean as all else; mixes are Chameleon's, losses of codes weigh double.
Command: `tessera train synergen_vl`.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from tessera import parts
from tessera.attention import causal
from tessera.codecs import BPE, FSQ, Folded
from tessera.document import Image, Task, Text
from tessera.drops import Absent
from tessera.laws import Categorical, Chain, Sampling
from tessera.orders import Next
from tessera.perceptron import perceptron
from tessera.ports import Port
from tessera.readers import Digits, TokenReader
from tessera.stages import Stage
from tessera.system import System
from tessera.trunk import Block, Experts, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.writers import ChainWriter, LinearWriter

TINY = {"width": 32, "depth": 2, "heads": (2, 2), "hidden": 88, "levels": (4, 4), "channels": 16, "fold": (2, 2, 1)}
PAPER = {"width": 2048, "depth": 24, "heads": (16, 8), "hidden": 8192, "levels": (8,) * 5, "channels": 128, "pixels": 512}
PRESETS = {"tiny": TINY, "paper": {**PAPER, "fold": (2, 4, 4)}}


def synergen_vl(
    *,
    width: int = 192,
    depth: int = 5,
    heads: Sequence = (6, 6),
    hidden: int = 512,
    levels: Sequence = (4,) * 5,
    channels: int = 64,
    pixels: int = 32,
    fold: Sequence = (2, 2, 2),
) -> System:
    """Build SynerGen-VL. `heads` are those of queries, and of keys; `fold` rows and columns of codes in a place, and blocks of the head."""
    bpe = BPE()
    words, law = TokenReader(nn.Embedding(bpe.size, width), scale=width**0.5), Categorical(allowed=bpe.writable, sampling=Sampling(0.0))
    text = Port("text", Text, codec=bpe, reader=words, writer=LinearWriter(width, bpe.size, tied=words.table), order=Next(), law=law)

    norm = lambda inner: PreNorm(nn.RMSNorm(width), inner)
    block = lambda: Block(norm(SelfAttention(width, heads[0], kv_heads=heads[1], qk_norm=nn.RMSNorm)), norm(SwiGLU(width, hidden)))
    quantizer = FSQ(levels)
    pictures, learn_codes = parts.codes(quantizer, channels=channels, pixels=pixels)
    folded, size = Folded(pictures, rows=fold[0], columns=fold[1]), quantizer.size
    rows, digits, positions = nn.Embedding(size, width), Digits(quantizer, width), nn.Embedding(folded.elements, width)
    project, unfolding = perceptron(folded.levels * width, width, width), [block() for _ in range(fold[2])]
    squares = TokenReader(rows, columns=folded.columns, digits=digits, adaptor=project, positions=positions, levels=folded.levels)
    head = ChainWriter(width, size, unfolding, codes=Digits(quantizer, width), length=folded.levels, norm=nn.RMSNorm(width))
    codes = Chain(Categorical(allowed=range(size), sampling=Sampling(temperature=0.5, guidance=2.0)), length=folded.levels)
    image = Port("image", Image, codec=folded, reader=squares, writer=head, order=Next(), law=codes)

    blocks = [block() for _ in range(depth)]
    language = Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(width // heads[0]))
    seeing = [Block(one.attention, PreNorm(one.mlp.norm, SwiGLU(width, hidden))) for one in blocks]
    trunk = Experts((language, Transformer(seeing, norm=language.norm, rotary=language.rotary)), {image: 1})

    told = {Task.TEXT: 0.9, Task.CAPTION: 0.05, Task.QUESTION: 0.05}  # data of one's own may have no text alone
    talk = Stage("language", train=(language, words), documents=8_000, mix=told, batch=64, lr=4e-3)
    pairs, weights, emphasis = {Task.DRAW: 0.5, Task.CAPTION: 0.5}, {"image": 2.0 / folded.levels}, {Task.QUESTION: 4.0}
    theirs = (*(one.mlp.inner for one in seeing), squares, head)
    align = replace(talk, name="experts", train=theirs, documents=8_000, mix=pairs, weights=weights)
    joined = (*theirs, *(one.attention.inner for one in blocks))
    joint = replace(align, name="attention", train=joined, documents=26_000, mix=parts.MIX, decay="constant", emphasis=emphasis)
    asked = {Task.DRAW: 0.35, Task.CAPTION: 0.1, Task.QUESTION: 0.55}
    tuned = replace(joint, name="tuned", train=(trunk, words, squares, head), documents=48_000, mix=asked, decay="cosine", carry=True)
    stages = (learn_codes, talk, align, joint, tuned)
    return System("synergen_vl", trunk=trunk, ports=(text, image), attention=causal, stages=stages, drop=Absent())
