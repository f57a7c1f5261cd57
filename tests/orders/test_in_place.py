import pytest
import torch

from tessera.document import Document, Image
from tessera.draws import Draw
from tessera.orders import Context, InPlace, Pick, Seen, Writing
from tessera.paths import DDIM, Diffusion, Ends, Flow, Heun, Midpoint, Predicts, linear_betas, noised, target

HERE = Context(Document((Image(learn=True),)), 0)
NONE = torch.zeros(4, dtype=torch.bool)
SOME = torch.tensor([True, False, False, True])
PATHS = {"flow": Flow(), "diffusion": Diffusion(linear_betas())}
paths = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)

# A mixture in two dimensions: half of it around (2, 1), half around (-1, -2), each with a spread of 1/2.
CENTRES, SPREAD = torch.tensor([[2.0, 1.0], [-1.0, -2.0]], dtype=torch.float64), 0.5


def of_the_mixture(path, predicts, x, time):
    """What a perfect network predicts: the mean of the ends over the posterior of the mixture (closed form)."""
    signal, noise = path.weights(time)
    variance = signal**2 * SPREAD**2 + noise**2
    away = x[:, None] - signal * CENTRES
    share = (-away.square().sum(-1) / (2 * variance)).softmax(-1)[..., None]
    clean = (share * (CENTRES + signal * SPREAD**2 / variance * away)).sum(1)
    ends = Ends(clean, (x - signal * clean) / noise)
    return target(path, predicts, ends, time)


def written(order, says, w):
    """Run the coroutine; `says` predicts from the value and the time on the path."""
    coroutine, answer, asked = order.write(w), None, []
    while True:
        try:
            request = coroutine.send(answer)
        except StopIteration as finished:
            return finished.value.clean, asked
        if isinstance(request, Pick):
            answer = type("Drawn", (), {"value": says(asked[-1].visible)})
        else:
            asked.append(request)
            answer = Seen(torch.zeros(1, len(w.like), 1))


def blank(like, keep=None, steps=None):
    keep = torch.zeros(len(like), dtype=torch.bool) if keep is None else keep
    return Writing(Seen(torch.zeros(1, 1, 1)), like, keep, torch.Generator().manual_seed(0), steps=steps)


@paths
@pytest.mark.parametrize("predicts", Predicts)
def test_a_perfect_network_writes_the_mixture(path, predicts):
    flow = isinstance(path, Flow)
    if flow and predicts is Predicts.NOISE:
        pytest.skip("on a flow the noise says nothing of the clean value where all is noise: refused, see below")
    order = InPlace(path, predicts=predicts, steps=200)
    time_of = lambda clock: (clock / 1000 if flow else clock)[0].double()
    says = lambda visible: of_the_mixture(path, predicts, visible.value, time_of(visible.time))
    drawn, _ = written(order, says, blank(torch.zeros(4000, 2, dtype=torch.float64)))
    first = (drawn - CENTRES[0]).norm(dim=-1) < (drawn - CENTRES[1]).norm(dim=-1)
    assert abs(float(first.double().mean()) - 0.5) < 0.03
    for centre, mine in zip(CENTRES, (drawn[first], drawn[~first]), strict=True):
        assert (mine.mean(0) - centre).abs().max() < 0.05
        assert (mine.std(0) - SPREAD).abs().max() < 0.05


@paths
def test_a_segment_learns_at_one_time_and_given_elements_stay_clean(path):
    order, clean = InPlace(path), torch.randn(4, 3)
    visible, goal, where, _ = order.corrupt(clean, SOME, HERE, Draw(1))
    assert torch.equal(where, ~SOME)
    assert torch.equal(visible.value[SOME], clean[SOME])
    assert bool((visible.time[SOME] == path.clock(torch.tensor(path.clean))).all())
    assert len(set(visible.time[~SOME].tolist())) == 1
    assert not torch.allclose(visible.value[~SOME], clean[~SOME])
    again = order.corrupt(clean, SOME, HERE, Draw(1))
    assert torch.equal(again.visible.value, visible.value) and torch.equal(again.target, goal)


def test_the_target_is_what_the_path_says():
    path = PATHS["diffusion"]
    order, clean = InPlace(path, predicts=Predicts.NOISE), torch.randn(4, 3)
    visible, noise, *_ = order.corrupt(clean, NONE, HERE, Draw(2))
    torch.testing.assert_close(noised(path, Ends(clean, noise), visible.time[:, None]), visible.value, rtol=1e-5, atol=1e-5)


def test_a_walk_that_would_ask_what_is_not_told_is_refused():
    says, like = lambda visible: visible.value * 0.1, torch.zeros(4, 3)
    assert written(InPlace(Flow(), predicts=Predicts.CLEAN, solver=Midpoint()), says, blank(like, steps=3))[0].isfinite().all()
    for predicts, solver in ((Predicts.CLEAN, Heun()), (Predicts.NOISE, DDIM())):
        with pytest.raises(
            ValueError, match=f"InPlace: a Flow along which {predicts.value} is predicted, walked by {type(solver).__name__}"
        ):
            written(InPlace(Flow(), predicts=predicts, solver=solver), says, blank(like, steps=3))


@paths
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_times_are_told_exactly_whatever_the_precision(path, dtype):
    """In bfloat16 the two noisiest of 1,000 times would be the clean one."""
    order, clean = InPlace(path), torch.randn(4, 3)
    for seed in range(300):
        exact, rounded = (order.corrupt(one, SOME, HERE, Draw(seed)).visible for one in (clean, clean.to(dtype)))
        assert torch.equal(rounded.time, exact.time) and torch.equal(rounded.walk, exact.walk)
        assert (rounded.walk == exact.walk[0]).all() and exact.walk[0] == exact.time[1]
    value, asked = written(order, lambda visible: visible.value * 0.1, blank(clean.to(dtype), SOME, steps=7))
    told = [ask.visible.walk[0] for ask in written(order, lambda visible: visible.value * 0.1, blank(clean, SOME, steps=7))[1]]
    assert [ask.visible.walk[0] for ask in asked] == told and value.dtype == dtype


@paths
def test_all_kept_is_what_is_revealed(path):
    order, clean = InPlace(path), torch.randn(4, 3)
    kept = order.corrupt(clean, torch.ones(4, dtype=torch.bool), HERE, Draw(3)).visible
    shown = order.reveal(clean)
    assert all(torch.equal(a, b) for a, b in zip(kept, shown, strict=True))


@paths
def test_given_elements_are_shown_clean_at_every_pass_and_come_back(path):
    like = torch.randn(4, 3)
    clean, asked = written(InPlace(path, steps=5), lambda visible: visible.value * 0.1, blank(like.clone(), SOME))
    assert torch.equal(clean[SOME], like[SOME]) and not torch.allclose(clean[~SOME], like[~SOME])
    assert len(asked) == 5 and not any(ask.commit for ask in asked)
    assert all(torch.equal(ask.visible.value[SOME], like[SOME]) for ask in asked)
    assert [ask.known for ask in asked] == [0, 0.2, 0.4, 0.6, 0.8]


@pytest.mark.parametrize(("solver", "passes"), [(DDIM(), 4), (DDIM(1.0), 4), (Heun(), 8)])
def test_steps_asked_for_win_and_a_solver_may_pass_twice(solver, passes):
    _, asked = written(InPlace(Flow(), solver=solver, steps=9), lambda v: v.value * 0, blank(torch.zeros(4, 3), steps=4))
    assert len(asked) == passes


def test_variances_that_are_said_are_followed():
    """The least of them are the posterior's, which is what a walk takes without any."""
    path = PATHS["diffusion"]
    order = InPlace(path, predicts=Predicts.NOISE, solver=DDIM(eta=1.0), steps=10)
    mean = lambda visible: of_the_mixture(path, Predicts.NOISE, visible.value, visible.time[0].double())
    drawn = {
        said: written(order, says, blank(torch.zeros(50, 2, dtype=torch.float64)))[0]
        for said, says in {
            "nothing": mean,
            "least": lambda visible: torch.cat([mean(visible), -torch.ones_like(visible.value)], -1),
            "most": lambda visible: torch.cat([mean(visible), torch.ones_like(visible.value)], -1),
        }.items()
    }
    torch.testing.assert_close(drawn["least"], drawn["nothing"])
    assert (drawn["most"] - drawn["nothing"]).abs().max() > 0.1
