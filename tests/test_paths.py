import pytest
import torch

from tessera.paths import (
    DDIM,
    Diffusion,
    Ends,
    Flow,
    Heun,
    Midpoint,
    Predicts,
    cosine_betas,
    leaning,
    linear_betas,
    logit_normal,
    noised,
    posterior,
    resolve,
    scaled_linear_betas,
    spaced_trailing,
    target,
)

PATHS = {
    "flow": Flow(),
    "linear": Diffusion(linear_betas()),
    "cosine": Diffusion(cosine_betas()),
    "zero snr": Diffusion(scaled_linear_betas(), zero_snr=True, spacing=spaced_trailing),
}


def values(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def nothing_fresh():
    raise AssertionError("this solver draws nothing")


def walked(solver, path, steps, ends_of, start, fresh=nothing_fresh):
    """Where a solver comes out, given both ends at every value and time."""
    walk = solver(path, start, path.grid(steps), fresh)
    asked = 0
    x, time = next(walk)
    while True:
        asked += 1
        try:
            x, time = walk.send(ends_of(x, time))
        except StopIteration as finished:
            assert asked == steps * solver.passes
            return finished.value


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("predicts", Predicts)
def test_what_is_predicted_gives_both_ends_back(name, predicts):
    path, ends = PATHS[name], Ends(values(5, 3), values(5, 3, seed=1))
    time = path.grid(5)[1:-1][:, None].expand(-1, 3)[:4]
    ends = Ends(ends.clean[:4], ends.noise[:4])
    x = noised(path, ends, time)
    found = resolve(path, predicts, x, target(path, predicts, ends, time), time)
    torch.testing.assert_close(found.clean, ends.clean)
    torch.testing.assert_close(found.noise, ends.noise)


@pytest.mark.parametrize("name", PATHS)
def test_a_path_ends_clean_and_begins_noisy(name):
    path = PATHS[name]
    grid = path.grid(10)
    assert len(grid) == 11 and float(grid[-1]) == path.clean
    signal, noise = path.weights(grid)
    assert float(signal[-1]) == 1 and float(noise[-1]) == 0
    assert bool((noise.diff() < 0).all() and (signal.diff() > 0).all())
    assert float(signal[0]) < 0.07  # DDPM's tables end a little before pure noise
    clock = path.clock(grid)
    assert 0 <= float(clock.min()) and float(clock.max()) <= 1000
    assert bool((path.clock(path.sample(torch.Generator().manual_seed(0), 1000)) <= 1000).all())


def test_a_flow_s_velocity_is_its_slope():
    path, ends = Flow(), Ends(values(4), values(4, seed=1))
    time = torch.tensor([0.1, 0.3, 0.6, 0.9], dtype=torch.float64)
    slope = (noised(path, ends, time + 1e-6) - noised(path, ends, time - 1e-6)) / 2e-6
    torch.testing.assert_close(target(path, Predicts.VELOCITY, ends, time), slope, rtol=1e-6, atol=1e-6)


def test_a_flow_that_is_told_backwards_is_the_same_flow():
    ahead, back, ends, time = Flow(), Flow(backwards=True), Ends(values(4), values(4, seed=1)), torch.tensor(0.3, dtype=torch.float64)
    x = noised(ahead, ends, time)
    assert torch.equal(noised(back, ends, time), x) and float(back.clock(time)) == pytest.approx(1000 - float(ahead.clock(time)))
    assert torch.equal(target(back, Predicts.VELOCITY, ends, time), -target(ahead, Predicts.VELOCITY, ends, time))
    found = resolve(back, Predicts.VELOCITY, x, target(back, Predicts.VELOCITY, ends, time), time)
    torch.testing.assert_close(found.clean, ends.clean)


def test_times_are_drawn_as_said():
    rng = torch.Generator().manual_seed(0)
    drawn = Flow(times=logit_normal(0.5, 2.0)).sample(rng, 40_000).logit()
    assert abs(float(drawn.mean()) - 0.5) < 0.05 and abs(float(drawn.std()) - 2) < 0.05
    assert abs(float(Flow().sample(rng, 40_000).mean()) - 0.5) < 0.01
    assert abs(float(PATHS["linear"].sample(rng, 40_000).mean()) - 499.5) < 5


def test_shift_makes_steps_shorter_near_the_noise():
    grid = Flow(shift=3.0).grid(10)
    assert float(grid[0]) == 0 and float(grid[-1]) == 1
    assert bool((grid.diff().diff() > 0).all())


@pytest.mark.parametrize("name", PATHS)
def test_the_posterior_takes_one_noisy_time_to_the_next(name):
    """Adding noise step by step, then going back by the posterior, keeps mean and variance (closed form)."""
    path = PATHS[name]
    time, later = path.grid(8)[2], path.grid(8)[3]
    back = posterior(path, time, later)
    (signal, noise), (signal_later, noise_later) = path.weights(time), path.weights(later)
    # x = signal c + noise n, so its mean given c is signal c and the next value's must be signal_later c
    torch.testing.assert_close(back.now * signal + back.clean, signal_later)
    torch.testing.assert_close(back.now.square() * noise.square() + back.variance, noise_later.square())


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_from_a_gaussian_reaches_it_exactly_where_all_is_linear(name, eta):
    """Data N(2, 1/4): ends given the value are linear in it, so means and variances are known and fine grids must reach them."""
    path, mean, std = PATHS[name], 2.0, 0.5

    def ends_of(x, time):
        signal, noise = path.weights(time)
        spread = signal**2 * std**2 + noise**2
        clean = mean + signal * std**2 / spread * (x - signal * mean)
        return Ends(clean, torch.where(noise > 0, (x - signal * clean) / noise.clamp(min=1e-12), 0.0))

    rng = torch.Generator().manual_seed(3)
    fresh = lambda: torch.randn(20_000, generator=rng, dtype=torch.float64)
    drawn = walked(DDIM(eta), path, 400, ends_of, fresh(), fresh)
    assert abs(float(drawn.mean()) - mean) < 0.03
    assert abs(float(drawn.std()) - std) < 0.02


def test_second_order_solvers_err_less_by_the_square():
    """Halving the step must quarter the error of Heun and Midpoint, and halve that of Euler, on a field bent in value and time."""

    def ends_of(x, time):
        velocity = torch.sin(3 * x + 2 * time) + time
        return resolve(Flow(), Predicts.VELOCITY, x, velocity, time)

    start = values(100)
    exact = walked(Midpoint(), Flow(), 1024, ends_of, start)
    for solver, gain in ((DDIM(), 2), (Heun(), 4), (Midpoint(), 4)):
        errors = [float((walked(solver, Flow(), steps, ends_of, start) - exact).abs().mean()) for steps in (32, 64)]
        assert errors[0] / errors[1] == pytest.approx(gain, rel=0.1)


def test_solvers_of_order_two_want_a_flow():
    with pytest.raises(ValueError, match="Diffusion; Heun and Midpoint follow the velocity of a Flow; take DDIM"):
        walked(Heun(), PATHS["linear"], 2, lambda x, time: Ends(x, x), values(3))


def test_bad_settings_say_what_is_accepted():
    with pytest.raises(ValueError, match=r"DDIM: eta 2\.0; 0"):
        DDIM(2.0)
    with pytest.raises(ValueError, match=r"Flow: shift 0\.0; more than 0"):
        Flow(shift=0.0)
    with pytest.raises(ValueError, match="Diffusion: 1001 steps; 1 to 1000"):
        PATHS["linear"].grid(1001)


def test_a_leaning_flow_learns_and_walks_where_noise_is_strong():
    path = leaning(3.0)
    times = path.sample(torch.Generator().manual_seed(0), 20_000)
    assert times.median() == pytest.approx(1 / 4, abs=0.01) and path.grid(2)[1] == pytest.approx(1 / 4)
    assert torch.equal(leaning(1.0).grid(8), Flow().grid(8))
