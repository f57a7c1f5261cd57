from math import log

import pytest
import torch

from tessera.codecs import Folded, Patches
from tessera.codecs.base import Encoded
from tessera.document import Task
from tessera.draws import Draw
from tessera.exams import Report
from tessera.verbs import ladder as module
from tessera.verbs.ladder import caption_excess, caption_nats, codebook, fidelity, ladder, used
from tessera.world import World

EASY, STANDARD = World.easy(), World.standard()
CODEC = {"codec.readable", "codec.psnr", "codec.ssim", "codec.perceptual", "codec.use", "codec.perplexity", "codec.stable"}


@pytest.fixture
def system(tiny):
    return tiny(pixels=32, stride=8).eval()


@pytest.fixture(scope="module")
def shown():
    return torch.stack([EASY.picture(EASY.scene(i, "test")) for i in range(12)])


def values(found: Report) -> dict[str, float]:
    return numbers(found.scores)


def close(shown, painted) -> Report:
    """How close pictures come back, beside grey ones."""
    return fidelity(shown, painted, torch.full_like(shown, 128))


def numbers(scores) -> dict[str, float]:
    return {name: score.value for name, score in scores.items()}


@torch.no_grad()
def test_the_ladder_has_all_its_rungs(system):
    found = ladder(system, EASY, 6, "test", 1)
    assert found.scores.keys() == CODEC | {"oracle.readable", "teacher_forced.text", "teacher_forced.image", "excess.caption"}
    for name, cases in found.ratios.items():
        over, by = map(sum, zip(*cases, strict=True))
        assert found.scores[name].value == pytest.approx(over / by), name
    assert {name for name in found.scores if name not in found.ratios and name not in found.right} == {"codec.use", "codec.perplexity"}
    outside = [name for name, score in found.scores.items() if not score.ci95[0] - 1e-9 <= score.value <= score.ci95[1] + 1e-9]
    assert outside == []
    assert found.scores["codec.use"].n == 6 * 16 and found.scores["codec.use"].value <= 1


# ---------------------------------------------------------------- pictures that come back


def test_what_comes_back_unchanged_loses_nothing(shown):
    assert values(close(shown, shown)) == {"codec.psnr": pytest.approx(83.01, abs=0.01), "codec.ssim": 1.0, "codec.perceptual": 0.0}


def test_beside_them_stands_what_a_codec_gets_that_shows_nothing(shown):
    grey = torch.full_like(shown, 128)
    assert {name: beside["blind"] for name, beside in fidelity(shown, shown, grey).references.items()} == values(close(shown, grey))


def test_an_error_of_one_value_counts_as_much_as_none_and_a_larger_one_as_it_is(shown):
    one = shown.clone()
    one[:, 0, 0, 0] ^= 1
    assert close(shown, one).scores["codec.psnr"].value == pytest.approx(83.01, abs=0.01)
    brighter = close(shown.clamp(max=200), shown.clamp(max=200) + 10)
    assert brighter.scores["codec.psnr"].value == pytest.approx(28.13, abs=0.01), "20 log10(255 / 10)"
    assert brighter.scores["codec.ssim"].value < 1 and brighter.scores["codec.perceptual"].value > 0


def test_the_further_off_the_worse_by_every_measure(shown):
    noise = torch.randn(shown.shape, generator=torch.Generator().manual_seed(0))
    spoiled = [close(shown, (shown + strength * noise).round().clamp(0, 255).to(torch.uint8)) for strength in (5, 20, 80)]
    for name, sign in (("psnr", -1), ("ssim", -1), ("perceptual", 1)):
        found = [sign * one.scores[f"codec.{name}"].value for one in spoiled]
        assert found == sorted(found) and len(set(found)) == 3


# ---------------------------------------------------------------- codes


def test_codes_evenly_used_have_the_perplexity_of_their_number():
    codes = torch.tensor([0, 2, 4, 6]).repeat(5, 2)
    found = used(codes, 8)
    assert numbers(found) == {"codec.use": 0.5, "codec.perplexity": pytest.approx(4.0)}
    use, perplexity = found["codec.use"], found["codec.perplexity"]
    assert (use.n, use.clusters, use.ci95, use.method) == (40, 5, (0.5, 0.5), "count")
    assert perplexity.ci95 == pytest.approx((4.0, 4.0)), "all pictures are alike"


def test_each_level_of_residual_codes_has_its_own_use():
    rng = torch.Generator().manual_seed(0)
    codes = torch.stack([torch.zeros(6, 16, dtype=torch.long), torch.randint(0, 4, (6, 16), generator=rng)], -1)
    found = numbers(used(codes, 4))
    assert found.keys() == {"codec.use.0", "codec.use.1", "codec.perplexity.0", "codec.perplexity.1"}
    assert (found["codec.use.0"], found["codec.use.1"], found["codec.perplexity.0"]) == (0.25, 1.0, 1.0)
    assert 3.5 < found["codec.perplexity.1"] <= 4


def test_the_interval_of_perplexity_holds_the_truth_nineteen_times_in_twenty():
    rng, truth = torch.Generator().manual_seed(0), 2.0**1.75
    p = torch.tensor([0.5, 0.25, 0.125, 0.125])
    drawn = (torch.multinomial(p, 100 * 16, replacement=True, generator=rng).view(100, 16) for _ in range(200))
    intervals = [used(codes, 4)["codec.perplexity"].ci95 for codes in drawn]
    assert 0.90 < sum(low <= truth <= high for low, high in intervals) / 200 < 0.99


def test_codes_that_come_back_are_stable(system, shown):
    assert codebook(system, list(shown), list(shown)).scores["codec.stable"].value == 1.0
    half = torch.cat([shown[:, :, :16], 255 - shown[:, :, 16:]], 2)
    score = codebook(system, list(shown), list(half)).scores["codec.stable"]
    before, after = (torch.stack(list(system.by_name["image"].codec.encode(list(seen)).clean)) for seen in (shown, half))
    assert score.value == pytest.approx(float((before == after).float().mean())) and 0.5 <= score.value < 1
    assert (score.n, score.clusters) == (12 * 16, 12)


@pytest.mark.parametrize("wrapped", ["shifted", "folded"])
def test_codes_are_counted_as_they_come_from_the_quantizer(system, shown, monkeypatch, wrapped):
    port = system.by_name["image"]
    plain = port.codec.codec
    if wrapped == "folded":
        monkeypatch.setattr(port, "codec", Folded(plain, rows=2, columns=1))
    monkeypatch.setattr(plain, "encode", lambda raws, draws: Encoded([torch.tensor([0, 8, 8, 8]) for _ in raws]))
    found = values(codebook(system, list(shown), list(shown)))
    assert found == {"codec.use": pytest.approx(2 / 9), "codec.perplexity": pytest.approx(1.7548, abs=1e-4), "codec.stable": 1.0}


def test_elements_that_are_no_codes_have_no_codebook(system, shown, monkeypatch):
    codec, patches = system.by_name["image"].codec.codec, Patches(pixels=32, patch=8)
    monkeypatch.setattr(codec, "encode", patches.encode)
    assert codebook(system, list(shown), list(shown)).scores == {}


# ---------------------------------------------------------------- captions


@pytest.mark.parametrize(("world", "n"), [(EASY, 100), (World.easy("both"), 60), (STANDARD, 30)], ids=["easy", "both", "standard"])
def test_the_surprise_of_captions_is_their_entropy_in_the_mean(world, n):
    told = [world.document(Task.CAPTION, i).texts[0] for i in range(n)]
    nats = torch.tensor([caption_nats(world, world.scene(i), text, "train") for i, text in enumerate(told)])
    assert abs(float(nats.mean()) - world.entropy().caption) < 3 * float(nats.std()) / n**0.5
    assert float(nats.min()) > 0


def test_a_model_that_knows_the_world_pays_nothing_in_excess(system, monkeypatch):
    scenes = {EASY.document(Task.CAPTION, i, "test").id: EASY.scene(i, "test") for i in range(6)}
    exact = lambda document: caption_nats(EASY, scenes[document.id], document.texts[0], "test")
    for more in (0.0, 0.25):
        monkeypatch.setattr(
            system, "losses", lambda documents, draws, more=more: {"text": (torch.tensor(exact(documents[0]) + more).double(), 9)}
        )
        score = caption_excess(system, EASY, 6, "test").scores["excess.caption"]
        assert score.value == pytest.approx(more, abs=1e-5) and score.ci95 == pytest.approx((more, more), abs=1e-5) and score.n == 6


@torch.no_grad()
def test_a_caption_costs_all_of_its_ids_and_its_end_and_no_z_loss(system):
    law = system.text.law
    law.z_loss = 0.0
    plain = caption_excess(system, EASY, 4, "test").scores["excess.caption"]
    law.z_loss = 1.0
    assert caption_excess(system, EASY, 4, "test").scores["excess.caption"] == plain and law.z_loss == 1.0
    law.z_loss = 0.0
    total = 0.0
    for i in range(4):
        document = EASY.document(Task.CAPTION, i, "test")
        ((loss, count),) = [system.losses([document], [Draw(i)])["text"]]
        assert count == len(system.text.codec.encode(document.texts).clean[0]) + 1
        total += float(loss) - caption_nats(EASY, EASY.scene(i, "test"), document.texts[0], "test")
    assert plain.value == pytest.approx(total / 4, rel=1e-5)
    assert plain.value > 10 * log(100), "an untrained model pays for every id"


@torch.no_grad()
def test_losses_that_are_no_likelihoods_have_no_excess(system):
    system.text.order = object()
    assert caption_excess(system, EASY, 2, "test").scores == {}


def test_the_z_loss_comes_back_even_after_an_error(system):
    law, weight = system.text.law, system.text.law.z_loss
    assert weight > 0
    with pytest.raises(KeyError), module.without_z_loss(law):
        assert law.z_loss == 0.0
        raise KeyError
    assert law.z_loss == weight
