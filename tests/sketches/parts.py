"""What the sketches share: a text port, a trunk, pictures of 8 x 8 pixels, and crude orders, laws, readers and writers."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from tessera.codecs import BPE, Patches
from tessera.document import Task, Text
from tessera.draws import normal_like
from tessera.laws import Categorical, Drawn, Sampling, guide
from tessera.orders import Ask, Corrupted, Done, Next, Pick
from tessera.ports import Port
from tessera.readers import Read, TokenReader, grid_coordinates
from tessera.stages import Stage
from tessera.trunk import MLP, Block, PreNorm, Rotary, SelfAttention, Transformer
from tessera.writers import LinearWriter

WIDTH, PIXELS, PATCH = 32, 8, 4
COLUMNS = PIXELS // PATCH
MIX = {Task.DRAW: 0.5, Task.CAPTION: 0.5}


def transformer(*, conditioned: bool = False) -> Transformer:
    """Two blocks that turn by order, row and column."""
    condition = WIDTH if conditioned else None
    norm = lambda inner: PreNorm(nn.RMSNorm(WIDTH), inner, condition=condition)
    blocks = [Block(norm(SelfAttention(WIDTH, 2, kv_heads=1)), norm(MLP(WIDTH, 2 * WIDTH))) for _ in range(2)]
    return Transformer(blocks, norm=nn.RMSNorm(WIDTH), rotary=Rotary(WIDTH // 2, axes=("order", "row", "column"), theta=100.0))


def text_port() -> Port:
    """Text over the library's own vocabulary."""
    bpe = BPE()
    reader, writer = TokenReader(nn.Embedding(bpe.size, WIDTH)), LinearWriter(WIDTH, bpe.size)
    return Port("text", Text, codec=bpe, reader=reader, writer=writer, order=Next(), law=Categorical(allowed=bpe.writable))


def patches(patch: int = PATCH) -> Patches:
    """Squares of pixels."""
    return Patches(pixels=PIXELS, patch=patch)


def joint(*modules: nn.Module) -> Stage:
    """One stage for these modules."""
    return Stage("joint", train=modules, documents=64, mix=MIX, batch=8, lr=3e-3)


# ---------------------------------------------------------------- orders


class Noised(NamedTuple):
    """Elements between noise (time 0) and clean (time 1)."""

    value: Tensor
    time: Tensor


class InPlace:
    """All elements at once along a straight line from noise; the target is the velocity."""

    lead, shared = 0, False

    def __init__(self, steps: int = 3):
        self.steps = steps

    def reveal(self, clean):
        return Noised(clean, clean.new_ones(len(clean)))

    def corrupt(self, clean, keep, context, draw):
        time = torch.rand((), generator=draw.rng).to(clean).expand(len(clean)).masked_fill(keep, 1.0)
        noise = normal_like(clean, draw.rng)
        return Corrupted(Noised(torch.lerp(noise, clean, time[:, None]), time), clean - noise, ~keep)

    def write(self, w):
        x, steps = torch.where(w.keep[:, None], w.like, normal_like(w.like, w.rng)), w.steps or self.steps
        for step in range(steps):
            time = x.new_full((len(x),), step / steps).masked_fill(w.keep, 1.0)
            drawn = yield Pick((yield Ask(Noised(x, time), clean=x, known=step / steps)))
            x = torch.where(w.keep[:, None], w.like, x + drawn.value.to(x) / steps)
        return Done(x)


# ---------------------------------------------------------------- laws


class Regression:
    """Squared error; what is drawn is what is predicted."""

    sampling = Sampling()

    def noise(self, target, draw):
        return None

    def loss(self, writer, hidden, aside, target, noise):
        return (writer(hidden, aside) - target).square().mean(-1)

    def draw(self, writer, seen, sampling, rng):
        value = guide(writer(seen.hidden, seen.aside), sampling.guidance)
        return Drawn(value, value.new_zeros(len(value)))


class Denoiser:
    """A small flow behind the trunk, per element (Li et al. 2024, arXiv:2406.11838)."""

    sampling, steps = Sampling(), 3

    def noise(self, target, draw):
        time = torch.rand(len(target), 1, generator=draw.rng).to(target)
        return torch.cat([time, normal_like(target, draw.rng)], -1)

    def loss(self, writer, hidden, aside, target, noise):
        time, start = noise[:, :1], noise[:, 1:]
        return (writer(hidden, aside, torch.lerp(start, target, time), time) - (target - start)).square().mean(-1)

    def draw(self, writer, seen, sampling, rng):
        x = rng.normal(writer.features)
        for step in range(self.steps):
            time = x.new_full((*seen.hidden.shape[:2], 1), step / self.steps)
            velocity = writer(seen.hidden, seen.aside, x.expand(len(time), *x.shape), time)
            x = x + guide(velocity, sampling.guidance) / self.steps
        return Drawn(x, rng.uniform(1)[:, 0])


# ---------------------------------------------------------------- readers and writers


class NoisedReader(nn.Module):
    """A place for the time in front; time is also the condition, and what was seen goes round the trunk."""

    elementwise = False

    def __init__(self, features: int):
        super().__init__()
        self.embed, self.time = nn.Linear(features, WIDTH), nn.Linear(1, WIDTH)

    def forward(self, visible, start):
        time, n = self.time(visible.time[..., None]), visible.time.shape[1]
        grid = grid_coordinates(start, n, COLUMNS)
        embeddings = torch.cat([time.mean(1, keepdim=True), self.embed(visible.value)], 1)
        condition = torch.cat([torch.zeros_like(time[:, :1]), time], 1)
        coordinates = torch.cat([torch.zeros_like(grid[:, :1]), grid], 1)
        return Read(embeddings, torch.arange(1, n + 1), coordinates, condition, visible.value)


class RowEndReader(nn.Module):
    """Continuous elements, and a place more at the end of each row of the picture."""

    elementwise = False

    def __init__(self, features: int, *, columns: int = COLUMNS):
        super().__init__()
        self.embed, self.columns, self.end = nn.Linear(features, WIDTH), columns, nn.Parameter(torch.randn(WIDTH))

    def forward(self, visible, start):
        count, first = visible.shape[1], int(start[0])
        embeddings, grid = self.embed(visible), grid_coordinates(start, count, self.columns)
        places, coordinates, predicts = [], [], []
        for i in range(count):
            predicts.append(len(places))
            ends = (first + i) % self.columns == self.columns - 1
            places += [embeddings[:, i], self.end.expand(len(start), -1)] if ends else [embeddings[:, i]]
            coordinates += [grid[:, i]] * (1 + ends)
        return Read(torch.stack(places, 1), torch.tensor(predicts), torch.stack(coordinates, 1))


class SkipWriter(nn.Module):
    """One linear layer of what the trunk says, and one of what went round it."""

    def __init__(self, features: int):
        super().__init__()
        self.out, self.skip = nn.Linear(WIDTH, features), nn.Linear(features, features)

    def forward(self, hidden, aside):
        return self.out(hidden) + self.skip(aside)


class DenoisingWriter(nn.Module):
    """A small MLP: the velocity of x at a time, given what the trunk says."""

    def __init__(self, features: int):
        super().__init__()
        self.features = features
        self.net = nn.Sequential(nn.Linear(WIDTH + features + 1, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, features))

    def forward(self, hidden, aside, x, time):
        return self.net(torch.cat([hidden, x, time], -1))
