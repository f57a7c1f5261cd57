"""Show-o from our parts: trunk logits under its two masks, and its sampling of a picture replayed with the official draws.

The published rotary pairs feature i with i + 2 of the four features of a head that turn; ours pairs i with i + 4 of all
eight, and the last two pairs stand still: the same up to a permutation of the features of a head.
"""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from parity.fixture import load
from torch import Tensor, nn

from tessera.attention import causal, within
from tessera.draws import Streams
from tessera.hub import show_o as names
from tessera.hub.filling import filled
from tessera.laws import Categorical, Sampling, guide
from tessera.orders import Ask, Confident, Masked, Pick, Seen, linear, masked
from tessera.orders.base import Writing
from tessera.readers import HiddenReader, TokenReader
from tessera.trunk import MLP, ParallelBlock, Rotary, SelfAttention, Transformer
from tessera.writers import LinearWriter

SHOW_O = load("show_o")
CONFIG, WEIGHTS = SHOW_O.config, SHOW_O.under("showo.model.")
WIDTH, HEADS, CODES = CONFIG["hidden_size"], CONFIG["num_heads"], CONFIG["num_vq_tokens"]
FIRST, MASK = CONFIG["llm_vocab_size"] + CONFIG["num_new_special_tokens"], CONFIG["mask_token_id"]
HALVES = names.halves(1, WIDTH // HEADS, CONFIG["partial_rotary_factor"])  # the published feature of each of ours
TANH = partial(F.gelu, approximate="tanh")
IMAGE = SimpleNamespace(name="image", number=1)
RULE = causal | within(IMAGE)


class OneAfterTheOther(ParallelBlock):
    """A mutation: the MLP sees what attention has added."""

    def forward(self, x, sight):
        x = x + self.attention(self.norm(x), sight)
        return x + self.mlp(self.norm(x), sight)


def trunk(block=ParallelBlock, order=HALVES, activation=TANH, portion=CONFIG["partial_rotary_factor"]) -> Transformer:
    """The trunk of our parts, under the published weights."""
    eps = CONFIG["layer_norm_eps"]

    def made():
        attention = SelfAttention(WIDTH, HEADS, qk_norm=nn.LayerNorm, bias=True)
        return block(nn.LayerNorm(WIDTH, eps), attention, MLP(WIDTH, CONFIG["intermediate_size"], activation=activation))

    rotary = Rotary(WIDTH // HEADS, theta=CONFIG["rope_theta"], portion=portion)
    ours = Transformer([made() for _ in range(CONFIG["num_layers"])], norm=nn.LayerNorm(WIDTH, eps), rotary=rotary)
    every = (torch.arange(HEADS)[:, None] * (WIDTH // HEADS) + order).flatten()
    return filled(ours, names.trunk(HEADS, every, order), WEIGHTS, unread=["embed_tokens.*"])


def writer() -> LinearWriter:
    """The published head."""
    head = LinearWriter(WIDTH, CONFIG["vocab_size"], bias=True)
    return filled(head, names.HEAD, SHOW_O.under("showo."), unread=["model.*"])


def readers() -> tuple[TokenReader, HiddenReader]:
    """Of text, and of codes whose mask is a row of the published table."""
    table = nn.Embedding.from_pretrained(WEIGHTS["embed_tokens.weight"])
    text, codes = TokenReader(table), HiddenReader(TokenReader(table), WIDTH)
    codes.mask.data = table.weight[MASK].clone()
    return text, codes


def laid_out(ids: Tensor, picture: slice, places):
    """Where each id stands. What begins and ends a picture belongs to it; what pads is a document of its own."""
    segment = torch.zeros_like(ids)
    segment[:, picture] = 1
    return places(document=(ids == CONFIG["pad_id"]).long().tolist(), segment=segment.tolist(), port=segment.tolist())


def embedded(ids: Tensor) -> Tensor:
    """What the trunk reads of ids, hidden codes among them."""
    text, codes = readers()
    start, hidden = torch.zeros(len(ids), dtype=torch.long), ids == MASK
    image = codes(masked.PartlyHidden(ids.masked_fill(hidden, 0), hidden), start).embeddings
    return torch.where((ids >= FIRST)[..., None], image, text(ids.masked_fill(hidden, 0), start).embeddings)


T2I, MMU = slice(CONFIG["max_seq_length"] + 1, None), slice(0, CODES + 3)  # the understood one has its task token inside


def logits(which: str, ours: Transformer, places) -> Tensor:
    """What our parts say about the ids of a published input."""
    ids = SHOW_O.inputs[f"{which}_input_ids"]
    where = laid_out(ids, MMU if which == "mmu" else T2I, places)
    with torch.no_grad():
        return writer()(ours(embedded(ids), None, where, RULE))


def test_the_masks_are_the_published_ones(places):
    t2i = torch.cat([SHOW_O.inputs["t2i_input_ids"], SHOW_O.inputs["t2i_uncond_input_ids"]])
    for which, ids, picture in (("trunk", SHOW_O.inputs["trunk_input_ids"], T2I), ("t2i", t2i, T2I), ("mmu", None, MMU)):
        where = laid_out(SHOW_O.inputs["mmu_input_ids"] if ids is None else ids, picture, places)
        assert torch.equal(RULE.dense(where, where), SHOW_O.outputs[f"{which}_mask_allowed"].bool()), which


@pytest.mark.parametrize("which", ["trunk", "mmu"])
def test_the_trunk_is_the_published_one(which, places):
    SHOW_O.check(f"{which}_logits", logits(which, trunk(), places))


@pytest.mark.parametrize(
    "mutation",
    [{"block": OneAfterTheOther}, {"order": torch.arange(8)}, {"activation": F.gelu}, {"portion": 1.0}],
    ids=["one after the other", "rotary layout", "exact GELU", "all features turn"],
)
def test_a_mutated_trunk_is_not(mutation, places):
    assert not SHOW_O.agrees("trunk_logits", logits("trunk", trunk(**mutation), places))


# ---------------------------------------------------------------- sampling


class Replay(Streams):
    """Instead of streams: the recorded numbers of one pass, those of the elements that are still hidden.

    The official sampler lets codes race, each against an exponential number; ours inverts the distribution function at a
    uniform one. The number in the middle of the winner's share makes ours choose as the official one did.
    """

    def __init__(self):
        self.step, self.where = -1, torch.arange(CODES)

    def shown(self, ask: Ask) -> None:
        """A pass begins."""
        self.step, self.where = self.step + 1, ask.visible.hidden.nonzero()[:, 0]

    def uniform(self, *shape: int) -> Tensor:
        """One number for each hidden element: for the order as it is, for the law where the official race ended."""
        if not shape:
            return SHOW_O.inputs["draw_uniform"][self.step, 0, self.where].double()
        p = SHOW_O.outputs["t2i_probs"][self.step, 0, self.where].double()
        winner = (p / SHOW_O.inputs["draw_exponential"][self.step, self.where]).argmax(-1, keepdim=True)
        return (p.cumsum(-1) - p / 2).gather(-1, winner) / p.sum(-1, keepdim=True)


def sampled(order: Masked, guidance: float, places, monkeypatch) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Per pass the probabilities of all codes and what was hidden in it, and in the end the codes."""
    replay, ours, law = Replay(), trunk(), Categorical(allowed=range(FIRST, MASK))
    monkeypatch.setattr(masked, "Streams", lambda rngs, counts, like: replay)
    ids = torch.cat([SHOW_O.inputs["t2i_input_ids"], SHOW_O.inputs["t2i_uncond_input_ids"]])
    picture = slice(T2I.start + 1, T2I.start + 1 + CODES)
    sampling, where = Sampling(guidance=guidance), laid_out(ids, T2I, places)
    before = Seen(torch.zeros(2, 1, WIDTH))
    blank, keep = torch.full((CODES,), FIRST), torch.zeros(CODES, dtype=torch.bool)
    loop, answer = order.write(Writing(before, blank, keep, torch.Generator())), None
    probabilities, hidden = [], []
    with torch.no_grad():
        while True:
            try:
                request = loop.send(answer)
            except StopIteration as stop:
                return probabilities, hidden, stop.value.clean
            if isinstance(request, Pick):
                answer = law.draw(writer(), request.seen, sampling, replay)
                continue
            replay.shown(request)
            ids[:, picture] = torch.where(request.visible.hidden, MASK, request.visible.value)
            answer = Seen(ours(embedded(ids), None, where, RULE)[:, picture])
            probabilities.append(guide(writer()(answer.hidden)[..., FIRST:MASK], guidance).softmax(-1))
            hidden.append(request.visible.hidden)


def official() -> tuple[Masked, float]:
    """The order and the guidance of the published run (their scale is one less than ours)."""
    return Masked(steps=CONFIG["timesteps"], decide=Confident(CONFIG["temperature"], compounds=True)), 1 + CONFIG["guidance_scale"]


def test_sampling_is_the_published_one(places, monkeypatch):
    probabilities, hidden, codes = sampled(*official(), places, monkeypatch)
    SHOW_O.check("t2i_probs", torch.stack(probabilities)[:, None])
    assert torch.equal(torch.stack(hidden[1:]), SHOW_O.outputs["t2i_masked"][:-1, 0].bool())
    assert [int(one.sum()) for one in hidden] == [CODES, *SHOW_O.outputs["t2i_mask_len"][:-1, 0].tolist()]
    assert torch.equal(codes - FIRST, SHOW_O.outputs["t2i_codes"][0])


@pytest.mark.parametrize(
    "mutation",
    [
        {"schedule": linear},
        {"decide": Confident(CONFIG["temperature"])},
        {"decide": Confident(0.0)},
        {"guidance": CONFIG["guidance_scale"]},
    ],
    ids=["linear schedule", "temperature in a line", "no noise", "their guidance taken for ours"],
)
def test_mutated_sampling_is_not(mutation, places, monkeypatch):
    order, guidance = official()
    changed = {"steps": order.steps, "decide": order.decide} | mutation
    guidance = changed.pop("guidance", guidance)
    probabilities, hidden, _ = sampled(Masked(**changed), guidance, places, monkeypatch)
    same = torch.equal(torch.stack(hidden[1:]), SHOW_O.outputs["t2i_masked"][:-1, 0].bool())
    assert not (same and SHOW_O.agrees("t2i_probs", torch.stack(probabilities)[:, None]))
