"""Paths and solvers beside the schedulers of `diffusers`, on the same values and predictions."""

import diffusers
import pytest
import torch

from tessera.paths import DDIM, Diffusion, Flow, Heun, Predicts, cosine_betas, linear_betas, resolve, scaled_linear_betas, spaced_trailing

STEPS = 10
EXACT = {"rtol": 1e-5, "atol": 1e-5}


def said(x, time):
    """Some prediction that depends on the value and the time."""
    return torch.sin(3 * x) + 0.001 * float(time) * torch.cos(x)


def ours(path, solver, predicts, x, noises=(), clock=lambda path, time: time):
    fresh = iter(noises)
    walk = solver(path, x, path.grid(STEPS), lambda: next(fresh))
    value, time = next(walk)
    while True:
        try:
            value, time = walk.send(resolve(path, predicts, value, said(value, clock(path, time)), time))
        except StopIteration as finished:
            return finished.value


def start():
    return torch.randn(25, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


TABLES = {
    "linear": (linear_betas(), {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}),
    "scaled": (scaled_linear_betas(), {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}),
    "cosine": (cosine_betas(), {"beta_schedule": "squaredcos_cap_v2"}),
}
KINDS = {Predicts.NOISE: "epsilon", Predicts.CLEAN: "sample", Predicts.VELOCITY: "v_prediction"}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("predicts", Predicts)
def test_ddim(table, predicts):
    betas, settings = TABLES[table]
    theirs = diffusers.DDIMScheduler(
        **settings, prediction_type=KINDS[predicts], clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing"
    )
    theirs.alphas_cumprod = (1 - betas).cumprod(0)  # theirs in float64
    theirs.set_timesteps(STEPS)
    x = start()
    for time in theirs.timesteps:
        x = theirs.step(said(x, time), time, x).prev_sample
    path = Diffusion(betas, spacing=spaced_trailing)
    assert path.grid(STEPS)[:-1].tolist() == theirs.timesteps.tolist()
    torch.testing.assert_close(ours(path, DDIM(), predicts, start()), x, **EXACT)


@pytest.mark.parametrize("table", TABLES)
def test_ancestral(table):
    betas, settings = TABLES[table]
    theirs = diffusers.DDPMScheduler(**settings, clip_sample=False, variance_type="fixed_small", timestep_spacing="trailing")
    theirs.alphas_cumprod, theirs.one = (1 - betas).cumprod(0), torch.tensor(1.0, dtype=torch.float64)
    theirs.set_timesteps(STEPS)
    x, rng = start(), torch.Generator().manual_seed(2)
    for time in theirs.timesteps:
        x = theirs.step(said(x, time), time, x, generator=rng).prev_sample
    rng = torch.Generator().manual_seed(2)
    noises = [torch.randn(25, 2, generator=rng, dtype=torch.float64) for _ in range(STEPS - 1)]
    path = Diffusion(betas, spacing=spaced_trailing)
    torch.testing.assert_close(ours(path, DDIM(1.0), Predicts.NOISE, start(), noises), x, **EXACT)


def test_bounded_ancestral():
    betas, settings = TABLES["cosine"]
    how = {"clip_sample": True, "clip_sample_range": 0.7, "variance_type": "fixed_small", "timestep_spacing": "trailing"}
    theirs = diffusers.DDPMScheduler(**settings, **how)
    theirs.alphas_cumprod, theirs.one = (1 - betas).cumprod(0), torch.tensor(1.0, dtype=torch.float64)
    theirs.set_timesteps(STEPS)
    x, rng = start(), torch.Generator().manual_seed(2)
    for time in theirs.timesteps:
        x = theirs.step(said(x, time), time, x, generator=rng).prev_sample
    rng = torch.Generator().manual_seed(2)
    noises = [torch.randn(25, 2, generator=rng, dtype=torch.float64) for _ in range(STEPS - 1)]
    path = Diffusion(betas, spacing=spaced_trailing)
    torch.testing.assert_close(ours(path, DDIM(1.0, bound=0.7), Predicts.NOISE, start(), noises), x, **EXACT)


@pytest.mark.parametrize("predicts", Predicts)
def test_bounded_ddim(predicts):
    betas, settings = TABLES["cosine"]
    how = {"clip_sample": True, "clip_sample_range": 0.7, "set_alpha_to_one": True, "timestep_spacing": "trailing"}
    theirs = diffusers.DDIMScheduler(**settings, **how, prediction_type=KINDS[predicts])
    theirs.alphas_cumprod = (1 - betas).cumprod(0)
    theirs.set_timesteps(STEPS)
    x = start()
    for time in theirs.timesteps:
        x = theirs.step(said(x, time), time, x, use_clipped_model_output=True).prev_sample
    path = Diffusion(betas, spacing=spaced_trailing)
    torch.testing.assert_close(ours(path, DDIM(bound=0.7), predicts, start()), x, **EXACT)


def test_zero_terminal_snr():
    theirs = diffusers.DDIMScheduler(
        **TABLES["scaled"][1], prediction_type="v_prediction", rescale_betas_zero_snr=True, clip_sample=False, timestep_spacing="trailing"
    )
    theirs.set_timesteps(STEPS)
    x = start()
    for time in theirs.timesteps:
        x = theirs.step(said(x, time), time, x).prev_sample
    path = Diffusion(scaled_linear_betas(), zero_snr=True, spacing=spaced_trailing)
    torch.testing.assert_close(ours(path, DDIM(), Predicts.VELOCITY, start()), x, **EXACT)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_euler_on_a_flow(shift):
    theirs = diffusers.FlowMatchEulerDiscreteScheduler()
    path = Flow(shift=shift)
    theirs.set_timesteps(sigmas=(1 - path.grid(STEPS)[:-1]).tolist())
    x = start()
    for time in theirs.timesteps:  # theirs run from 1,000, noise, and their velocity is noise - clean
        x = theirs.step(-said(x, 1000 - time), time, x.float()).prev_sample.double()
    torch.testing.assert_close(ours(path, DDIM(), Predicts.VELOCITY, start(), clock=lambda p, t: p.clock(t)), x, **EXACT)


def test_euler_on_a_flow_that_is_told_backwards_and_ends_before_it_is_clean():
    """As Stable Diffusion 3 walks: its scheduler shifts the time at which it ends twice."""
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    theirs.set_timesteps(STEPS)
    path = Flow(shift=3.0, least=3 * 0.001 / (1 + 2 * 0.001), backwards=True)
    torch.testing.assert_close(1 - path.grid(STEPS), theirs.sigmas.double(), rtol=1e-5, atol=1e-6)
    x = start()
    for time in theirs.timesteps:
        x = theirs.step(said(x, time), time, x.float()).prev_sample.double()
    found = ours(path, DDIM(), Predicts.VELOCITY, start(), clock=lambda p, t: p.clock(t))
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-4)


def test_heun_on_a_flow():
    theirs = diffusers.FlowMatchHeunDiscreteScheduler()
    theirs.set_timesteps(STEPS)
    grid = torch.cat([1 - theirs.sigmas[:-1:2], torch.ones(1)]).double()  # theirs ends with a step of order 1 to sigma 0
    x, walk = start(), Heun()(Flow(), start(), grid, start)
    value, time = next(walk)
    for number, step in enumerate(theirs.timesteps):
        torch.testing.assert_close(value, x, **EXACT)
        velocity = said(value, Flow().clock(time))
        x = theirs.step(-velocity, step, x.float()).prev_sample.double()
        if number + 1 < len(theirs.timesteps):
            value, time = walk.send(resolve(Flow(), Predicts.VELOCITY, value, velocity, time))
