"""Published language models as what systems of our recipes speak and think with."""

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from tessera.codecs import BPE
from tessera.codecs.text import MarkerIds
from tessera.hub.filling import fill
from tessera.hub.folder import open_folder
from tessera.hub.language import LLAMA, TURNS, language, settings, tied
from tessera.hub.loading import load_published
from tessera.hub.markers import markers, special
from tessera.hub.names import Names, under
from tessera.hub.tensors import stored
from tessera.speaker import Speaker
from tessera.system import System
from tessera.trunk import Transformer
from tessera.weightless import weightless

NAMES: Names = {**under(LLAMA, ours="trunk", theirs="model"), "words.table": "model.embed_tokens", "head.out": "lm_head"}
AROUND_IMAGES = 2  # markers that no language model has
ORIGIN = "tessera.hub:published_speaker"  # what made the language model of a recipe that began with one


def published_speaker(path: str | Path, *, trust_pickle: bool = False, outline: bool = False) -> Speaker:
    """The language model of a published folder, or of the hub (owner/name): Llama's family, in float32.

    Its vocabulary ends with two more ids, which begin and end pictures. Each trunk that it makes has the published weights; of an
    `outline`, none has any (`meta`), and the folder need not hold them. Raises ValueError as `load_published` does.
    """
    folder = open_folder(path, trust_pickle=trust_pickle, numbers=not outline)
    weights, said = {} if outline else stored(folder.path, trust_pickle=trust_pickle), settings(folder.config)
    with weightless():
        made = language(said, tied=tied(folder.config, said, weights, "lm_head"))
    parts = nn.ModuleDict({"trunk": made.trunk, "words": made.words, "head": made.head})
    if not outline:
        fill(parts, NAMES, weights, unread=TURNS, dtype=torch.float32)

    found, size = markers(folder, said), said["vocab_size"]
    around = MarkerIds(found.document, (size,), (size + 1,), found.end)
    bpe = BPE(folder.file("tokenizer.json"), markers=around, behind=special(folder, found.end))
    allowed = torch.tensor([id for id in bpe.writable.tolist() if id < size and id not in around.outside])
    taken: list[Transformer] = []

    def tower() -> Transformer:
        taken.append(copy.deepcopy(made.trunk) if taken else made.trunk)
        return taken[-1]

    return Speaker(bpe, made.words, made.head, allowed, tower, looks=made.looks, learned=True).extended(AROUND_IMAGES)


@torch.no_grad()
def language_of(system: System) -> System | None:
    """The language model that a system of our recipes began with, by itself, with the numbers that it has now; None for other systems.

    Of two towers it is the one that was the language model's; ids that were added to its vocabulary are left out.
    """
    began = system.origin["arguments"].get("language") if hasattr(system, "origin") else None
    if not isinstance(began, Mapping) or began.get("recipe") != ORIGIN:
        return None
    made = load_published(**began["arguments"], precision="float32")
    spoke: Transformer = getattr(system.trunk, "towers", [system.trunk])[0]
    assert isinstance(made.trunk, Transformer)
    made.trunk.load_state_dict(spoke.state_dict())
    for part in (lambda text: text.reader.table, lambda text: text.writer.out):
        taller, known = part(system.text).weight, part(made.text).weight
        known.copy_(taller[: len(known)])
    return made
