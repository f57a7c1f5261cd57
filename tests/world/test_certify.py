from dataclasses import replace

import pytest
import torch

from tessera.world.certify import ROWS, Certificate, GarbageRow, Row, certify, rendered, sample_shown
from tessera.world.confidence import worth
from tessera.world.corruptions import JUDGED, REPORTED
from tessera.world.garbage import DISFIGURED, GARBAGE
from tessera.world.rates import Rate
from tessera.world.scene import EASY, LEVELS

ROW = Row("clean", True, Rate(0, 200), Rate(0, 200), Rate(0, 200), Rate(200, 200), {"place": Rate(400, 400)}, Rate(200, 200), 300.0)
GARBAGE_ROW = GarbageRow("white noise", False, Rate(50, 50), Rate(50, 50), Rate(0, 50), Rate(0, 50), Rate(0, 50))


def test_wilsons_interval_has_its_known_values():
    assert Rate(0, 2000).interval() == pytest.approx((0.0, 0.00192), abs=1e-5)
    assert Rate(5, 10).interval() == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert Rate(10, 10).interval() == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert Rate(0, 0).interval() == (0.0, 1.0)
    assert str(Rate(1, 100)) == "1.00 % (0.18-5.45)"


def test_only_judged_rows_decide():
    assert Certificate("easy", (ROW,), ()).passed
    assert not Certificate("easy", (replace(ROW, false_fail=Rate(5, 200)),), ()).passed
    assert not Certificate("easy", (replace(ROW, false_pass=Rate(2, 200)),), ()).passed
    assert Certificate("easy", (ROW, replace(ROW, judged=False, false_fail=Rate(100, 200))), ()).passed
    assert Certificate("easy", (ROW,), (GARBAGE_ROW,)).passed
    legible = replace(GARBAGE_ROW, unreadable=Rate(48, 50))
    assert not Certificate("easy", (ROW,), (legible,)).passed
    assert Certificate("easy", (ROW,), (replace(legible, disfigured=True, sure=Rate(2, 50)),)).passed
    assert not Certificate("easy", (ROW,), (replace(legible, disfigured=True, sure=Rate(3, 50)),)).passed


def test_the_tables_say_what_was_measured():
    text = Certificate("easy", (ROW,), (GARBAGE_ROW,)).markdown()
    assert "### easy: passed" in text
    assert "| **clean** | 0.00 % (0.00-1.88) | 0.00 % (0.00-1.88) | 0.00 % | 100.00 % | 100.00 % | - | - | - | - | 100.00 % | 300 |" in text
    assert "| **white noise** | 100.00 % (92.87-100.00) | 100.00 % (92.87-100.00) |" + 3 * " 0.00 % (0.00-7.13) |" in text


def test_the_certificate_says_what_confidence_is_worth():
    rows = replace(ROW, read=((0.95, True), (0.5, False))), replace(ROW, judged=False, read=((0.99, True), (0.5, True)))
    certificate = Certificate("easy", rows, ())
    assert certificate.confidence == worth([0.95, 0.5, 0.99, 0.5], [True, False, True, True])
    assert f"Confidence of the 4 things read: {certificate.confidence}." in certificate.markdown()
    assert Certificate("easy", (ROW,), ()).confidence is None
    assert "Confidence" not in Certificate("easy", (ROW,), ()).markdown()


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_both_levels_pass(level):
    rows = []
    certificate = certify(level, 24, tick=rows.append)
    assert certificate.passed
    assert rows == [*ROWS] == [*JUDGED, *REPORTED, *GARBAGE, *DISFIGURED]
    assert [row.false_fail.of for row in certificate.rows] == [24] * len(JUDGED) + [6] * len(REPORTED)
    assert all(row.refused.share > 0.7 for row in certificate.garbage)
    assert all(row.agreed.share >= 0.95 for row in certificate.rows if row.judged)
    assert ("digit" in certificate.rows[0].correct) == bool(level.digits)
    assert certificate.confidence.error < 0.1 and certificate.confidence.accuracy.share > 0.95


def test_a_seed_is_a_certificate():
    one, other = (certify(EASY, 4, seed=3) for _ in range(2))
    assert [replace(row, pictures_per_second=0.0) for row in one.rows] == [replace(row, pictures_per_second=0.0) for row in other.rows]
    assert one.garbage == other.garbage


def test_drawings_are_read_by_both_readers_and_not_judged():
    def true_and_inverted(n):
        scenes = [sample_shown(EASY, 7, index) for index in range(n)]
        pictures = rendered(scenes, EASY)
        return torch.cat((pictures[: n // 2], 255 - pictures[n // 2 :])), scenes

    rows = []
    certificate = certify(EASY, 40, drawn={"somebody": true_and_inverted}, tick=rows.append)
    (row,) = certificate.drawn
    assert rows[-1] == row.name == "somebody" and certificate.passed
    found = row.audit
    assert (found.right, found.confirmed, found.readable, found.agreement.scene) == (Rate(2, 4), Rate(2, 2), Rate(2, 4), Rate(2, 2))
    text = certificate.markdown()
    assert (
        "| drawn by | as asked, by the oracle | of these, by the auditor too | legible to the oracle | to the auditor | both alike |"
        in text
    )
    assert f"| somebody | {Rate(2, 4)} | {Rate(2, 2)} | {Rate(2, 4)} | {Rate(2, 4)} | {Rate(2, 2)} |" in text
    assert "drawn by" not in replace(certificate, drawn=()).markdown()


def test_extra_pictures_are_reported_last_and_not_judged():
    rows = []
    certificate = certify(EASY, 8, extra={"upside down": lambda pictures, rng: pictures.flip(2)}, tick=rows.append)
    row = certificate.rows[-1]
    assert rows[-1] == row.corruption == "upside down" and not row.judged
    assert row.false_fail.share > 0.5 and certificate.passed
    with pytest.raises(ValueError, match="certify: extra pictures are called clean, as rows are that exist; choose other names"):
        certify(EASY, 8, extra={"clean": lambda pictures, rng: pictures})
