"""Janus and JanusFlow from our parts, against what the published code computed from the same weights.

Here are the eye, the projector, the trunk, the adaptor and the head of codes, and pictures written greedily under guidance.
"""

import pytest
import torch
from parity.fixture import Fixture, load
from parity.llama import llama
from torch import nn

from tessera import vision
from tessera.attention import causal, everywhere
from tessera.codecs.patches import patchify
from tessera.draws import Streams
from tessera.hub.eyes import TIMM
from tessera.hub.filling import filled
from tessera.hub.janus import OF_DEEPSEEK
from tessera.hub.janusflow import BEGIN, PROJECTOR
from tessera.laws import Categorical, Sampling, guide
from tessera.orders import Next
from tessera.orders.base import Ask, Seen, Writing
from tessera.perceptron import perceptron
from tessera.readers import EyeReader, TokenReader
from tessera.writers import LinearWriter, MLPWriter

JANUS, FLOW = load("janus_vq"), load("janusflow")


def first(batch: int) -> torch.Tensor:
    """Segments that begin with their first element."""
    return torch.zeros(batch, dtype=torch.long)


def eye(fixture: Fixture, prefix: str, **changes) -> vision.ViT:
    """The eye with the published weights."""
    config = fixture.config
    width, depth = config["vit_width"], config["vit_layers"]
    sizes = {"pixels": config["vit_image"], "patch": config["vit_patch"], "width": width, "depth": depth, "heads": config["vit_heads"]}
    made = vision.siglip(**sizes, hidden=round(config["vit_mlp_ratio"] * width), **changes)
    return filled(made, TIMM, fixture.under(f"{prefix}.vision_tower."), unread=["attn_pool.*"])


def of(fixture: Fixture, prefix: str) -> dict[str, torch.Tensor]:
    """The published weights whose names start so."""
    return {name: weight for name, weight in fixture.weights.items() if name.startswith(prefix)}


def layers(fixture: Fixture, prefix: str, *widths: int) -> nn.Sequential:
    return filled(perceptron(*widths), {"*": "*"}, fixture.under(f"{prefix}.layers."))


def reader(**changes) -> EyeReader:
    """Janus' eye and its adaptor."""
    width = JANUS.config["hidden_size"]
    return EyeReader(eye(JANUS, "vision_model", **changes), layers(JANUS, "aligner", JANUS.config["vit_width"], width, width))


def flow_reader() -> EyeReader:
    """JanusFlow's, with the place in front."""
    projector = filled(nn.Linear(FLOW.config["vit_width"], FLOW.config["hidden_size"]), PROJECTOR, of(FLOW, "vision_und_enc_aligner."))
    begin = filled(nn.Embedding(1, FLOW.config["hidden_size"]), BEGIN, of(FLOW, "beg_of_und_embed"))
    return EyeReader(eye(FLOW, "vision_und_enc_model"), projector, begin=begin)


def text(fixture: Fixture) -> TokenReader:
    weights = fixture.under("language_model.model.embed_tokens.")
    return filled(TokenReader(nn.Embedding(*weights["weight"].shape)), {"table.weight": "weight"}, weights)


def pixels(fixture: Fixture) -> torch.Tensor:
    return patchify(fixture.inputs["und_pixel_values"][0], fixture.config["vit_patch"])


def embedded(fixture: Fixture, eye_reader: EyeReader) -> torch.Tensor:
    """The places of text, those of the picture in their midst."""
    places = text(fixture)(fixture.inputs["und_input_ids"], first(1)).embeddings
    places[fixture.inputs["und_images_seq_mask"].bool()] = eye_reader(pixels(fixture), first(1)).embeddings.flatten(0, 1)
    return places


def logits(fixture: Fixture, embeddings: torch.Tensor, places, rule=causal) -> torch.Tensor:
    trunk = llama(fixture.under("language_model.model."), fixture.config)
    head = LinearWriter(fixture.config["hidden_size"], fixture.config["vocab_size"])
    filled(head, {"out": "language_model.lm_head"}, of(fixture, "language_model.lm_head."))
    return head(trunk(embeddings, None, places(order=list(range(embeddings.shape[1]))), rule))


@pytest.mark.parametrize(("fixture", "prefix"), [(JANUS, "vision_model"), (FLOW, "vision_und_enc_model")], ids=["janus", "janusflow"])
def test_the_eye_is_the_published_one(fixture, prefix):
    fixture.check("und_vision_features", eye(fixture, prefix)(pixels(fixture)))


def test_a_picture_is_read_as_published():
    read = reader()(pixels(JANUS), first(1))
    JANUS.check("und_aligned", read.embeddings)
    assert read.predicts.tolist() == list(range(16)) and read.coordinates[0, 5].tolist() == [0, 1, 1]


def test_janusflow_begins_a_picture_with_a_place_of_its_own():
    FLOW.check("und_inputs_embeds", embedded(FLOW, flow_reader()))
    assert flow_reader()(pixels(FLOW), first(1)).predicts.tolist() == list(range(1, 17))


@pytest.mark.parametrize(("fixture", "made"), [(JANUS, reader), (FLOW, flow_reader)], ids=["janus", "janusflow"])
def test_what_it_says_behind_a_picture_is_published(fixture, made, places):
    fixture.check("und_logits", logits(fixture, embedded(fixture, made()), places))


def test_pictures_are_attended_causally_like_text(places):
    assert not JANUS.agrees("und_logits", logits(JANUS, embedded(JANUS, reader()), places, everywhere))


@pytest.mark.parametrize("change", ["tanh GELU", "no final norm", "one head"])
def test_a_mutated_eye_is_not(change):
    made = eye(JANUS, "vision_model", **({"activation": nn.GELU(approximate="tanh")} if change == "tanh GELU" else {}))
    if change == "no final norm":
        made.after = nn.Identity()
    if change == "one head":
        for block in made.blocks:
            block.attention.inner.size, block.attention.inner.split = made.width, [1, 1, 1]
    assert not JANUS.agrees("und_vision_features", made(pixels(JANUS)))


# ---------------------------------------------------------------- codes


def codes() -> TokenReader:
    """What the trunk reads of a code: a row of the codes' own table, through the adaptor."""
    weights, width = JANUS.weights["gen_embed.weight"], JANUS.config["hidden_size"]
    adaptor = layers(JANUS, "gen_aligner", weights.shape[1], width, width)
    made = TokenReader(nn.Embedding(*weights.shape), columns=4, adaptor=adaptor)
    made.table.weight.data.copy_(weights)
    return made.requires_grad_(False)


def head() -> MLPWriter:
    """The head of codes."""
    inner, last = (len(JANUS.weights[f"gen_head.{name}.bias"]) for name in ("output_mlp_projector", "vision_head"))
    return filled(MLPWriter(JANUS.config["hidden_size"], inner, last), OF_DEEPSEEK.drawer, of(JANUS, "gen_head."))


def test_codes_are_read_as_published():
    JANUS.check("gen_aligner_out", codes()(JANUS.inputs["probe_codes"], first(2)).embeddings)


def test_the_head_is_the_published_one():
    JANUS.check("gen_head_out", head()(JANUS.inputs["probe_hidden"]))


class Passes:
    """A prompt, and the same with all but its first and last id padded, in a row of a cache each."""

    def __init__(self, places, padding: int):
        self.trunk, self.places, self.order, self.codes = llama(JANUS.under("language_model.model."), JANUS.config), places, 0, codes()
        self.cache = self.trunk.cache(rows=2, capacity=8)
        prompt = JANUS.inputs["prompt_ids"]
        dropped = torch.cat([prompt[:1], torch.full_like(prompt[1:-1], padding), prompt[-1:]])
        self.before = self.show(text(JANUS)(torch.stack([prompt, dropped]), first(2)).embeddings)

    def show(self, embeddings: torch.Tensor) -> Seen:
        """Both rows, one pass: what the last place says."""
        count = embeddings.shape[1]
        now = self.places(order=[list(range(self.order, self.order + count))] * 2, document=[[0] * count, [1] * count])
        opened = self.cache.open([0, 1], now)
        hidden = self.trunk(embeddings, None, now, causal, opened)
        opened.commit([True, True])
        self.order += count
        return Seen(hidden[:, -1:])

    def write(self, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
        """A picture of codes by our order and law, and the guided logits of each."""
        law, made, guided = Categorical(allowed=range(32), sampling=sampling), head(), []
        writing = Writing(self.before, torch.zeros(16, dtype=torch.long), torch.zeros(16, dtype=torch.bool), torch.Generator())
        order, answer = Next().write(writing), None
        while True:
            try:
                asked = order.send(answer)
            except StopIteration as done:
                return done.value.clean, torch.cat(guided)
            if isinstance(asked, Ask):
                answer = self.show(self.codes(asked.visible.expand(2, 1), torch.tensor([asked.start] * 2)).embeddings)
            else:
                guided.append(guide(made(asked.seen.hidden), sampling.guidance))
                answer = law.draw(made, asked.seen, sampling, Streams([writing.rng], [1], asked.seen.hidden))


def test_pictures_are_written_greedily_under_guidance_as_published(places):
    sampling = Sampling(temperature=0.0, guidance=JANUS.config["cfg_weight"])
    written, guided = Passes(places, JANUS.config["pad_id"]).write(sampling)
    JANUS.check("gen_codes", written[None])
    JANUS.check("gen_guided_logits", guided)


@pytest.mark.parametrize("change", [{"guidance": 1.0}, {"padding": 7}], ids=["unguided", "another padding"])
def test_other_guidance_writes_something_else(change, places):
    sampling = Sampling(temperature=0.0, guidance=change.get("guidance", JANUS.config["cfg_weight"]))
    _, guided = Passes(places, change.get("padding", JANUS.config["pad_id"])).write(sampling)
    assert not JANUS.agrees("gen_guided_logits", guided)
