"""D-DiT from our parts, against numbers that the published code computed from the same weights.

Towers by port with gated adaptive norms are its joint transformer; AdaptiveReader and AdaptedWriter stand around the picture's, a table
through a layer in front of the text's. The published model tells the picture's time to all places, and does not let the mask be said.
"""

from types import SimpleNamespace

import pytest
import torch
from parity.fixture import load
from torch import Tensor, nn

from tessera.attention import causal, everywhere
from tessera.clocks import Clock
from tessera.codecs.patches import patchify
from tessera.laws import Categorical
from tessera.orders.in_place import Noisy
from tessera.orders.masked import PartlyHidden, hide
from tessera.readers import AdaptiveReader, HiddenReader, TokenReader
from tessera.trunk import MLP, Block, Experts, PreNorm, SelfAttention, Transformer
from tessera.writers import AdaptedWriter, LinearWriter

D_DIT = load("d_dit")
CONFIG, WEIGHTS, IN = D_DIT.config, D_DIT.weights, D_DIT.inputs
PATCH, CHANNELS, MASK = CONFIG["patch_size"], CONFIG["in_channels"], CONFIG["mask_index"]
HEADS, WIDTH = CONFIG["num_attention_heads"], CONFIG["num_attention_heads"] * CONFIG["attention_head_dim"]
COLUMNS, LARGEST = CONFIG["height"] // PATCH, CONFIG["pos_embed_max_size"]
TEXT, IMAGE = (SimpleNamespace(number=number) for number in range(2))
CLOCK = "time_text_embed.timestep_embedder.linear_"
OPEN = torch.tensor([0.0, 0.0, 1.0]).repeat_interleave(WIDTH)  # our gates say how much more than the plain step is added
STREAMS = {  # their names of what is ours: norms, queries, keys and values, what is seen, MLP
    IMAGE.number: ("norm1", ("to_q", "to_k", "to_v"), "to_out.0", "ff"),
    TEXT.number: ("norm1_context", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out", "ff_context"),
}


def joined(names: list[str], part: str) -> Tensor:
    return torch.cat([WEIGHTS[f"{name}.{part}"] for name in names])


def reordered(numbers: Tensor, order: tuple[int, ...]) -> Tensor:
    """As many chunks of what conditions say as there are numbers, in our order."""
    chunks = numbers.chunk(len(order))
    return torch.cat([chunks[i] for i in order])


def tower_state(stream: int) -> dict[str, Tensor]:
    """The published weights of one stream, named as in our `Transformer`. Ours scale, then shift, and their gates are less by 1."""
    norm, qkv, out, mlp = STREAMS[stream]
    state = {}
    for i in range(CONFIG["num_layers"]):
        theirs, ours = f"transformer_blocks.{i}", f"blocks.{i}"
        for part in ("weight", "bias"):
            for step, said in zip(("attention", "mlp"), WEIGHTS[f"{theirs}.{norm}.linear.{part}"].chunk(2), strict=True):
                state[f"{ours}.{step}.adapt.{part}"] = reordered(said, (1, 0, 2)) - (OPEN if part == "bias" else 0)
            state[f"{ours}.attention.inner.qkv.{part}"] = joined([f"{theirs}.attn.{name}" for name in qkv], part)
            state[f"{ours}.attention.inner.out.{part}"] = WEIGHTS[f"{theirs}.attn.{out}.{part}"]
            state[f"{ours}.mlp.inner.up.{part}"] = WEIGHTS[f"{theirs}.{mlp}.net.0.proj.{part}"]
            state[f"{ours}.mlp.inner.down.{part}"] = WEIGHTS[f"{theirs}.{mlp}.net.2.{part}"]
    return state


def trunk() -> Experts:
    norm = lambda: nn.LayerNorm(WIDTH, eps=1e-6, elementwise_affine=False)
    step = lambda inner: PreNorm(norm(), inner, condition=WIDTH, gated=True)
    block = lambda: Block(step(SelfAttention(WIDTH, HEADS, bias=True)), step(MLP(WIDTH, activation=nn.GELU("tanh"))))
    tower = lambda last: Transformer([block() for _ in range(CONFIG["num_layers"])], norm=last, rotary=None)
    towers = (tower(norm()), tower(nn.Identity()))
    for number, one in enumerate(towers):
        one.load_state_dict(tower_state(number))
    port = nn.Module()
    port.number = IMAGE.number
    return Experts(towers, {port: 1})


def positions() -> Tensor:
    """The middle of the published grid of positions, row by row."""
    grid, first = WEIGHTS["pos_embed.pos_embed"].unflatten(1, (LARGEST, LARGEST))[0], (LARGEST - COLUMNS) // 2
    return grid[first : first + COLUMNS, first : first + COLUMNS].flatten(0, 1)


def reader() -> AdaptiveReader:
    ours = AdaptiveReader(
        CHANNELS * PATCH**2, WIDTH, clock=Clock(WIDTH), columns=COLUMNS, positions=nn.Embedding.from_pretrained(positions())
    )
    state = {"embed.weight": WEIGHTS["pos_embed.proj.weight"].flatten(1), "embed.bias": WEIGHTS["pos_embed.proj.bias"]}
    state |= {f"clock.{part}.{kind}": WEIGHTS[f"{CLOCK}{i}.{kind}"] for i, part in ((1, "up"), (2, "out")) for kind in ("weight", "bias")}
    ours.load_state_dict(state | {"positions.weight": ours.positions.weight})
    return ours


def words() -> HiddenReader:
    """Ids through the text encoder's stand-in and the layer behind it; the mask is the published id's row."""
    project = nn.Linear(CONFIG["joint_attention_dim"], WIDTH)
    project.load_state_dict(D_DIT.under("context_embedder."))
    known = TokenReader(nn.Embedding.from_pretrained(IN["loss_text_table"]), adaptor=project)
    ours = HiddenReader(known, WIDTH)
    ours.mask.data = project(IN["loss_text_table"][MASK]).data
    return ours


def writers() -> tuple[AdaptedWriter, LinearWriter]:
    picture = AdaptedWriter(WIDTH, CONFIG["out_channels"] * PATCH**2, told=WIDTH)
    adapt = {f"adapt.{part}": reordered(WEIGHTS[f"image_norm_out.linear.{part}"], (1, 0)) for part in ("weight", "bias")}
    picture.load_state_dict(adapt | {f"out.{part}": WEIGHTS[f"image_proj_out.{part}"] for part in ("weight", "bias")})
    text = LinearWriter(WIDTH, CONFIG["vocab_size"], bias=True)
    text.load_state_dict({f"out.{part}": WEIGHTS[f"text_proj_out.{part}"] for part in ("weight", "bias")})
    return picture, text


class Published:
    """The published model of our parts. Pictures stand in front of text."""

    def __init__(self, places, rule=everywhere):
        self.places, self.rule, self.trunk, self.reader, self.words = places, rule, trunk(), reader(), words()
        self.draw, self.say = writers()
        self.told_to_words = True
        for part in (self.trunk, self.reader, self.words, self.draw, self.say):
            part.requires_grad_(False)

    def pass_through(self, seen: Tensor, said: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states of the picture and of the text."""
        rows, elements, count = len(said), seen.shape[1], said.shape[1]
        where = self.places(
            port=[[IMAGE.number] * elements + [TEXT.number] * count] * rows, document=[[i] * (elements + count) for i in range(rows)]
        )
        condition = torch.cat([told.expand(-1, elements, -1), self.told_to_words * told.expand(-1, count, -1)], 1)
        hidden = self.trunk(torch.cat([seen, said], 1), condition, where, self.rule)
        return hidden[:, :elements], hidden[:, elements:]

    def __call__(self, x: Tensor, said: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity of noisy latents, and hidden states of the text."""
        read = self.reader(Noisy(patchify(x, PATCH), *[time[:, None].expand(-1, COLUMNS**2)] * 2), torch.zeros(len(x), dtype=torch.long))
        seen, text = self.pass_through(read.embeddings, said, read.condition[:, :1])
        squares = self.draw(seen, read.aside).unflatten(1, (COLUMNS, COLUMNS)).unflatten(-1, (PATCH, PATCH, -1))
        return squares.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3), text

    def without_picture(self, said: Tensor) -> Tensor:
        """Hidden states of text alone, beside what stands for no picture."""
        told = self.reader.clock(torch.zeros(len(said), 1))
        return self.pass_through(WEIGHTS["null_image_embd"].expand(len(said), -1, -1), said, told)[1]

    def read(self, visible: PartlyHidden) -> Tensor:
        return self.words(visible, torch.zeros(len(visible.value), dtype=torch.long)).embeddings


@pytest.fixture
def published(places) -> Published:
    return Published(places)


def embedded(published: Published) -> Tensor:
    return published.words.known.adaptor(IN["text_hidden"])


def velocity(published: Published) -> Tensor:
    return published(IN["latents"], embedded(published), IN["timestep"])[0]


def test_the_velocity_and_the_logits_under_it(published):
    drawn, hidden = published(IN["latents"], embedded(published), IN["timestep"])
    D_DIT.check("velocity", drawn)
    D_DIT.check("text_logits", published.say(hidden))


def test_logits_of_text_alone(published):
    D_DIT.check("text_only_logits", published.say(published.without_picture(embedded(published))))


def noised() -> tuple[Tensor, PartlyHidden]:
    """The time of each text, and what is hidden of it: numbers spread evenly over the batch, and each word against its own number."""
    count = len(IN["loss_uniform_t"])
    spread = (IN["loss_uniform_t"] / count + torch.arange(count) / count) % 1
    time = (1 - CONFIG["sampling_eps"]) * spread + CONFIG["sampling_eps"]
    hidden = (IN["loss_uniform_mask"] < (1 - CONFIG["noise_eps"]) * time[:, None]) & IN["loss_label_mask"].bool()
    laid = [hide(*each) for each in zip(IN["loss_tokens"], hidden, strict=True)]
    return time, PartlyHidden(*(torch.stack(parts) for parts in zip(*laid, strict=True)))


def text_loss(published: Published) -> Tensor:
    """Nats of the hidden words, each standing for as many as its time says, for a word of the batch."""
    time, visible = noised()
    _, hidden = published(IN["latents"], published.read(visible), torch.zeros(len(time)))
    published.say.out.bias[MASK] = -1e6
    law, where = Categorical(allowed=range(CONFIG["vocab_size"])), visible.hidden
    each = law.loss(published.say, hidden[where], None, IN["loss_tokens"][where], None)
    return (each / time[:, None].expand_as(where)[where]).sum() / where.numel()


def test_the_loss_of_masked_text(published):
    time, visible = noised()
    D_DIT.check("loss_t", time)
    D_DIT.check("loss_noised_tokens", torch.where(visible.hidden, MASK, visible.value))
    D_DIT.check("text_loss", text_loss(published))


def streams_swapped(published):
    published.trunk.route = ((published.trunk.route[0][0], 0),)


def words_look_back(published):
    published.rule = causal


def words_hear_no_time(published):
    published.told_to_words = False


def gates_are_open(published):
    for step in (part for part in published.trunk.modules() if isinstance(part, PreNorm)):
        step.adapt.weight[2 * WIDTH :], step.adapt.bias[2 * WIDTH :] = 0, 0


def no_positions(published):
    published.reader.positions.weight.zero_()


def positions_of_a_corner(published):
    published.reader.positions.weight.copy_(
        WEIGHTS["pos_embed.pos_embed"].unflatten(1, (LARGEST, LARGEST))[0, :COLUMNS, :COLUMNS].flatten(0, 1)
    )


MUTATIONS = [streams_swapped, words_look_back, words_hear_no_time, gates_are_open, no_positions, positions_of_a_corner]


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_model_is_not(mutation, published):
    mutation(published)
    assert not D_DIT.agrees("velocity", velocity(published))


def test_a_mutated_loss_is_not(published):
    published.words.mask.zero_()
    assert not D_DIT.agrees("text_loss", text_loss(published))
