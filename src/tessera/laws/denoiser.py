"""Denoiser: a continuous value, drawn by a small diffusion of its own behind the trunk."""

import torch
from jaxtyping import Float
from torch import Tensor

from tessera.draws import Draw, Streams, normal_like
from tessera.laws.base import Drawn, Sampling, guide
from tessera.orders.base import Seen
from tessera.paths import DDIM, Ends, Path, Predicts, Solver, noised, resolve, target
from tessera.writers import Writer


class Denoiser:
    """Diffusion or flow of one element at a time, given what the trunk says of it; noise never enters the trunk.

    An element has `features` numbers. Its writer is told a noisy value and its time besides (`DenoisingWriter`), and says of them
    what `predicts` names. `repeats` is at how many times each element is learned per pass of the trunk. The solver makes `steps`
    steps, unless `Sampling.steps` says otherwise; the temperature multiplies all noise. It has no likelihood.
    Source: Li et al. 2024, arXiv:2406.11838 (MAR), section 3.2.
    """

    def __init__(
        self,
        features: int,
        path: Path,
        *,
        predicts: Predicts = Predicts.VELOCITY,
        solver: Solver = DDIM(),
        steps: int = 25,
        repeats: int = 1,
        sampling: Sampling = Sampling(),
    ):
        self.features, self.path, self.predicts, self.solver = features, path, predicts, solver
        self.steps, self.repeats, self.sampling = steps, repeats, sampling

    def noise(self, target: Float[Tensor, "element feature"], draw: Draw) -> Tensor:
        """For each of the `repeats` times that an element is learned at: the time, then noise."""
        time = self.path.sample(draw.rng, len(target) * self.repeats).view(len(target), self.repeats, 1).to(target)
        return torch.cat([time, normal_like(target[:, None].expand(-1, self.repeats, -1), draw.rng)], -1)

    def loss(
        self,
        writer: Writer,
        hidden: Float[Tensor, "answer width"],
        aside: Tensor | None,
        target: Float[Tensor, "answer feature"],
        noise: Tensor | None,
    ) -> Float[Tensor, "answer"]:
        """The mean squared error of what the head says, over features and repeats."""
        assert noise is not None
        time, ends = noise[..., :1], Ends(target[:, None].expand(-1, self.repeats, -1), noise[..., 1:])
        hidden = hidden[:, None].expand(-1, self.repeats, -1)
        aside = None if aside is None else aside[:, None].expand(-1, self.repeats, *aside.shape[1:])
        said = writer(hidden, aside, noised(self.path, ends, time), self.path.clock(time[..., 0]))
        return (said - self._target(ends, time)).square().mean((-1, -2))

    def _target(self, ends: Ends, time: Tensor) -> Tensor:
        return target(self.path, self.predicts, ends, time)

    def draw(self, writer: Writer, seen: Seen, sampling: Sampling, rng: Streams) -> Drawn:
        """Walk from noise to clean, all answers side by side; the head is asked in every branch, and guided in what it predicts."""
        branches, answers = seen.hidden.shape[:2]
        steps, fresh = sampling.steps or self.steps, lambda: sampling.temperature * rng.normal(self.features)
        walk = self.solver(self.path, fresh(), self.path.grid(steps), fresh)
        value, time = next(walk)
        while True:
            clock = self.path.clock(time).expand(branches, answers)
            said = guide(writer(seen.hidden, seen.aside, value.expand(branches, *value.shape), clock), sampling.guidance)
            try:
                value, time = walk.send(resolve(self.path, self.predicts, value, said, time))
            except StopIteration as finished:
                return Drawn(finished.value, finished.value.new_zeros(answers))
