import pytest
import torch
from exams.inception import stand_in
from PIL import Image as Pillow

from tessera.data.benchmarks import read_image_folder
from tessera.exams import Exam
from tessera.exams.distance import SHOWN, USUAL, Distance, Numbers
from tessera.exams.extractors import extractor
from tessera.exams.likeness import LEAST, Likeness, shown
from tessera.exams.pictures import Drawings, Folder, Scenes
from tessera.scoring.sets import least
from tessera.world import World

EASY = World.easy()
MEASURES = {f"distance.{name}" for name in ("frechet", "kid", "precision", "recall", "density", "coverage")}
ENOUGH = least(64)


@pytest.fixture(scope="module")
def world():
    return extractor("world")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of the world's pictures: the first so many of a split."""
    root = tmp_path_factory.mktemp("pictures")

    def make(name: str, pictures: torch.Tensor, pixels: int | None = None) -> Folder:
        if not (root / name).exists():
            (root / name).mkdir()
            for i, picture in enumerate(pictures):
                Pillow.fromarray(picture.permute(1, 2, 0).numpy()).save(root / name / f"{i:04d}.png")
        return Folder(name, read_image_folder(root / name).items, pixels)

    return make


@pytest.fixture(scope="module")
def mine(folder):
    return folder("mine", shown(EASY, "train", range(2 * ENOUGH)))


class Sized:
    """A set of pictures that are never looked at."""

    def __init__(self, name, count, side=32):
        self.name, self.count, self.size = name, count, (side, side)

    def picture(self, index):
        pytest.fail("nobody looks")

    told = picture


def test_pictures_of_the_reference_are_at_its_ceiling_and_others_are_not(world, mine, folder):
    real = folder("real", shown(EASY, "train", range(2 * ENOUGH, 4 * ENOUGH)))
    exam = Distance(world, mine, real)
    assert isinstance(exam, Exam) and exam.cases == [] and exam.numbers == Numbers(2 * ENOUGH, 2 * ENOUGH, ENOUGH)
    found = exam.report()
    assert found.scores.keys() == found.references.keys() == MEASURES
    assert found.scores["distance.frechet"].value < found.references["distance.frechet"]["ceiling"] < 0.7
    assert all(found.scores[f"distance.{name}"].value > 0.8 for name in ("precision", "recall", "density", "coverage"))
    assert found.scores["distance.frechet"].method == "jackknife/50" and found.scores["distance.coverage"].n == 2 * ENOUGH
    bright = folder("bright", (shown(EASY, "train", range(ENOUGH)).float() * 0.5 + 127).byte())
    spoiled = Distance(world, bright, real).report()
    assert spoiled.scores["distance.frechet"].value > 20 * found.scores["distance.frechet"].value
    assert spoiled.scores["distance.precision"].value < 0.2 and spoiled.scores["distance.precision"].n == ENOUGH
    assert spoiled.scores["distance.recall"].n == 2 * ENOUGH


def test_a_set_against_itself_is_at_no_distance(world, mine):
    scores = Distance(world, mine, mine).report().scores
    assert scores["distance.frechet"].value == pytest.approx(0, abs=1e-6) and scores["distance.kid"].value < 0
    assert [scores[f"distance.{name}"].value for name in ("precision", "recall", "coverage")] == [1.0, 1.0, 1.0]


def test_drawings_are_asked_for_and_compared_as_likeness_does(world):
    prompts = [case.prompt[0].content for case in Likeness(EASY, LEAST, "train").cases]
    exam = Distance(world, Drawings("mine", prompts, 32), Scenes(EASY, "train", first=LEAST))
    assert [case.prompt[0].content for case in exam.cases] == prompts == exam.prompts
    drawn = list(shown(EASY, "train", range(1000, 1000 + LEAST)))
    found, known = exam.report(drawn), Likeness(EASY, LEAST, "train")._likened(torch.stack(drawn))
    for name in ("frechet", "kid", "precision", "recall"):
        assert found.scores[f"distance.{name}"] == known.scores[f"likeness.{name}"]


def test_the_sheet_shows_pictures_beside_the_nearest_of_the_reference(world, mine, folder):
    real = folder("real", shown(EASY, "train", range(2 * ENOUGH, 4 * ENOUGH)))
    tiles = Distance(world, mine, mine).report().tiles["distance"]
    assert len(tiles) == SHOWN
    for i, tile in enumerate(tiles):
        assert tile.lines == (mine.told(i), f"nearest: {mine.told(i)}") or torch.equal(tile.picture[..., :32], tile.picture[..., -32:])
        assert tile.picture.shape == (3, 32, 66) and torch.equal(tile.picture[..., :32], mine.picture(i))
    assert Distance(world, mine, real).report().tiles["distance"][0].lines[1].startswith("nearest: 0")


def test_larger_pictures_are_seen_as_they_are_and_shown_smaller(monkeypatch, folder):
    stand_in(monkeypatch)
    large = folder("large", shown(EASY, "train", range(ENOUGH)).repeat_interleave(3, 2).repeat_interleave(3, 3))
    exam = Distance(extractor("inception-64"), large, large)
    assert exam.vectors(large, 2).shape == (2, 64) and large.picture(0).shape == (3, 96, 96)
    assert exam.report().tiles["distance"][0].picture.shape == (3, 64, 130)


def test_the_bar_is_told_of_each_set(world, mine):
    ticks = []
    Distance(world, mine, Scenes(EASY, "train"), ENOUGH, tick=lambda *what: ticks.append(what)).report()
    names = [what for what, *_ in ticks]
    assert list(dict.fromkeys(names)) == ["features of mine", "features of world-easy"]
    assert ticks[names.count("features of mine") - 1] == ("features of mine", ENOUGH, ENOUGH)
    assert ticks[-1] == ("features of world-easy", 2 * ENOUGH, 2 * ENOUGH)


@pytest.mark.parametrize(
    ("made", "real", "n", "expected"),
    [
        (300, 400, None, (300, 400, 200)),
        (300, 700, None, (300, 700, 300)),
        (300, 700, 200, (200, 200, 200)),
        (300, 200, None, (300, 200, 0)),
        (300, None, None, (300, 300, 300)),
        (300, None, 250, (250, 250, 250)),
        (None, 400, None, (400, 400, 200)),
        (None, None, None, (USUAL, USUAL, USUAL)),
    ],
)
def test_as_many_are_compared_as_there_are_or_as_are_asked_for(world, made, real, n, expected):
    assert Distance(world, Sized("made", made), Sized("real", real), n).numbers == Numbers(*expected)


def test_too_few_pictures_are_refused_and_too_few_halves_leave_no_ceiling(world, mine, folder):
    with pytest.raises(
        ValueError, match=f"distance: 130 pictures of made; features 'world' have 64 dimensions, and need {ENOUGH} pictures"
    ):
        Distance(world, Sized("made", 130), mine)
    with pytest.raises(ValueError, match="distance: 263 pictures of mine were asked for; it has 262; lower --n"):
        Distance(world, mine, Scenes(EASY, "train"), 263)
    assert ENOUGH == 131 and Distance(world, mine, mine).numbers.half == ENOUGH
    few = folder("few", shown(EASY, "train", range(ENOUGH)))
    exam = Distance(world, mine, few)
    assert exam.numbers.half == 0 and exam.report().references == {}


def test_more_dimensions_need_more_pictures_or_another_layer(monkeypatch):
    stand_in(monkeypatch)
    with pytest.raises(ValueError, match=r"need 4180 pictures of each set; bring more, or choose features of fewer dimensions"):
        Distance(extractor("inception"), Sized("made", 4000), Sized("real", 5000))


def test_sets_of_other_sizes_are_refused(world, monkeypatch):
    with pytest.raises(ValueError) as said:
        Distance(world, Sized("made", 300, 64), Sized("real", 300))
    assert str(said.value) == (
        "distance: pictures of made have 64 x 64 pixels; features 'world' see 32 x 32; "
        "scale and crop all pictures with --pixels 32, or choose --features inception"
    )
    stand_in(monkeypatch)
    with pytest.raises(
        ValueError, match=r"pictures of made have 64 x 64 pixels, those of real 32 x 32; one size is accepted; .* --pixels 32"
    ):
        Distance(extractor("inception-64"), Sized("made", 300, 64), Sized("real", 300))
