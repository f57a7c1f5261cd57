import pytest
import torch
import torch.nn.functional as F

from tessera.exams import features as module
from tessera.exams.features import (
    COLOURS,
    LOOKS,
    NOTHING,
    SHIPPED,
    SIZES,
    Features,
    about_features,
    accuracy,
    features,
    labelled,
    save_features,
    train_features,
)
from tessera.exams.likeness import shown
from tessera.scoring.distances import frechet_distance, kernel_distance, precision_recall
from tessera.scoring.pictures import perceptual_distance
from tessera.verbs.weights import shipped
from tessera.world import World

STANDARD = World.standard()


@pytest.fixture(scope="module")
def real():
    return shown(STANDARD, "train", range(200))


@pytest.fixture(scope="module")
def other():
    return shown(STANDARD, "val", range(200))


def blurred(pictures: torch.Tensor, passes: int) -> torch.Tensor:
    """Under a 3 x 3 box filter, again and again."""
    found = pictures.float()
    for _ in range(passes):
        found = F.avg_pool2d(F.pad(found, (1, 1, 1, 1), "replicate"), 3, 1)
    return found.round().to(torch.uint8)


def noised(pictures: torch.Tensor, strength: float) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return (pictures + strength * torch.randn(pictures.shape, generator=rng)).round().clamp(0, 255).to(torch.uint8)


def shuffled(pictures: torch.Tensor, squares: int) -> torch.Tensor:
    """So many of the sixteen squares of 8 pixels each change places."""
    rng = torch.Generator().manual_seed(0)
    found = pictures.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).flatten(1, 2).clone()
    for row in found:
        chosen = torch.randperm(16, generator=rng)[:squares]
        row[chosen] = row[chosen.roll(1)]
    return found.unflatten(1, (4, 4)).permute(0, 3, 1, 4, 2, 5).reshape(pictures.shape)


# ---------------------------------------------------------------- what the features mean


def test_the_features_that_come_with_the_library_name_what_stands_where():
    named = accuracy(features(), 200, "val")
    assert named.things > 0.97 and named.places > 0.99 and named.pictures > 0.93


def test_what_stands_where_is_labelled():
    pixels, labels = labelled(STANDARD, 20, "train")
    assert pixels.shape == (20, 3, 32, 32) and labels.shape == (20, 9, 3)
    for i, row in enumerate(labels):
        scene = STANDARD.scene(i, "train")
        at = {thing.row * 3 + thing.column: thing for thing in scene.things}
        for place, (look, colour, size) in enumerate(row.tolist()):
            if place in at:
                thing = at[place]
                assert LOOKS[look - 1] in (thing.kind, thing.digit)
                assert (COLOURS[colour], SIZES[size]) == (thing.colour, thing.size)
            else:
                assert (look, colour, size) == (0, NOTHING, NOTHING)


@pytest.mark.parametrize(("spoil", "strengths"), [(blurred, (1, 2, 6)), (noised, (5, 20, 80)), (shuffled, (3, 8, 16))])
def test_distances_are_near_nothing_between_splits_and_grow_with_what_is_spoiled(spoil, strengths, real, other):
    spoiled = [other, *(spoil(other, strength) for strength in strengths)]
    vectors = [features().vectors(pictures) for pictures in spoiled]
    of_real = features().vectors(real)
    apart = [frechet_distance(found, of_real) for found in vectors]
    kernels = [kernel_distance(found, of_real) for found in vectors]
    assert apart == sorted(apart) and kernels == sorted(kernels)
    assert apart[0] < 0.5 and apart[1] > 2 * apart[0] and abs(kernels[0]) < 0.005 and kernels[1] > 0.03
    precisions, recalls = zip(*(precision_recall(of_real, found) for found in vectors), strict=True)
    assert min(precisions[0], recalls[0]) > 0.8 and min(precisions[-1], recalls[-1]) < 0.5
    maps = [features().maps(pictures) for pictures in spoiled]
    perceived = [float(perceptual_distance(found, maps[0]).mean()) for found in maps]
    assert perceived[0] == 0.0 and perceived == sorted(perceived) and perceived[1] > 0.05


def test_one_colour_in_place_of_another_is_seen(real, other):
    swapped = other.flip(1)  # red for blue: not one pixel's structure changes
    of_real = features().vectors(real)
    assert frechet_distance(features().vectors(swapped), of_real) > 5 * frechet_distance(features().vectors(other), of_real)


# ---------------------------------------------------------------- how they are made and kept


def test_the_file_is_small_says_how_it_was_made_and_is_no_system():
    facts = about_features()
    assert facts.keys() == {"steps", "seed", "world", "commit", "accuracy"}
    assert (facts["steps"], facts["seed"]) == (1200, 0) and facts["accuracy"]["things"] > 0.99
    assert SHIPPED.stat().st_size < 300_000
    assert "features" not in {name for name, _ in shipped()}


def test_features_are_one_row_and_three_maps_a_picture_whatever_is_beside_it(real, monkeypatch):
    vectors, maps = features().vectors(real[:5]), features().maps(real[:5])
    assert vectors.shape == (5, 64) and [tuple(layer.shape) for layer in maps] == [(5, 32, 16, 16), (5, 64, 8, 8), (5, 64, 8, 8)]
    torch.testing.assert_close(maps[-1].mean((2, 3)), vectors)
    monkeypatch.setattr(module, "TOGETHER", 2)
    torch.testing.assert_close(features().vectors(real[:5]), vectors)
    torch.testing.assert_close(features().maps(real[:5]), maps)


def test_other_pictures_are_refused():
    with pytest.raises(ValueError, match=r"picture: torch.uint8 of shape \(3, 16, 16\); .* \(3, 32, 32\) is accepted"):
        features().vectors(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))


def test_training_is_a_function_of_its_seed():
    few = {"steps": 3, "batch": 4, "pictures": 8}
    state = lambda network: torch.cat([tensor.flatten().double() for tensor in network.state_dict().values()])
    torch.manual_seed(1)
    first = state(train_features(**few))
    before = torch.get_rng_state()
    assert torch.equal(state(train_features(**few)), first)
    assert torch.equal(torch.get_rng_state(), before), "the global generator is left alone"
    assert not torch.equal(state(train_features(**few, seed=1)), first)


def test_training_names_more_than_chance_before_long():
    network = train_features(steps=60, batch=16, pictures=300)
    assert accuracy(network, 50, "train").places > accuracy(Features().eval(), 50, "train").places


def test_what_is_saved_is_what_was_made_in_half_precision(tmp_path, monkeypatch, real):
    network = Features().eval()
    save_features(network, tmp_path / "f.safetensors", {"steps": 7})
    assert about_features(tmp_path / "f.safetensors") == {"steps": 7}
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "f.safetensors")
    found = features.__wrapped__()
    assert not found.training and not any(parameter.requires_grad for parameter in found.parameters())
    torch.testing.assert_close(found.vectors(real[:4]), network.vectors(real[:4]), rtol=1e-2, atol=1e-3)
