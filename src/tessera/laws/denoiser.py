"""Denoiser: a continuous value, drawn by a small diffusion of its own behind the trunk."""

import torch
from jaxtyping import Float
from torch import Tensor

from tessera.bound import bits
from tessera.draws import Draw, Streams, normal_like
from tessera.laws.base import Drawn, Sampling, guide
from tessera.orders.base import Seen
from tessera.paths import DDIM, Ends, Path, Predicts, Solver, heard, noised, resolve, target, told_all
from tessera.precision import precise
from tessera.writers import Writer


class Denoiser:
    """Diffusion or flow of one element at a time, given what the trunk says of it; noise never enters the trunk.

    An element has `features` numbers. Its writer is told a noisy value and its time besides (`DenoisingWriter`), and says of them
    what `predicts` names. A writer that says twice as many numbers learns variances too, by the variational bound: the second half,
    from -1 to 1, says where in its range the logarithm of each lies (see `Ends`); a solver that adds noise then follows it.
    `repeats` is at how many times each element is learned per pass of the trunk. The solver makes `steps` steps, unless
    `Sampling.denoising` says otherwise. The temperature multiplies the noise that it adds, or, where it adds none, that from which it
    starts. Guidance moves what is predicted, not variances, which are those under the prompt. It has no likelihood.
    Source: Li et al. 2024, arXiv:2406.11838 (MAR), section 3.2 and its code.
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
        target = precise(target)
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
        """The mean squared error of what the head says, over features and repeats; where variances are learned, plus the bound, in bits."""
        assert noise is not None
        time, truth = noise[..., :1], Ends(target[:, None].to(noise).expand(-1, self.repeats, -1), noise[..., 1:])
        hidden = hidden[:, None].expand(-1, self.repeats, -1)
        aside = None if aside is None else aside[:, None].expand(-1, self.repeats, *aside.shape[1:])
        value = noised(self.path, truth, time)
        said, spread = self._heard(writer(hidden, aside, value.to(hidden), self.path.clock(time[..., 0])))
        error = (said - self._target(truth, time)).square()
        if spread is not None:
            ends = resolve(self.path, self.predicts, value, said.detach(), time)
            error = error + bits(self.path, truth, ends._replace(spread=spread), time)
        return error.mean((-1, -2))

    def _target(self, ends: Ends, time: Tensor) -> Tensor:
        return target(self.path, self.predicts, ends, time)

    def _heard(self, said: Tensor) -> tuple[Tensor, Tensor | None]:
        """What is predicted, and what is said of variances, if anything."""
        return heard(precise(said), self.features)

    def draw(self, writer: Writer, seen: Seen, sampling: Sampling, rng: Streams) -> Drawn:
        """Walk from noise to clean, all answers side by side; the head is asked in every branch."""
        told_all("Denoiser", self.path, self.predicts, self.solver)
        branches, answers = seen.hidden.shape[:2]
        fresh = lambda: precise(rng.normal(self.features))
        warm = lambda: sampling.temperature * fresh()
        start = fresh() if self.solver.adds else warm()
        walk = self.solver(self.path, start, self.path.grid(sampling.denoising or self.steps), warm)
        value, time = next(walk)
        while True:
            clock = self.path.clock(time).expand(branches, answers)
            said, spread = self._heard(writer(seen.hidden, seen.aside, value.to(seen.hidden).expand(branches, *value.shape), clock))
            ends = resolve(self.path, self.predicts, value, guide(said, sampling.guidance), time)
            try:
                value, time = walk.send(ends._replace(spread=None if spread is None else spread[0]))
            except StopIteration as finished:
                return Drawn(finished.value, finished.value.new_zeros(answers))
