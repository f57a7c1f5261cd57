"""MAR's head and its diffusion from our parts, against numbers that the published code computed from the same weights.

DenoisingWriter is the network, Denoiser the loss and the sampling: a Diffusion of cosine betas that predicts noise, ancestral,
with learned variances. Official sampling feeds both halves of a guided batch the first half's value; that half is the result.
"""

import pytest
import torch
from parity.fixture import load
from parity.heads import Official, head

from tessera.bound import bits
from tessera.laws import Denoiser, Sampling
from tessera.orders import Seen
from tessera.paths import DDIM, Diffusion, Ends, Predicts, cosine_betas, log_variance, noised, posterior, resolve

MAR = load("mar_head")
CONFIG, IN = MAR.config, MAR.inputs
HEAD = head(MAR.under("diffloss.net."))
FEATURES, STEPS = CONFIG["target_channels"], int(CONFIG["num_sampling_steps"])


def law(predicts=Predicts.NOISE, solver=DDIM(eta=1.0)) -> Denoiser:
    return Denoiser(FEATURES, Diffusion(cosine_betas()), predicts=predicts, solver=solver, steps=STEPS)


class Watched:
    """The head, and the values at which it is asked."""

    def __init__(self):
        self.values = []

    def __call__(self, hidden, aside, value, time):
        self.values.append(value[0])
        return HEAD(hidden, aside, value, time)


def sampled(denoiser: Denoiser, guidance: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the steps lead, and where they end; under guidance the first half is asked, and the second has its prompt dropped."""
    watched = Watched()
    if guidance == 1:
        hidden, noises, temperature = IN["sample_z"][None], (IN["plain_init_noise"], *IN["plain_step_noise"]), 1.0
    else:
        hidden, temperature = IN["sample_z"].unflatten(0, (2, -1)), CONFIG["temperature"]
        noises = (IN["sample_init_noise"], *IN["sample_step_noise"][:, : CONFIG["n"]])
    sampling = Sampling(guidance=guidance, temperature=temperature)
    drawn = denoiser.draw(watched, Seen(hidden), sampling, Official(*noises)).value
    return torch.stack([*watched.values[1:], drawn]), drawn


def loss_noise():
    return torch.cat([IN["loss_t"][:, None].float(), IN["loss_noise"]], -1)[:, None]


def test_the_head_says_what_theirs_says():
    MAR.check("net_out", HEAD(IN["loss_z"], None, IN["loss_target"], IN["loss_t"].float()))


def test_the_loss_of_every_element():
    denoiser, target, time = law(), IN["loss_target"], IN["loss_t"][:, None].float()
    each = denoiser.loss(HEAD, IN["loss_z"], None, target, loss_noise())
    MAR.check("loss_per_row", each)
    MAR.check("loss", each.mean())
    MAR.check("loss_masked", (each * IN["loss_mask"]).sum() / IN["loss_mask"].sum())
    truth = Ends(target, IN["loss_noise"])
    value = noised(denoiser.path, truth, time)
    said, width = HEAD(IN["loss_z"], None, value, time[:, 0]).chunk(2, -1)
    ends = resolve(denoiser.path, Predicts.NOISE, value, said, time)._replace(spread=(width + 1) / 2)
    assert 0 in IN["loss_t"]
    MAR.check("loss_vb", bits(denoiser.path, truth, ends, time).mean(-1))
    MAR.check("loss_mse", (said - IN["loss_noise"]).square().mean(-1))


def test_the_times_of_a_short_walk():
    path = law().path
    grid = path.grid(STEPS)
    assert grid[:-1].flip(0).tolist() == MAR.outputs["sample_timesteps"].tolist()
    signal = path.weights(grid)[0].flip(0)  # from clean to noisy
    torch.testing.assert_close((1 - (signal[1:] / signal[:-1]).square()).float(), MAR.outputs["sample_betas"])


def test_one_step_from_fixed_values():
    path, z, x = law().path, IN["probe_z"], IN["probe_x"]
    grid = path.grid(STEPS).flip(0)  # grid[0] is clean
    means, log_variances, cleans = [], [], []
    for time, later, before in zip(grid[1:], grid[:-1], [*grid[2:].tolist(), None], strict=True):
        said, width = HEAD(z, None, x, time.expand(len(x))).chunk(2, -1)
        clean, _, _ = resolve(path, Predicts.NOISE, x, said, time)
        back = posterior(path, time, later)
        if later == path.clean:  # the official code gives the last step the variance of the one before
            back = back._replace(variance=posterior(path, torch.tensor(before, dtype=torch.float64), time).variance)
        means.append(posterior(path, time, later).now * x + back.clean * clean)
        log_variances.append(log_variance(back, (width + 1) / 2))
        cleans.append(clean)
    MAR.check("probe_mean", torch.stack(means))
    MAR.check("probe_logvar", torch.stack(log_variances))
    MAR.check("probe_pred_x0", torch.stack(cleans))


@pytest.mark.parametrize("kind", ["plain", "guided"])
def test_a_short_walk(kind):
    trajectory, out = sampled(law(), CONFIG["cfg"] if kind == "guided" else 1.0)
    expected = MAR.outputs[f"{kind}_trajectory"][:, : len(out)]
    torch.testing.assert_close(expected[-1], MAR.outputs[f"{kind}_out"][: len(out)])
    rtol = MAR.tolerance[f"{kind}_trajectory"]["rtol"]
    for found, theirs in zip(trajectory, expected, strict=True):  # they grow, so differences are measured by the largest of a step
        torch.testing.assert_close(found, theirs, rtol=rtol, atol=rtol * float(theirs.abs().max()))


@pytest.mark.parametrize("mutation", [{"predicts": Predicts.CLEAN}, {"solver": DDIM(eta=0.5)}], ids=["clean", "half the noise"])
def test_another_walk_ends_elsewhere(mutation):
    _, out = sampled(law(**mutation), 1.0)
    assert not MAR.agrees("plain_out", out)


def test_a_loss_without_the_bound_is_another():
    plain = lambda *told: HEAD(*told)[..., :FEATURES]
    assert not MAR.agrees("loss_per_row", law().loss(plain, IN["loss_z"], None, IN["loss_target"], loss_noise()))
