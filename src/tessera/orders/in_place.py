"""InPlace: all elements at once, along a noise path."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tessera.draws import Draw, normal_like
from tessera.orders.base import Ask, Context, Coroutine, Corrupted, Done, Pick, Writing
from tessera.paths import DDIM, Ends, Path, Predicts, Solver, heard, noised, resolve, target, told_all
from tessera.precision import precise


class Noisy(NamedTuple):
    """Elements on their way from noise to clean, and the time of each as networks are told it (see `Path.clock`).

    `walk` is the time of those that are not given, told to all: how far the picture is.
    """

    value: Float[Tensor, "... element feature"]
    time: Float[Tensor, "... element"]
    walk: Float[Tensor, "... element"]


class InPlace:
    """Diffusion or flow inside the trunk: every element is noisy, and answers for itself.

    In training a segment has one time, and its law learns what `predicts` says; in writing a `solver` walks the path in `steps`
    steps unless `Sampling.steps` says otherwise. Elements that are given stay clean throughout. Later segments read the clean view.
    A law that says twice as many numbers as an element has says variances besides, which a solver that adds noise follows.
    Source: Zhou et al. 2024, arXiv:2408.11039 (Transfusion), section 3.
    """

    lead, shared = 0, False

    def __init__(self, path: Path, *, predicts: Predicts = Predicts.VELOCITY, solver: Solver = DDIM(), steps: int = 25):
        self.path, self.predicts, self.solver, self.steps = path, predicts, solver, steps

    def reveal(self, clean: Float[Tensor, "element feature"]) -> Noisy:
        """Clean elements, at the time when nothing is noisy."""
        return self._shown(clean, clean.new_tensor(self.path.clean), clean.new_ones(len(clean), dtype=torch.bool))

    def corrupt(self, clean: Float[Tensor, "element feature"], keep: Bool[Tensor, "element"], context: Context, draw: Draw) -> Corrupted:
        """Noisy at one time of the path; what is given stays as it is, and is not learned."""
        clean = precise(clean)
        time, ends = self.path.sample(draw.rng, 1)[0].to(clean), Ends(clean, normal_like(clean, draw.rng))
        value = torch.where(keep[:, None], clean, noised(self.path, ends, time))
        return Corrupted(self._shown(value, time, keep), target(self.path, self.predicts, ends, time).expand_as(clean), ~keep)

    def write(self, w: Writing) -> Coroutine:
        """Walk from noise to clean, one pass of the trunk for each that the solver makes; passes leave nothing behind."""
        told_all("InPlace", self.path, self.predicts, self.solver)
        given, like, steps = w.keep[:, None], precise(w.like), w.steps or self.steps
        walk = self.solver(self.path, normal_like(like, w.rng), self.path.grid(steps), lambda: normal_like(like, w.rng))
        value, time = next(walk)
        for number in range(steps * self.solver.passes):
            value = torch.where(given, like, value)
            seen = yield Ask(self._shown(value, time, w.keep), clean=value, known=number / (steps * self.solver.passes))
            said, spread = heard((yield Pick(seen)).value.to(value), value.shape[-1])
            try:
                value, time = walk.send(resolve(self.path, self.predicts, value, said, time)._replace(spread=spread))
            except StopIteration as finished:
                return Done(torch.where(given, like, finished.value).to(w.like))
        raise AssertionError("the solver asks for more passes than it says")

    def _shown(self, value: Tensor, time: Tensor, keep: Tensor) -> Noisy:
        """A value at one time, but for what is given."""
        walk = time.to(value).masked_fill(keep.all(), self.path.clean).expand(len(value))
        return Noisy(value, self.path.clock(walk.masked_fill(keep, self.path.clean)), self.path.clock(walk))
