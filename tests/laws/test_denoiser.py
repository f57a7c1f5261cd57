from itertools import pairwise

import pytest
import torch
from torch import nn

from tessera.draws import Draw, Streams
from tessera.laws import Denoiser, Sampling
from tessera.orders import Seen
from tessera.paths import DDIM, Diffusion, Flow, Predicts, cosine_betas, linear_betas, posterior
from tessera.writers import DenoisingWriter

PATHS = {
    "flow": (Flow(), Predicts.VELOCITY),
    "noise": (Diffusion(linear_betas()), Predicts.NOISE),
    "v": (Diffusion(cosine_betas()), Predicts.VELOCITY),
}


def streams(n, seed=0):
    return Streams([torch.Generator().manual_seed(seed)], [n], torch.zeros(1))


class Perfect:
    """What is said when every element is N(hidden, 1/4): both ends follow from the value in closed form."""

    def __init__(self, path, predicts):
        self.path, self.predicts = path, predicts

    def __call__(self, hidden, aside, value, time):
        time = (time / 1000 if isinstance(self.path, Flow) else time)[..., None]
        signal, noise = self.path.weights(time)
        spread = signal**2 / 4 + noise**2
        clean = hidden + signal / 4 / spread * (value - signal * hidden)
        left = noise / spread * (value - signal * hidden)
        if self.predicts is Predicts.NOISE:
            return left
        of_clean, of_noise = self.path.velocity(time)
        return of_clean * clean + of_noise * left


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_perfect_head_draws_what_it_knows(name, eta):
    path, predicts = PATHS[name]
    law = Denoiser(2, path, predicts=predicts, solver=DDIM(eta), steps=250)
    hidden = torch.tensor([[3.0, -1.0]]).expand(1, 4000, 2)
    drawn = law.draw(Perfect(path, predicts), Seen(hidden), Sampling(), streams(4000)).value
    assert (drawn.mean(0) - hidden[0, 0]).abs().max() < 0.06
    assert (drawn.std(0) - 0.5).abs().max() < 0.03


def test_guidance_moves_the_mean_as_far_as_it_says():
    law = Denoiser(1, Flow(), steps=50)
    hidden = torch.stack([torch.full((500, 1), 1.0), torch.zeros(500, 1)])
    means = [
        float(law.draw(Perfect(Flow(), Predicts.VELOCITY), Seen(hidden), Sampling(guidance=g), streams(500)).value.mean())
        for g in (0.0, 1.0, 2.0)
    ]
    # Both branches have one spread, so the guided velocity is that of a mean of g.
    assert means == pytest.approx([0.0, 1.0, 2.0], abs=0.08)


def test_no_temperature_draws_one_value():
    path, predicts = PATHS["flow"]
    drawn = Denoiser(2, path).draw(Perfect(path, predicts), Seen(torch.ones(1, 6, 2)), Sampling(temperature=0.0), streams(6)).value
    assert float(drawn.std(0).max()) < 1e-6


@pytest.mark.parametrize("repeats", [1, 4])
def test_the_loss_of_a_perfect_head_is_what_cannot_be_known(repeats):
    """On a flow the velocity's variance given the value is 1/4 over the spread there; its mean over times is a known integral."""
    law, target = Denoiser(1, Flow(), repeats=repeats), 0.5 * torch.randn(20_000, 1, generator=torch.Generator().manual_seed(1))
    noise = law.noise(target, Draw(4))
    assert noise.shape == (20_000, repeats, 2)
    loss = law.loss(Perfect(Flow(), Predicts.VELOCITY), torch.zeros(20_000, 1), None, target, noise)
    time = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    expected = float((0.25 / (time**2 / 4 + (1 - time) ** 2)).mean())
    assert float(loss.mean()) == pytest.approx(expected, rel=0.03)


def test_a_head_learns_a_mixture():
    """Two points for each of two conditions: what is drawn falls on the right ones, half on each."""
    torch.manual_seed(0)
    head, law, table = DenoisingWriter(8, 1, hidden=64, depth=2), Denoiser(1, Flow(), steps=25, repeats=4), nn.Embedding(2, 8)
    points = torch.tensor([[-2.0, -1.0], [1.0, 2.0]])
    optimizer = torch.optim.Adam([*head.parameters(), *table.parameters()], lr=3e-3)
    rng = torch.Generator().manual_seed(0)
    for step in range(600):
        which, side = torch.randint(2, (2, 64), generator=rng)
        target = points[which, side][:, None]
        loss = law.loss(head, table(which), None, target, law.noise(target, Draw(step))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for which in range(2):
            hidden = table(torch.full((1, 400), which))
            drawn = law.draw(head, Seen(hidden), Sampling(), streams(400)).value
            near = (drawn - points[which]).abs()
            assert float((near.min(-1).values < 0.3).float().mean()) > 0.9
            assert abs(float((near.argmin(-1) == 0).float().mean()) - 0.5) < 0.12


class PerfectlyWide:
    """As Perfect, of noise; and how wide the step back is. What each step takes from the noisy value is normal, so both say all."""

    def __init__(self, path, grid):
        self.mean, self.path, self.later = Perfect(path, Predicts.NOISE), path, dict(pairwise(grid.tolist()))

    def __call__(self, hidden, aside, value, time):
        now = time.flatten()[0].double()
        back = posterior(self.path, now, torch.tensor(self.later[float(now)], dtype=torch.float64))
        signal, noise = self.path.weights(now)
        unknown = noise**2 / 4 / (signal**2 / 4 + noise**2)
        spread = ((back.variance + back.clean**2 * unknown) / back.variance).log() / (back.step / back.variance).log()
        wide = torch.full_like(value, float((2 * spread - 1).nan_to_num()))
        return torch.cat([self.mean(hidden, aside, value, time), wide], -1)


def test_learned_variances_need_fewer_steps():
    path, steps = Diffusion(linear_betas()), 5
    law = Denoiser(1, path, predicts=Predicts.NOISE, solver=DDIM(1.0), steps=steps)
    hidden = torch.full((1, 20_000, 1), 2.0)
    heads = PerfectlyWide(path, path.grid(steps)), Perfect(path, Predicts.NOISE)
    learned, fixed = (float(law.draw(head, Seen(hidden), Sampling(), streams(20_000)).value.std()) for head in heads)
    assert learned == pytest.approx(0.5, abs=0.012)
    assert fixed < 0.43


def test_variances_are_learned_beside_the_mean_and_leave_it_alone():
    law, head = Denoiser(3, Diffusion(cosine_betas()), predicts=Predicts.NOISE), DenoisingWriter(4, 3, hidden=8, depth=1, outputs=6)
    target, hidden = torch.randn(10, 3), torch.randn(10, 4)
    noise = law.noise(target, Draw(1))
    law.loss(head, hidden, None, target, noise).mean().backward()
    both = head.last.out.bias.grad.clone()
    head.zero_grad()
    law.loss(lambda *told: head(*told)[..., :3], hidden, None, target, noise).mean().backward()
    torch.testing.assert_close(both[:3], head.last.out.bias.grad[:3])
    assert bool((both[3:] != 0).all()) and not head.last.out.bias.grad[3:].any()


def test_guidance_leaves_variances_alone():
    path = Diffusion(linear_betas())
    law = Denoiser(1, path, predicts=Predicts.NOISE, solver=DDIM(1.0), steps=8)
    asked = []

    class Spy(DDIM):
        def __call__(self, *of):
            walk = super().__call__(*of)
            x = next(walk)
            while True:
                ends = yield x
                asked.append(ends.spread.unique().tolist())
                try:
                    x = walk.send(ends)
                except StopIteration as finished:
                    return finished.value

    law.solver = Spy(1.0)
    head = lambda hidden, aside, value, time: torch.cat([value, hidden], -1)
    law.draw(head, Seen(torch.stack([torch.full((3, 1), 0.5), torch.full((3, 1), -0.5)])), Sampling(guidance=4.0), streams(3))
    assert asked == [[0.75]] * 8


def test_temperature_is_that_of_the_noise_on_the_way_where_there_is_any():
    path, predicts = PATHS["noise"]
    law = Denoiser(2, path, predicts=predicts, solver=DDIM(1.0), steps=50)
    stds = [
        float(law.draw(Perfect(path, predicts), Seen(torch.ones(1, 4000, 2)), Sampling(temperature=t), streams(4000)).value.std())
        for t in (0.0, 0.7, 1.0)
    ]
    assert stds[0] < 0.02 and stds[0] < stds[1] < stds[2] - 0.1
