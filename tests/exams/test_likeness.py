import pytest
import torch
from exams.players import nonsense, taken, values

from tessera.document import Image
from tessera.exams import likeness as module
from tessera.exams.likeness import LEAST, Likeness, beside, nearest, shown
from tessera.world import Scene, Skill, World, judge
from tessera.world.oracle import Oracle

EASY = World.easy()
SETS = {"likeness.frechet", "likeness.kid", "likeness.precision", "likeness.recall"}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer training pictures."""
    monkeypatch.setattr(module, "MEMORY", 1200)


@pytest.fixture(scope="module")
def exam():
    return Likeness(EASY, LEAST)


@pytest.fixture(scope="module")
def own():
    """The world's own pictures of the captions."""
    return list(shown(EASY, "test", range(LEAST)))


def test_whole_captions_are_drawn_and_the_world_has_drawn_them_too(exam, own):
    assert exam.want is Image and len(exam.cases) == LEAST
    prompts = [EASY.prompt(Skill.CAPTION, i, "test") for i in range(20)]
    assert [case.prompt[0].content for case in exam.cases[:20]] == [prompt.text for prompt in prompts]
    readings = Oracle(EASY.level).read(torch.stack(own[:20]))
    assert all(judge(prompt, reading).strict for prompt, reading in zip(prompts, readings, strict=True))


def test_the_worlds_own_drawings_get_the_ceiling_and_are_no_copies(exam, own):
    found = exam.report(own)
    assert found.scores.keys() == SETS | {"likeness.nearest"} == found.references.keys()
    for name in SETS:
        assert found.scores[name].value == found.references[name]["ceiling"]
        assert found.scores[name].n == LEAST
    assert (
        found.scores["likeness.frechet"].value < 0.5
        and min(found.scores[f"likeness.{name}"].value for name in ("precision", "recall")) > 0.8
    )
    low, high = found.scores["likeness.nearest"].ci95
    assert low < found.references["likeness.nearest"]["unseen"] == 0.5 < high


def test_noise_is_unlike_the_world_and_no_copy(exam):
    found = values(taken(exam, nonsense))
    assert found["likeness.frechet"] > 100 and found["likeness.kid"] > 10
    assert found["likeness.precision"] == found["likeness.recall"] == found["likeness.nearest"] == 0.0


def test_copies_of_training_pictures_are_found(exam):
    found = exam.report(list(shown(EASY, "train", range(700, 700 + LEAST))))
    assert found.scores["likeness.nearest"].value == 1.0
    assert {tile.lines[1] for tile in found.tiles["likeness"]} == {"nearest: off by 0 of 255"}


def test_one_drawing_again_and_again_recalls_little(exam, own):
    found = values(exam.report(own[:1] * LEAST))
    assert found["likeness.precision"] > 0.9 and found["likeness.recall"] < 0.1 and found["likeness.frechet"] > 1


def test_who_draws_nothing_gets_what_is_said_of_the_blind(exam):
    found = exam.report([EASY.picture(Scene(()))] * LEAST)
    for name in SETS:
        assert found.scores[name].value == pytest.approx(found.references[name]["blind"]), name
    assert found.references["likeness.frechet"]["blind"] > 10 * found.references["likeness.frechet"]["ceiling"]


def test_few_drawings_are_no_set(own):
    exam = Likeness(EASY, LEAST - 1)
    assert exam.report(own[:-1]).scores.keys() == {"likeness.nearest"}


def test_a_drawing_stands_beside_its_nearest_training_picture(exam, own, monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 3)
    tiles = exam.report(own).tiles["likeness"]
    seen = shown(EASY, "train", range(1200))
    found = nearest(torch.stack(own[:3]), seen)
    assert [tile.lines[0] for tile in tiles] == [case.prompt[0].content for case in exam.cases[:3]]
    for i, tile in enumerate(tiles):
        assert tile.picture.shape == (3, 32, 66) and tile.right is None
        assert torch.equal(tile.picture, beside(own[i], seen[found.which[i]]))
        assert torch.equal(tile.picture[..., :32], own[i]) and (tile.picture[..., 32:34] == 255).all()


def test_the_nearest_is_found_among_all_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 4)
    rng = torch.Generator().manual_seed(3)
    among = torch.randint(0, 256, (11, 3, 8, 8), dtype=torch.uint8, generator=rng)
    pictures = torch.cat([torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8, generator=rng), among[7:8]])
    found = nearest(pictures, torch.cat([among, among]))
    apart = ((pictures[:, None].double() - among.double()) / 255).square().flatten(2).mean(2)
    assert torch.equal(found.which, apart.argmin(1)), "and of equals it is the first"
    torch.testing.assert_close(found.distance.double(), apart.min(1).values, atol=1e-6, rtol=1e-5)
