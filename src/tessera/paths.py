"""Noise paths: how noise becomes clean, what a network says about it on the way, and how to walk from one end to the other."""

from collections.abc import Callable, Generator
from enum import Enum
from itertools import pairwise
from math import log
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Times = Callable[[torch.Generator, int], Float[Tensor, "number"]]


class Predicts(Enum):
    """What a network says of a noisy value: the clean one, the noise in it, or the path's velocity."""

    CLEAN = "clean"
    NOISE = "noise"
    VELOCITY = "velocity"

    @classmethod
    def _missing_(cls, value: object) -> "Predicts":
        raise ValueError(f"predicts: {value!r}; {', '.join(one.value for one in cls)} are accepted; choose one")


class Ends(NamedTuple):
    """The two ends of the path through a noisy value.

    Where a network learns variances too, `spread` says that of a step back: 0 is the posterior's, 1 all the noise of the step,
    and between them logarithms are mixed (Nichol and Dhariwal 2021, arXiv:2102.09672, section 3.1).
    """

    clean: Tensor
    noise: Tensor
    spread: Tensor | None = None


@runtime_checkable
class Path(Protocol):
    """A noisy value is `signal * clean + noise * standard normal noise`, with both weights a function of time.

    `clean` is the time at which nothing is left of the noise. Times are tensors that broadcast against values.
    """

    clean: float

    def weights(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """How much of the clean value and of the noise there is."""
        ...

    def velocity(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """The same for the velocity, which is a sum of both ends too."""
        ...

    def clock(self, time: Tensor) -> Tensor:
        """The time as networks are told it, from 0 to about 1,000."""
        ...

    def sample(self, rng: torch.Generator, n: int) -> Float[Tensor, "number"]:
        """Times to learn from."""
        ...

    def grid(self, steps: int) -> Float[Tensor, "number"]:
        """`steps` + 1 times to write along, from noise to clean."""
        ...


def uniform(rng: torch.Generator, n: int) -> Float[Tensor, "number"]:
    """Times from 0 to 1, all as likely."""
    return torch.rand(n, generator=rng, dtype=torch.float64)


def logit_normal(mean: float = 0.0, std: float = 1.0) -> Times:
    """Times whose logit is normal: most in the middle of the path (Esser et al. 2024, arXiv:2403.03206, section 3.1)."""
    return lambda rng, n: torch.sigmoid(mean + std * torch.randn(n, generator=rng, dtype=torch.float64))


class Flow:
    """A straight path from noise (time 0) to clean (time 1); its velocity is clean - noise.

    `times` draws times to learn from. `shift` over 1 makes steps shorter near the noise: with s the share of noise, the even
    grid becomes shift s / (1 + (shift - 1) s). With a `least` share, the even grid ends there, and the last step goes on from it to clean.
    Where it is told `backwards`, networks hear 1,000 of noise and 0 of clean, and say noise - clean, as Stable Diffusion 3's do.
    Sources: Liu et al. 2022, arXiv:2209.03003; Lipman et al. 2022, arXiv:2210.02747.
    """

    clean = 1.0

    def __init__(self, *, times: Times = uniform, shift: float = 1.0, least: float = 0.0, backwards: bool = False):
        if shift <= 0:
            raise ValueError(f"Flow: shift {shift}; more than 0 is accepted; 1 leaves the grid even")
        self.times, self.shift, self.least, self.backwards = times, shift, least, backwards

    def weights(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Straight."""
        return time, 1 - time

    def velocity(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """The same everywhere."""
        ahead = -torch.ones_like(time) if self.backwards else torch.ones_like(time)
        return ahead, -ahead

    def clock(self, time: Tensor) -> Tensor:
        """From 0, noise, to 1,000, clean, or backwards."""
        return 1000 * (1 - time if self.backwards else time)

    def sample(self, rng: torch.Generator, n: int) -> Float[Tensor, "number"]:
        """As `times` draws them."""
        return self.times(rng, n)

    def grid(self, steps: int) -> Float[Tensor, "number"]:
        """Even, then shifted."""
        noise = torch.linspace(1, self.least, steps if self.least else steps + 1, dtype=torch.float64)
        noise = torch.cat([noise, noise.new_zeros(1)]) if self.least else noise
        return 1 - self.shift * noise / (1 + (self.shift - 1) * noise)


def leaning(shift: float) -> Flow:
    """A flow that learns and walks mostly where noise is strong: there it is decided what a picture of few, redundant numbers shows.

    The logit of the times is normal around -log(shift), and the grid shifted as much (Esser et al. 2024, arXiv:2403.03206, section 5.3.2).
    """
    return Flow(times=logit_normal(-log(shift)), shift=shift)


def linear_betas(n: int = 1000, first: float = 1e-4, last: float = 0.02) -> Float[Tensor, "number"]:
    """Shares of noise added at each of n times (Ho et al. 2020, arXiv:2006.11239, section 4)."""
    return torch.linspace(first, last, n, dtype=torch.float64)


def scaled_linear_betas(n: int = 1000, first: float = 0.00085, last: float = 0.012) -> Float[Tensor, "number"]:
    """Linear in the square root (latent diffusion's: Rombach et al. 2021, arXiv:2112.10752)."""
    return torch.linspace(first**0.5, last**0.5, n, dtype=torch.float64).square()


def cosine_betas(n: int = 1000, most: float = 0.999) -> Float[Tensor, "number"]:
    """So that the signal falls as a cosine squared (Nichol and Dhariwal 2021, arXiv:2102.09672, section 3.2)."""
    signal = ((torch.arange(n + 1, dtype=torch.float64) / n + 0.008) / 1.008 * torch.pi / 2).cos().square()
    return (1 - signal[1:] / signal[:-1]).clamp(max=most)


def spaced_evenly(n: int, steps: int) -> Float[Tensor, "number"]:
    """`steps` of n times, the first and the last among them."""
    return torch.linspace(n - 1, 0, steps, dtype=torch.float64).round() if steps > 1 else torch.tensor([n - 1.0], dtype=torch.float64)


def spaced_trailing(n: int, steps: int) -> Float[Tensor, "number"]:
    """`steps` of n times, the noisiest among them (Lin et al. 2023, arXiv:2305.08891, section 3.3)."""
    return torch.arange(n, 0, -n / steps, dtype=torch.float64)[:steps].round() - 1


class Diffusion:
    """A table of noisier and noisier times, from 0, nearly clean, to len(betas) - 1; clean is time -1. Variance is preserved.

    The velocity is signal * noise - noise's weight * clean (Salimans and Ho 2022, arXiv:2202.00512, section 4). With `zero_snr`
    the last time is pure noise (Lin et al. 2023, arXiv:2305.08891, section 3.2). `spacing` chooses the times to write along.
    Source: Ho et al. 2020, arXiv:2006.11239.
    """

    clean = -1.0

    def __init__(
        self,
        betas: Float[Tensor, "number"],
        *,
        zero_snr: bool = False,
        spacing: Callable[[int, int], Float[Tensor, "number"]] = spaced_evenly,
    ):
        signal = (1 - betas).cumprod(0).sqrt()
        if zero_snr:
            signal = (signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])
        self.signal = torch.cat([signal, signal.new_ones(1)])  # the last entry is that of time -1
        self.spacing = spacing

    def weights(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """From the table."""
        signal = self.signal.to(time.device)[time.long()]
        return signal.to(time), (1 - signal.square()).sqrt().to(time)

    def velocity(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """A quarter turn on from the value."""
        signal, noise = self.weights(time)
        return -noise, signal

    def clock(self, time: Tensor) -> Tensor:
        """The number in the table; 0 for clean."""
        return time.clamp(min=0)

    def sample(self, rng: torch.Generator, n: int) -> Float[Tensor, "number"]:
        """All as likely."""
        return torch.randint(len(self.signal) - 1, (n,), generator=rng).double()

    def grid(self, steps: int) -> Float[Tensor, "number"]:
        """Some of the table, then clean."""
        n = len(self.signal) - 1
        if not 1 <= steps <= n:
            raise ValueError(f"Diffusion: {steps} steps; 1 to {n} are accepted, as many as the table has times")
        return torch.cat([self.spacing(n, steps), torch.tensor([self.clean], dtype=torch.float64)])


def _said(path: Path, predicts: Predicts, time: Tensor) -> tuple[Tensor, Tensor]:
    """What is predicted, as weights of clean and noise."""
    match predicts:
        case Predicts.CLEAN:
            return torch.ones_like(time), torch.zeros_like(time)
        case Predicts.NOISE:
            return torch.zeros_like(time), torch.ones_like(time)
        case Predicts.VELOCITY:
            return path.velocity(time)


def noised(path: Path, ends: Ends, time: Tensor) -> Tensor:
    """The value on the way between both ends."""
    signal, noise = path.weights(time)
    return signal * ends.clean + noise * ends.noise


def target(path: Path, predicts: Predicts, ends: Ends, time: Tensor) -> Tensor:
    """What a network shall say at that time."""
    clean, noise = _said(path, predicts, time)
    return clean * ends.clean + noise * ends.noise


def resolve(path: Path, predicts: Predicts, x: Tensor, said: Tensor, time: Tensor) -> Ends:
    """Both ends of the path through x, by what a network said: two equations, two unknowns.

    Where a prediction leaves one end open (noise where there is no signal) it is infinite: choose another (`told_all`).
    """
    signal, noise = path.weights(time)
    of_clean, of_noise = _said(path, predicts, time)
    whole = signal * of_noise - noise * of_clean
    return Ends((of_noise * x - noise * said) / whole, (signal * said - of_clean * x) / whole)


def told_all(who: str, path: Path, predicts: Predicts, solver: "Solver") -> None:
    """Raises ValueError where a walk asks at an end of the path of which the prediction tells nothing: it would draw no numbers."""
    ends = path.grid(1) if solver.closes else path.grid(1)[:1]
    (signal, noise), (of_clean, of_noise) = path.weights(ends), _said(path, predicts, ends)
    if not (signal * of_noise - noise * of_clean).all():
        raise ValueError(
            f"{who}: a {type(path).__name__} along which {predicts.value} is predicted, walked by {type(solver).__name__}; that tells"
            " nothing of the clean value where all is noise, or of noise where none is left; predict the velocity, or walk by DDIM"
        )


def heard(said: Tensor, features: int) -> tuple[Tensor, Tensor | None]:
    """What a network predicts of `features` numbers, and the spread of a step back (`Ends`), where it says twice as many.

    The second half is from -1 to 1 (Nichol and Dhariwal 2021, arXiv:2102.09672, section 3.1).
    """
    return said[..., :features], (said[..., features:] + 1) / 2 if said.shape[-1] > features else None


# ---------------------------------------------------------------- solvers

Fresh = Callable[[], Tensor]  # standard normal noise in the shape of a value
Walk = Generator[tuple[Tensor, Tensor], Ends, Tensor]


@runtime_checkable
class Solver(Protocol):
    """A walk from noise to clean: it yields a value and its time, hears both ends, and returns the clean value.

    `passes` is how often it asks for each step of the grid; `adds` says whether it draws noise on the way, `closes` whether it also asks
    at the clean end.
    """

    passes: int
    adds: bool
    closes: bool

    def __call__(self, path: Path, x: Tensor, grid: Float[Tensor, "number"], fresh: Fresh) -> Walk: ...


class Posterior(NamedTuple):
    """The value at a less noisy time, given the value now and the clean one: normal, with mean `now * x + clean * clean value`.

    `variance` is its own; `step` is that of the noise which was added between the two times.
    """

    now: Tensor
    clean: Tensor
    variance: Tensor
    step: Tensor


def posterior(path: Path, time: Tensor, later: Tensor) -> Posterior:
    """What is known of the value at `later` (less noisy) from that at `time` (Kingma et al. 2021, arXiv:2107.00630, appendix A)."""
    (signal, noise), (signal_later, noise_later) = path.weights(time), path.weights(later)
    kept = signal / signal_later
    step = noise.square() - kept.square() * noise_later.square()
    fade = noise_later.square() / noise.square()
    return Posterior(kept * fade, signal_later * step / noise.square(), step * fade, step)


def log_variance(back: Posterior, spread: Tensor) -> Tensor:
    """The logarithm of a learned variance, between that of the posterior and that of the step (see `Ends`)."""
    return spread * back.step.log().to(spread) + (1 - spread) * back.variance.log().to(spread)


class DDIM:
    """Straight to the clean value as it looks now, as far as the next time; on a flow, that is Euler's step.

    `eta` 0 adds no noise; 1 adds as much as was taken (ancestral sampling, DDPM), or as much as a learned variance says. `bound` holds
    clean values between -bound and bound: where there is hardly any signal, a predicted noise leaves them wide open, and a walk in few
    steps does not come back from there. Sources: Song et al. 2020, arXiv:2010.02502; static thresholding, Saharia et al. 2022,
    arXiv:2205.11487, section 2.3.
    """

    passes, closes = 1, False

    def __init__(self, eta: float = 0.0, *, bound: float | None = None):
        if not 0 <= eta <= 1:
            raise ValueError(f"DDIM: eta {eta}; 0 (nothing random) to 1 (ancestral) is accepted")
        self.eta, self.bound, self.adds = eta, bound, eta > 0

    def __call__(self, path: Path, x: Tensor, grid: Float[Tensor, "number"], fresh: Fresh) -> Walk:
        """One pass a step."""
        for time, later in pairwise(grid.to(x.device)):
            clean, noise, spread = self._bounded(path, x, time, (yield x, time))
            signal, weight = path.weights(later)
            if not self.eta or not weight:
                x = signal * clean + weight * noise
            else:
                back = posterior(path, time, later)
                variance = self.eta**2 * back.variance
                added = variance.sqrt() if spread is None else self.eta * (log_variance(back, spread) / 2).exp()
                x = signal * clean + (weight.square() - variance).clamp(min=0).sqrt() * noise + added * fresh()
        return x

    def _bounded(self, path: Path, x: Tensor, time: Tensor, ends: Ends) -> Ends:
        """Both ends of the path through x, the clean one within the bound."""
        if self.bound is None:
            return ends
        (signal, weight), clean = path.weights(time), ends.clean.clamp(-self.bound, self.bound)
        return ends._replace(clean=clean, noise=(x - signal * clean) / weight)


class Heun:
    """Along the mean of the velocity here and at the end of the step (the last step too). For flows; order 2."""

    passes, adds, closes = 2, False, True

    def __call__(self, path: Path, x: Tensor, grid: Float[Tensor, "number"], fresh: Fresh) -> Walk:
        """Two passes a step."""
        for time, later in pairwise(grid.to(x.device)):
            here = _slope(path, (yield x, time))
            there = _slope(path, (yield x + (later - time) * here, later))
            x = x + (later - time) * (here + there) / 2
        return x


class Midpoint:
    """Along the velocity in the middle of the step. For flows; order 2."""

    passes, adds, closes = 2, False, False

    def __call__(self, path: Path, x: Tensor, grid: Float[Tensor, "number"], fresh: Fresh) -> Walk:
        """Two passes a step."""
        for time, later in pairwise(grid.to(x.device)):
            middle = (time + later) / 2
            here = _slope(path, (yield x, time))
            x = x + (later - time) * _slope(path, (yield x + (middle - time) * here, middle))
        return x


def _slope(path: Path, ends: Ends) -> Tensor:
    if not isinstance(path, Flow):
        raise ValueError(f"solver: {type(path).__name__}; Heun and Midpoint follow the velocity of a Flow; take DDIM")
    return ends.clean - ends.noise
