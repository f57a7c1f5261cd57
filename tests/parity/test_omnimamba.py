"""OmniMamba's language model from our parts, against numbers that the published code computed from the same weights."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch.nn.functional as F
from parity.fixture import load
from torch import Tensor, nn

from tessera.attention import causal
from tessera.hub.filling import filled
from tessera.hub.omnimamba import CAPTIONS, CODES, TRUNK
from tessera.perceptron import perceptron
from tessera.trunk import Mamba, MambaBlock, Mixer, TaskLoRA

OMNIMAMBA = load("omnimamba")
CONFIG, WEIGHTS, IN = OMNIMAMBA.config, OMNIMAMBA.under("backbone."), OMNIMAMBA.inputs
WIDTH = CONFIG["d_model"]
TEXT, IMAGE = (SimpleNamespace(name=name, number=number) for number, name in enumerate(("text", "image")))
BESIDE = ("embedding.*", "img_embeddings.*", "*pos_embed", "caption_embed.*")


def of(prefix: str) -> dict[str, Tensor]:
    """The published weights whose names start so."""
    return {name: weight for name, weight in WEIGHTS.items() if name.startswith(prefix)}


def trunk() -> Mamba:
    project = partial(TaskLoRA, tasks=((TEXT,), (IMAGE,)), rank=CONFIG["lora_rank"], alpha=CONFIG["lora_alpha"])
    sizes = {
        "expand": CONFIG["expand"],
        "head": CONFIG["headdim"],
        "state": CONFIG["d_state"],
        "groups": CONFIG["ngroups"],
        "reach": CONFIG["d_conv"],
    }
    norm = lambda: nn.RMSNorm(WIDTH, eps=CONFIG["norm_eps"])
    ours = Mamba([MambaBlock(norm(), Mixer(WIDTH, **sizes, project=project)) for _ in range(CONFIG["n_layer"])], norm=norm())
    return filled(ours, TRUNK, WEIGHTS, unread=BESIDE)


def logits(ours: Mamba, places, embeddings: Tensor, task: SimpleNamespace) -> Tensor:
    rows, count, _ = embeddings.shape
    laid = places(writes=[[task.number] * count] * rows, order=[list(range(count))] * rows)
    head = "lm_head.weight" if task is TEXT else "img_head.weight"
    return F.linear(ours(embeddings, None, laid, causal), OMNIMAMBA.weights[head])


def picture_embeddings(ids: Tensor) -> Tensor:
    project = filled(perceptron(WIDTH, 4 * WIDTH, WIDTH, WIDTH), CODES, of("img_embeddings.project_in."))
    return project(F.embedding(ids, WEIGHTS["img_embeddings.word_embeddings.weight"]))


def test_logits_of_both_tasks(places):
    ours = trunk()
    OMNIMAMBA.check("mmu_logits", logits(ours, places, IN["mmu_embeds"] + WEIGHTS["mmu_pos_embed"][:, : CONFIG["text_len"]], TEXT))
    OMNIMAMBA.check("t2i_logits", logits(ours, places, IN["t2i_embeds"], IMAGE))


def test_logits_from_ids(places):
    ours = trunk()
    words = F.embedding(IN["mmu_ids"], WEIGHTS["embedding.weight"]) + WEIGHTS["mmu_pos_embed"][0, IN["mmu_position_ids"]]
    OMNIMAMBA.check("mmu_logits_from_ids", logits(ours, places, words, TEXT))
    codes = picture_embeddings(IN["t2i_ids"]) + WEIGHTS["pos_embed"][0, IN["t2i_position_ids"]]
    OMNIMAMBA.check("t2i_logits_from_ids", logits(ours, places, codes, IMAGE))


def test_captions_are_projected():
    made = perceptron(WIDTH, WIDTH, WIDTH, bias=False, approximate="tanh")
    project = filled(made, CAPTIONS, of("caption_embed.cap_proj."))
    OMNIMAMBA.check("caption_embed_out", project(IN["caption_in"]))


def tasks_swapped(ours):
    for block in ours.blocks:
        block.mixer.into.tasks = block.mixer.into.tasks[::-1]


def no_skip(ours):
    ours.blocks[0].mixer.skip.data.zero_()


def short_convolution(ours):
    ours.blocks[0].mixer.conv.weight.data[..., 0] = 0


@pytest.mark.parametrize("mutation", [tasks_swapped, no_skip, short_convolution])
def test_a_mutated_trunk_is_not(mutation, places):
    ours = trunk()
    mutation(ours)
    assert not OMNIMAMBA.agrees("t2i_logits", logits(ours, places, IN["t2i_embeds"], IMAGE))
