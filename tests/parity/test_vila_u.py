"""VILA-U's depth head and how it draws residual codes, from our parts, against numbers of the official code for the same weights.

ChainWriter is the head, its codes being told as the running sum of their rows; Chain draws. Dice are set so that official draws come out.
"""

from copy import deepcopy

import pytest
import torch
from parity.fixture import load
from torch import Tensor, nn

from tessera.draws import Streams
from tessera.laws import Categorical, Chain, Sampling, guide
from tessera.laws.categorical import truncate
from tessera.orders import Seen
from tessera.trunk import MLP, Block, PreNorm, SelfAttention
from tessera.writers import ChainWriter

VILA = load("vila_u_rq")
CONFIG, IN, OUT = VILA.config, VILA.inputs, VILA.outputs
WIDTH, DEPTH, VALUES = CONFIG["head_dim_model"], CONFIG["depth"], CONFIG["n_embed"]
NAMES = {
    "in_mlp_2": "into",
    "in_mlp_1": "codes.into",
    "head_transformer.blocks": "blocks",
    "ln1": "attention.norm",
    "ln2": "mlp.norm",
    "attn.proj": "attention.inner.out",
    "mlp.0": "mlp.inner.up",
    "mlp.2": "mlp.inner.down",
    "classifier_mlp.layer_norm": "norm",
    "classifier_mlp.linear": "out",
}


class RunningSum(nn.Module):
    """Each code as a layer of the sum of the rows up to it: what the codes so far have described."""

    def __init__(self, rows: Tensor):
        super().__init__()
        self.register_buffer("rows", rows, persistent=False)
        self.into = nn.Linear(rows.shape[1], WIDTH)

    def forward(self, codes: Tensor) -> Tensor:
        return self.into(self.rows[codes].cumsum(-2))


def ours(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published weights under our names, queries, keys and values in one."""
    found = {"positions.weight": weights.pop("pos_emb_d")[0]}
    for name in [name for name in weights if ".attn.query." in name]:
        triple = [weights.pop(name.replace("query", part)) for part in ("query", "key", "value")]
        found[renamed(name.replace("attn.query", "attention.inner.qkv"))] = torch.cat(triple)
    return found | {renamed(name): weight for name, weight in weights.items()}


def renamed(name: str) -> str:
    for theirs, own in NAMES.items():
        name = name.replace(theirs, own)
    return name


def head() -> ChainWriter:
    norm = lambda inner: PreNorm(nn.LayerNorm(WIDTH), inner)
    heads, rows = CONFIG["head_heads"], VILA.weights["rqvaesiglip.quantizer.codebooks.0.weight"][:VALUES]
    blocks = [Block(norm(SelfAttention(WIDTH, heads, bias=True)), norm(MLP(WIDTH))) for _ in range(CONFIG["head_layers"])]
    made = ChainWriter(CONFIG["llm_hidden"], VALUES, blocks, codes=RunningSum(rows), length=DEPTH, norm=nn.LayerNorm(WIDTH), hidden=WIDTH)
    made.load_state_dict(ours(VILA.under("rqtransformer.")))
    return made.requires_grad_(False)


HEAD, LAW = head(), Chain(Categorical(allowed=range(VALUES)), length=DEPTH)
CODES = IN["codes"].flatten(1, 2)


class Watched:
    """The head, and what it says of each code that is drawn."""

    def __init__(self):
        self.said = []

    def __call__(self, hidden, aside, before):
        logits = HEAD(hidden, aside, before)
        self.said.append(logits[:, 0, -1])
        return logits


class Chosen(Streams):
    """Uniform numbers in the middle of what belongs to the official draw of each step."""

    def __init__(self):
        p, codes = OUT["gen_probs"][:, 0].double(), OUT["gen_codes"][0, 0]
        self.queue = [p[i, : codes[i]].sum() + p[i, codes[i]] / 2 for i in range(DEPTH)]

    def uniform(self, *shape):
        return self.queue.pop(0).view(1, 1)


def test_the_head_says_what_theirs_says():
    VILA.check("depth_logits", HEAD(IN["body"], None, CODES[..., :-1]))


def test_the_loss_is_that_of_their_logits():
    each = LAW.loss(HEAD, IN["body"][0], None, CODES[0], None)
    official = -OUT["depth_logits"][0].log_softmax(-1).gather(-1, CODES[0, ..., None])[..., 0].sum(1)
    torch.testing.assert_close(each, official, atol=1e-4, rtol=1e-4)


def test_guided_draws_with_their_cut_of_the_tail():
    watched, sampling = Watched(), Sampling(guidance=CONFIG["cfg"], top_p=CONFIG["top_p"])
    drawn = LAW.draw(watched, Seen(IN["gen_body"]), sampling, Chosen())
    assert torch.equal(drawn.value.expand(2, 1, -1), OUT["gen_codes"])
    p = truncate(guide(torch.stack(watched.said, 1).double(), CONFIG["cfg"]).softmax(-1), None, CONFIG["top_p"])
    VILA.check("gen_probs", (p / p.sum(-1, keepdim=True)).float()[:, None])
    torch.testing.assert_close(drawn.confidence, p.gather(-1, drawn.value.T).log().sum(0))


@pytest.mark.parametrize("mutation", ["codes alone", "no positions", "a code late"])
def test_another_head_says_something_else(mutation, monkeypatch):
    codes, head = CODES[..., :-1], deepcopy(HEAD)
    if mutation == "codes alone":
        monkeypatch.setattr(RunningSum, "forward", lambda self, codes: self.into(self.rows[codes]))
    elif mutation == "no positions":
        nn.init.zeros_(head.positions.weight)
    else:
        codes = codes.roll(1, -1)
    assert not VILA.agrees("depth_logits", head(IN["body"], None, codes))
