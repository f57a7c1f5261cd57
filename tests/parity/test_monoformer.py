"""MonoFormer from our parts, against numbers that the published code computed from the same weights.

TimedReader and AdaptedWriter stand around a Llama trunk that is causal but within pictures; sampling is Diffusion's, ancestral, with
learned variances. Official guidance changes the first three channels alone, and feeds both halves of a batch the first half's picture.
"""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from parity.fixture import load
from parity.llama import llama
from torch import Tensor, nn

from tessera.attention import causal, within
from tessera.codecs.patches import patchify
from tessera.hub.filling import filled
from tessera.hub.monoformer import READER, WRITER
from tessera.orders.in_place import Noisy
from tessera.paths import DDIM, Diffusion, Predicts, linear_betas, resolve
from tessera.readers import TimedReader, TokenReader
from tessera.writers import AdaptedWriter

MONOFORMER = load("monoformer")
CONFIG, WEIGHTS, IN = MONOFORMER.config, MONOFORMER.weights, MONOFORMER.inputs
WIDTH, PATCH, CHANNELS = CONFIG["hidden_size"], CONFIG["patch_size"], CONFIG["in_channels"]
COLUMNS, GUIDED = CONFIG["latent_size"] // PATCH, 3
RULE = causal | within(SimpleNamespace(name="image", number=1))


def of(prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """The published weights whose names start so."""
    return {name: weight for name, weight in WEIGHTS.items() if name.startswith(prefixes)}


def reader() -> TimedReader:
    made = TimedReader(CHANNELS * PATCH**2, WIDTH, columns=COLUMNS)
    return filled(made, READER, of(("t_embedder.", "t_projector.", "x_embedder.")))


def writer() -> AdaptedWriter:
    return filled(AdaptedWriter(WIDTH, 2 * CHANNELS * PATCH**2, told=WIDTH), WRITER, of(("final_layer.",)))


class Published:
    """The published model of our parts: ids, with a picture in place of its placeholder."""

    def __init__(self, places, rule=RULE):
        self.places, self.rule = places, rule
        self.read, self.write, self.trunk = reader(), writer(), llama(MONOFORMER.under("model."), CONFIG)
        self.words = TokenReader(nn.Embedding.from_pretrained(WEIGHTS["model.embed_tokens.weight"]))

    def text(self, ids: Tensor) -> Tensor:
        """Logits of text alone."""
        embeddings = self.words(ids, torch.zeros(len(ids), dtype=torch.long)).embeddings
        return F.linear(
            self.trunk(embeddings, None, self.places(port=[[0] * ids.shape[1]] * len(ids)), self.rule), WEIGHTS["lm_head.weight"]
        )

    def __call__(self, ids: Tensor, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of every place, and what is said of the noisy picture, twice its channels."""
        count = COLUMNS**2
        elements = patchify(x, PATCH)
        seen = self.read(Noisy(elements, *[time[:, None].float().expand(-1, count)] * 2), torch.zeros(len(x), dtype=torch.long))
        words = self.words(ids, torch.zeros(len(ids), dtype=torch.long)).embeddings
        rows, ports, segments, picture = [], [], [], []
        for i, row in enumerate(ids.tolist()):
            at = row.index(CONFIG["image_token_index"])
            rows.append(torch.cat([words[i, :at], seen.embeddings[i], words[i, at + 1 :]]))
            ports.append([0] * (at + 1) + [1] * count + [0] * (len(row) - at - 1))
            segments.append([0] * (at + 1) + [1] * count + [2] * (len(row) - at - 1))
            picture.append(torch.arange(at + 1, at + 1 + count))
        hidden = self.trunk(torch.stack(rows), None, self.places(port=ports, segment=segments), self.rule)
        said = self.write(torch.stack([hidden[i, at] for i, at in enumerate(picture)]), seen.aside)
        squares = said.unflatten(1, (COLUMNS, COLUMNS)).unflatten(-1, (PATCH, PATCH, -1))
        return F.linear(hidden, WEIGHTS["lm_head.weight"]), squares.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)

    def guided(self, ids: Tensor, x: Tensor, time: Tensor) -> Tensor:
        """The same of the first half's picture in both rows, its first channels guided."""
        half = x[: len(x) // 2]
        _, said = self(ids, torch.cat([half, half]), time)
        asked, dropped = said[:, :GUIDED].chunk(2)
        mixed = dropped + CONFIG["cfg_scale"] * (asked - dropped)
        return torch.cat([torch.cat([mixed, mixed]), said[:, GUIDED:]], 1)


def evenly(n: int, steps: int) -> Tensor:
    """The published times, the noisiest first."""
    return MONOFORMER.outputs["sample_timesteps"].flip(0).double()


def test_logits_of_text_and_around_a_picture(places):
    published = Published(places)
    MONOFORMER.check("text_logits", published.text(IN["text_ids"]))
    MONOFORMER.check("logits", published(IN["input_ids"], IN["x_t"], IN["t"])[0])


def test_what_is_said_of_pictures(places):
    published = Published(places)
    MONOFORMER.check("x_out", published(IN["input_ids"], IN["x_t"], IN["t"])[1])
    MONOFORMER.check("x_out_cfg", published.guided(IN["input_ids"], IN["x_t"], IN["t"]))


def test_the_respaced_diffusion_keeps_the_published_times():
    path, kept = Diffusion(linear_betas(), spacing=evenly), MONOFORMER.outputs["sample_timesteps"]
    assert torch.equal(path.grid(len(kept))[:-1], kept.flip(0).double())
    signal = path.signal[kept].square()
    before = torch.cat([signal.new_ones(1), signal[:-1]])
    torch.testing.assert_close((1 - signal / before).to(MONOFORMER.outputs["sample_betas"]), MONOFORMER.outputs["sample_betas"])


@torch.no_grad()
def test_guided_sampling_walks_the_published_way(places):
    published, path, steps = Published(places), Diffusion(linear_betas(), spacing=evenly), CONFIG["steps"]
    fresh = iter(IN["step_noise"])
    walk, walked = DDIM(eta=1.0)(path, IN["sample_noise"], path.grid(steps), lambda: next(fresh)), []
    value, time = next(walk)
    while True:
        said, spread = published.guided(IN["input_ids"], value, time.expand(len(value))).chunk(2, 1)
        ends = resolve(path, Predicts.NOISE, value, said, time)._replace(spread=(spread + 1) / 2)
        try:
            value, time = walk.send(ends)
        except StopIteration as finished:
            walked.append(finished.value)
            break
        walked.append(value)
    MONOFORMER.check("trajectory", torch.stack(walked).float())


def no_view_of_the_whole(published):
    published.rule = causal


def no_positions(published):
    published.read.positions.zero_()


def rows_and_columns_swapped(published):
    published.read.positions.copy_(published.read.positions.roll(WIDTH // 2, -1))


def time_does_not_shift(published):
    shift = slice(len(published.write.adapt.bias) // 2)
    published.write.adapt.weight.data[shift], published.write.adapt.bias.data[shift] = 0, 0


@pytest.mark.parametrize("mutation", [no_view_of_the_whole, no_positions, rows_and_columns_swapped, time_does_not_shift])
def test_a_mutated_model_is_not(mutation, places):
    published = Published(places)
    mutation(published)
    assert not MONOFORMER.agrees("x_out", published(IN["input_ids"], IN["x_t"], IN["t"])[1])
