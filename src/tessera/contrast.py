"""Contrast: how an eye learns to see. A picture and its text shall meet, and no others (SigLIP)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tessera.attention import everywhere
from tessera.codecs import BPE, Patches
from tessera.codecs.base import Losses
from tessera.document import Document
from tessera.draws import Draw
from tessera.places import FIELDS, PADDING, Places
from tessera.precision import unrounded
from tessera.trunk import MLP, Block, PreNorm, Rotary, SelfAttention, Transformer
from tessera.vision import AttentionPool, ViT

Vectors = Float[Tensor, "batch width"]


class Pairs(NamedTuple):
    """Pictures and what is said of each: squares of pixels, ids padded with -1, and which texts say the same."""

    squares: Float[Tensor, "batch element feature"]
    ids: Int[Tensor, "batch place"]
    same: Bool[Tensor, "batch other"]


class TextEncoder(nn.Module):
    """Texts as vectors of `features` numbers: a transformer whose places all see each other, their mean, a linear layer."""

    def __init__(self, bpe: BPE, features: int, *, width: int = 128, depth: int = 2, heads: int = 4):
        super().__init__()
        self.bpe, self.table = bpe, nn.Embedding(bpe.size, width)
        norm = lambda inner: PreNorm(nn.RMSNorm(width), inner)
        blocks = [Block(norm(SelfAttention(width, heads)), norm(MLP(width, 2 * width))) for _ in range(depth)]
        self.trunk = Transformer(blocks, norm=nn.RMSNorm(width), rotary=Rotary(width // heads))
        self.out = nn.Linear(width, features)

    def ids(self, texts: Sequence[str]) -> Int[Tensor, "batch place"]:
        """Ids of texts, each closed by `end`, side by side."""
        rows = [torch.cat([row, torch.tensor([self.bpe.markers.end])]) for row in self.bpe.encode(texts).clean]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PADDING)

    def forward(self, ids: Int[Tensor, "batch place"]) -> Vectors:
        """One vector per text."""
        real = ids != PADDING
        facts = dict.fromkeys(FIELDS, torch.zeros_like(ids))
        row, place = torch.arange(len(ids), device=ids.device)[:, None], torch.arange(ids.shape[1], device=ids.device)
        facts |= {"document": torch.where(real, row, PADDING), "order": place.expand_as(ids)}
        places = Places(torch.stack(list(facts.values())))
        hidden = self.trunk(self.table(ids.clamp(min=0)), None, places, everywhere)
        return self.out((hidden * real[..., None]).sum(1) / real.sum(1, keepdim=True))


class Pair(nn.Module):
    """An eye and a text encoder that learn to meet, by a sigmoid for each picture and each text of a batch.

    A pair is a document with one picture and some text; all others are left out. Where two texts of a batch are the same,
    each goes with both pictures. `batch`, how many pairs meet, says where the bias starts: minus its logarithm, about the
    log odds that a picture and a text of a batch belong together.
    Source: Zhai et al. 2023, arXiv:2303.15343, algorithm 1, whose bias starts at -10, for its batch of 32 k the same.
    """

    def __init__(self, eye: ViT, words: TextEncoder, *, heads: int = 4, batch: int = 128):
        super().__init__()
        self.eye, self.words, self.pool = eye, words, AttentionPool(eye.width, heads)
        self.codec = Patches(pixels=eye.pixels, patch=eye.patch)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-math.log(batch)))

    def arrange(self, documents: Sequence[Document], draws: Sequence[Draw]) -> Pairs:
        """The pairs among the documents."""
        pairs = [
            (document.pictures[0], " ".join(document.texts)) for document in documents if len(document.pictures) == 1 and document.texts
        ]
        device = self.bias.device
        if not pairs:
            nothing = torch.zeros(0, 1, device=device)
            return Pairs(torch.zeros(0, self.eye.elements, self.codec.features, device=device), nothing.long(), nothing[:, :0].bool())
        pictures, texts = zip(*pairs, strict=True)
        number = torch.tensor([texts.index(text) for text in texts], device=device)
        squares = self.codec.encode(pictures).clean
        assert isinstance(squares, Tensor)
        return Pairs(squares.to(device, self.bias.dtype), self.words.ids(texts).to(device), number[:, None] == number)

    def losses_of(self, pairs: Pairs) -> Losses:
        """The loss of all pictures with all texts, per pair."""
        if not len(pairs.ids):
            return {"pairs": (self.bias * 0, 0)}
        seen, said = self.see(pairs.squares), self.words(pairs.ids)
        return {"pairs": (sigmoid_loss(self.closeness(seen, said), pairs.same), len(pairs.ids))}

    def see(self, squares: Float[Tensor, "batch element feature"]) -> Vectors:
        """One vector per picture."""
        return self.pool(self.eye(squares))

    def closeness(self, seen: Vectors, said: Float[Tensor, "other width"]) -> Float[Tensor, "batch other"]:
        """Log odds that each picture and each text belong together."""
        with unrounded(self.bias):
            seen, said = (F.normalize(vectors.to(self.bias.dtype), dim=-1) for vectors in (seen, said))
            return seen @ said.T * self.log_scale.exp() + self.bias


def sigmoid_loss(log_odds: Float[Tensor, "batch other"], same: Bool[Tensor, "batch other"]) -> Float[Tensor, ""]:
    """The sum over all pictures and texts of minus log sigmoid, with the sign turned where they do not belong together."""
    return -F.logsigmoid(torch.where(same, log_odds, -log_odds)).sum()
