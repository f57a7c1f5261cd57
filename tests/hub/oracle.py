"""Oracles: published classes made small, with weights large enough that nothing hides, saved as their own library saves them."""

import copy
import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tessera.codecs import Markers
from tessera.codecs.text import train_bpe
from tessera.document import Document
from tessera.draws import Draw
from tessera.pieces import read
from tessera.system import System
from tessera.trunk import SelfAttention

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import transformers

transformers.utils.logging.disable_progress_bar()
WORDS = [
    "a red circle and a blue star",
    "what is it? a green ring at the top left of the picture",
    "USER: say what you see ASSISTANT: it is",
]
WITHIN = 1e-4  # of the largest magnitude


def redrawn(made: nn.Module, std: float = 0.2, seed: int = 0) -> nn.Module:
    """Weights of this spread, none left at 0 or 1; what batch norms remember too."""
    rng = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng) * std + (parameter.ndim == 1)
    for name, buffer in made.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=rng) * std)
        if name.endswith("running_var"):
            buffer.copy_(1 + torch.rand(buffer.shape, generator=rng))
    return made.eval().requires_grad_(False)


def saved(made: Any, folder: Path, **tokens: Any) -> Path:
    """The folder that the class writes, and a tokenizer in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_pretrained(folder)
    write_tokenizer(folder, **tokens)
    return folder


def write_tokenizer(folder: Path, *, begin: str = "<s>", end: str = "</s>", special: Sequence[str] = (), size: int = 300) -> None:
    """A byte-level tokenizer as published ones are: special tokens first, one put in front of every text."""
    from tokenizers import processors

    made = train_bpe(WORDS, size, markers=Markers(begin, "<pad>", "<unk>", end))
    made.add_special_tokens(list(special))
    if begin:
        made.post_processor = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, made.token_to_id(begin))])
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": begin, "eos_token": end, "pad_token": "<pad>"}))


def near(found: Tensor, expected: Tensor, within: float = WITHIN) -> bool:
    """Whether two tensors differ by less than a share of the largest magnitude."""
    return off(found, expected) <= within


def off(found: Tensor, expected: Tensor) -> float:
    """By which share of the largest magnitude they differ."""
    assert found.shape == expected.shape
    return float((found - expected).detach().abs().max() / expected.detach().abs().max())


def exactly(rounded: nn.Module) -> nn.Module:
    """The same weights, computed with in float32."""
    return copy.deepcopy(rounded).float()


def rounds_as_theirs(found: Tensor, theirs: Tensor, exact: Tensor) -> bool:
    """Whether what ours says in bfloat16 is as near to the exact states of the same weights as what theirs says, or nearly.

    8 bits round a number by up to 2**-9 of it, by 2**-10 in the mean. A layer rounds about ten times in a row, and errors of either
    sign add up like steps of a walk: seven layers, an eye's among them, are off by some 2**-10 times the root of seventy. Theirs
    rounds elsewhere, so one is nearer here, the other there, by a quarter or so.
    """
    error = lambda said: float((said.float() - exact).square().mean().sqrt() / exact.square().mean().sqrt())
    return error(found) < min(3 * 2**-10 * 70**0.5, 1.5 * error(theirs))


@torch.no_grad()
def laid(system: System, document: Document) -> list:
    """The document's pieces, each read: how many places it has shows then."""
    pieces = system.arrange([document], [Draw(0)])[0]
    read(pieces, system.device)
    return pieces


@torch.no_grad()
def states(system: System, document: Document) -> Tensor:
    """Hidden states [place, width] of a document."""
    return system.hidden([laid(system, document)])[0][0]


def ids_of(system: System, document: Document, picture: Callable[[Any], list[int]]) -> list[int]:
    """The document as ids, as published classes want it; `picture` says which ids stand for one."""
    return [id for piece in laid(system, document) for id in (piece.visible.tolist() if piece.port is system.text else picture(piece))]


def learned(system: System, document: Document) -> Tensor:
    """Which places of a document are learned text."""
    return torch.tensor([bool(piece.learned) and piece.port is system.text for piece in laid(system, document) for _ in range(piece.count)])


# ---------------------------------------------------------------- mutations


def first_attentions(system: System) -> list[SelfAttention]:
    """Those of the first blocks: one for each tower."""
    towers: Any = getattr(system.trunk, "towers", [system.trunk])
    return [tower.blocks[0].parts[0] for tower in towers]


def neighbours_turn(system: System) -> None:
    """Rotary positions turn neighbouring features."""
    for attention in first_attentions(system):
        size, turned = attention.size, sum(attention.split[:2])
        order = torch.arange(size).view(2, -1).T.flatten()
        rows = attention.qkv.weight.data.unflatten(0, (-1, size))
        rows[:turned] = rows[:turned, order]


def another_epsilon(system: System) -> None:
    """Norms with a tenth added."""
    for module in system.trunk.modules():
        if isinstance(module, nn.RMSNorm | nn.LayerNorm):
            module.eps = 0.1


def heads_change_places(system: System) -> None:
    """The queries of one head are another's."""
    for attention in first_attentions(system):
        heads = attention.split[0] * attention.size
        attention.qkv.weight.data[:heads] = attention.qkv.weight.data[:heads].roll(attention.size, 0)


MUTATIONS = [neighbours_turn, another_epsilon, heads_change_places]
