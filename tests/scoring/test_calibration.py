import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from tessera.scoring.calibration import auroc, calibrate, calibration_error, reliability


def cases(seed: int, n: int = 2000, decimals: int = 12) -> tuple[list[float], list[bool]]:
    """Over-confident: right with the square of the confidence."""
    rng = np.random.Generator(np.random.PCG64(seed))
    confidences = rng.random(n).round(decimals)
    return confidences.tolist(), (rng.random(n) < confidences**2).tolist()


@pytest.mark.parametrize("decimals", [2, 12])  # with ties and without
def test_isotonic_as_scikit_learn(decimals):
    confidences, right = cases(0, decimals=decimals)
    ours = calibrate(confidences, right)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(confidences, right)
    grid = np.linspace(-0.1, 1.1, 500)
    assert [ours(x) for x in grid] == pytest.approx(theirs.predict(grid), abs=1e-9)


def test_isotonic_by_hand():
    fitted = calibrate([0.1, 0.2, 0.3, 0.4], [False, True, False, True])
    assert fitted.shares == (0.0, 0.5, 0.5, 1.0)
    assert fitted(0.15) == pytest.approx(0.25) and fitted(0.0) == 0.0 and fitted(2.0) == 1.0


def test_calibration_helps_on_other_cases():
    fitted = calibrate(*cases(1))
    confidences, right = cases(2)
    before = calibration_error(confidences, right)
    after = calibration_error([fitted(confidence) for confidence in confidences], right)
    assert before == pytest.approx(1 / 6, abs=0.02)  # the mean of x - x^2
    assert after < 0.04


def test_reliability_as_scikit_learn():
    confidences, right = cases(3)
    rows = reliability(confidences, right)
    shares, means = calibration_curve(right, confidences, n_bins=10)
    assert [row.right.value for row in rows] == pytest.approx(shares) and [row.confidence for row in rows] == pytest.approx(means)
    assert sum(row.right.n for row in rows) == 2000


def test_confidence_is_a_share():
    with pytest.raises(ValueError, match=r"a confidence of 1\.2"):
        reliability([0.5, 1.2], [True, True])


def test_the_error_by_hand():
    confidences, right = [0.0, 0.1, 0.85, 0.95, 1.0], [False, True, True, True, False]
    rows = reliability(confidences, right)
    assert [(row.low, row.high, row.right.n) for row in rows] == [(0.0, 0.1, 2), (0.8, 0.9, 1), (0.9, 1.0, 2)]
    assert calibration_error(confidences, right) == pytest.approx((2 * 0.45 + 1 * 0.15 + 2 * 0.475) / 5)


@pytest.mark.parametrize("decimals", [1, 12])
def test_auroc_as_scikit_learn(decimals):
    confidences, right = cases(4, decimals=decimals)
    assert auroc(confidences, right) == pytest.approx(roc_auc_score(right, confidences))


def test_auroc_needs_both():
    assert auroc([0.2, 0.9], [False, True]) == 1.0
    with pytest.raises(ValueError, match="2 right and 0 wrong"):
        auroc([0.2, 0.9], [True, True])
