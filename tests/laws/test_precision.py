"""What it costs to say a prediction in bfloat16: MMAR's reason to predict velocities (arXiv:2410.10798, section 3.2)."""

import pytest
import torch

from tessera.draws import Streams
from tessera.laws import Denoiser, Sampling
from tessera.orders import Seen
from tessera.paths import Diffusion, Ends, Path, Predicts, cosine_betas, linear_betas, resolve, scaled_linear_betas, spaced_trailing, target

PATHS: dict[str, Path] = {
    "linear": Diffusion(linear_betas()),
    "cosine": Diffusion(cosine_betas()),
    "zero snr": Diffusion(scaled_linear_betas(), zero_snr=True, spacing=spaced_trailing),
}
ANSWERS, STEPS = 500, 100


def streams():
    return Streams([torch.Generator().manual_seed(0)], [ANSWERS], torch.zeros(1, dtype=torch.float64))


class Knows:
    """The best prediction where clean values are N(hidden, 1/4); rounded to bfloat16 if asked."""

    def __init__(self, path: Path, predicts: Predicts, rounded: bool):
        self.path, self.predicts, self.rounded = path, predicts, rounded

    def __call__(self, hidden, aside, value, time):
        time = torch.where(time < 0, -1.0, time)[..., None]
        signal, noise = self.path.weights(time)
        off = value - signal * hidden
        both = Ends(hidden + signal / 4 / (signal**2 / 4 + noise**2) * off, noise / (signal**2 / 4 + noise**2) * off)
        said = target(self.path, self.predicts, both, time)
        return said.bfloat16().double() if self.rounded else said


def error(path: Path, predicts: Predicts) -> float:
    """How far off the drawn values are, root mean square, for predictions in bfloat16."""
    law, seen = Denoiser(4, path, predicts=predicts, steps=STEPS), Seen(torch.randn(1, ANSWERS, 4, dtype=torch.float64))
    exact, rough = (law.draw(Knows(path, predicts, rounded), seen, Sampling(), streams()).value for rounded in (False, True))
    return float((rough - exact).square().mean().sqrt())


def growth(path: Path, predicts: Predicts) -> torch.Tensor:
    """By how much a step of DDIM multiplies an error of what is predicted, at every time of the walk."""
    grid, one = path.grid(STEPS), torch.ones(STEPS, dtype=torch.float64)
    ends = resolve(path, predicts, 0 * one, one, grid[:-1])
    signal, noise = path.weights(grid[1:])
    return (signal * ends.clean + noise * ends.noise).abs()


@pytest.mark.parametrize("name", PATHS)
def test_a_step_multiplies_errors_of_velocities_by_a_sine_and_of_noise_by_more(name):
    """With the angle whose cosine is the signal, a step turns by some of it: the sine of that, over the signal where noise is said."""
    path = PATHS[name]
    signal, _ = path.weights(path.grid(STEPS))
    angle = signal.acos()
    turned = (angle[:-1] - angle[1:]).sin()
    torch.testing.assert_close(growth(path, Predicts.VELOCITY), turned, rtol=1e-9, atol=1e-9)
    some = signal[:-1] > 0
    torch.testing.assert_close(growth(path, Predicts.NOISE)[some], (turned / signal[:-1])[some], rtol=1e-6, atol=1e-9)
    assert not growth(path, Predicts.NOISE)[~some].isfinite().any()


def test_rounded_velocities_draw_what_exact_ones_draw():
    """The less signal a table leaves at its end, the worse for predicted noise; velocities do not care.

    How far rounding moves what is drawn (unit: the noise's), 100 steps of DDIM, as measured:

        table     signal at its end   noise    velocity
        linear    6e-3                1.4e-3   1.4e-4
        cosine    5e-5                2.6e-1   1.3e-4
        zero snr  0                   none     1.3e-4
    """
    noise = {name: error(PATHS[name], Predicts.NOISE) for name in ("linear", "cosine")}
    velocity = {name: error(PATHS[name], Predicts.VELOCITY) for name in PATHS}
    assert all(off < 2e-4 for off in velocity.values())
    assert 5 < noise["linear"] / velocity["linear"] < 20 and noise["cosine"] > 0.1
    with pytest.raises(
        ValueError, match="Denoiser: a Diffusion along which noise is predicted, walked by DDIM; that tells nothing of the clean"
    ):
        error(PATHS["zero snr"], Predicts.NOISE)
