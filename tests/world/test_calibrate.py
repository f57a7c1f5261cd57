from math import isnan

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tessera.world.calibrate import CORRUPTIONS, calibrate, fit
from tessera.world.certify import rendered, sample_shown
from tessera.world.confidence import SHIPPED, Calibration, calibration_error, worth
from tessera.world.oracle import Oracle
from tessera.world.rates import Rate
from tessera.world.reading import facts
from tessera.world.scene import EASY, LEVELS

MARGINS = [0.1] * 10 + [0.3] * 10 + [0.9] * 20
RIGHT = [True] * 2 + [False] * 8 + [True] * 1 + [False] * 9 + [True] * 19 + [False]


def test_the_line_rises_through_the_shares_that_are_right():
    found = fit(MARGINS, RIGHT)
    assert found.knots == ((0.1, 0.15), (0.3, 0.15), (0.9, 0.95))
    assert found([0.0, 0.6, 1.0]) == pytest.approx([0.15, 0.55, 0.95])
    assert Calibration()([0.0, 0.25, 1.0]) == [0.0, 0.25, 1.0]


def test_a_fit_has_no_calibration_error_on_its_own_bins():
    assert calibration_error(MARGINS, RIGHT) == pytest.approx((10 * 0.1 + 10 * 0.2 + 20 * 0.05) / 40)
    confidence = fit(MARGINS, RIGHT)(MARGINS)
    assert calibration_error(confidence, RIGHT) == pytest.approx(0.0, abs=1e-12)


def test_what_confidence_is_worth_has_known_answers():
    right = [False, True, False, True]
    found = worth([0.1, 0.5, 0.5, 0.95], right)
    assert found.auroc == pytest.approx(3.5 / 4)
    assert found.accuracy == Rate(1, 1) and found.coverage == Rate(1, 4)
    assert found.error == pytest.approx((0.1 + 0.0 + 0.05) / 4)
    assert worth([0.2, 0.4, 0.6, 0.95], right).error == pytest.approx((0.2 + 0.6 + 0.6 + 0.05) / 4)
    assert isnan(worth([0.5, 0.5], [True, True]).auroc)


@pytest.mark.parametrize("decimals", [1, 6])
def test_the_ranking_of_confidences_as_scikit_learn(decimals):
    rng = np.random.default_rng(0)
    confidence = rng.random(200).round(decimals)
    right = rng.random(200) < confidence
    assert worth(confidence, right).auroc == pytest.approx(roc_auc_score(right, confidence))


@pytest.mark.parametrize("name", LEVELS)
def test_what_is_shipped_rises(name):
    margins, right = zip(*SHIPPED[name].knots, strict=True)
    assert list(margins) == sorted(margins) and list(right) == sorted(right)
    assert 0 <= margins[0] and margins[-1] <= 1 and 0 <= right[0] and right[-1] <= 1


@pytest.mark.parametrize("name", LEVELS)
def test_what_is_shipped_means_what_it_says_on_other_scenes(name):
    told = [sample_shown(LEVELS[name], 11, index) for index in range(12)]
    pictures, oracle, said = rendered(told, LEVELS[name]), Oracle(LEVELS[name]), []
    for corrupt in CORRUPTIONS.values():
        readings = oracle.read(corrupt(pictures, torch.Generator().manual_seed(11)))
        said += [
            (thing.confidence, facts(thing) in map(facts, scene.things))
            for reading, scene in zip(readings, told, strict=True)
            for thing in reading.things
        ]
    confidence, right = zip(*said, strict=True)
    found = worth(confidence, right)
    assert found.error < 0.05 and found.auroc > 0.85 and found.accuracy.share > 0.97 and found.coverage.share > 0.6, found


def test_calibrating_is_deterministic_and_lowers_the_error():
    seen: list[str] = []
    first, second = calibrate(EASY, 24, seed=5, tick=seen.append), calibrate(EASY, 24, seed=5)
    assert first == second and seen == [*CORRUPTIONS]
    _, before, after = first
    assert after.error < before.error / 2
    assert torch.tensor(first[0].knots).diff(dim=0).min() >= 0
