"""Features: what an eye sees of pictures, resampled and scaled as asked; painting by them, from the noise of each draw."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tessera.codecs import CausalFormer, Codec, Features, Painter
from tessera.codecs.patches import patchify
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.stages import Learner
from tessera.vision import siglip

EYE = {"pixels": 8, "patch": 2, "width": 16, "depth": 1, "heads": 2}


def built(*, columns: int = 0, row: bool = False, **how) -> Features:
    eye = siglip(**EYE)
    former = CausalFormer(seen=16, squares=16, elements=3, features=6, width=16, depth=1, heads=2) if row else None
    sizes = {"features": 6, "elements": 3} if row else {"features": 16, "elements": (columns or 4) ** 2, "columns": columns or 4}
    painter = Painter(**sizes, pixels=8, patch=1, channels=16, depth=1, heads=2)
    return Features(eye, painter, former=former, columns=columns, **how).eval()


def learned(pictures) -> list[Document]:
    return [Document((Text("x"), Image(picture, learn=True))) for picture in pictures]


@pytest.mark.parametrize("how", [{}, {"columns": 2}, {"row": True}, {"unit": True}], ids=["grid", "resampled", "row", "unit"])
def test_it_is_a_codec_that_learns(how, pictures):
    codec = built(**how)
    assert isinstance(codec, Codec) and isinstance(codec, Learner)
    clean = codec.encode(list(pictures)).clean
    assert clean.shape == (4, codec.elements, codec.features) and clean[0].shape == codec.blank().shape
    back = codec.decode(clean)
    assert back.shape == pictures.shape and back.dtype == torch.uint8


def test_features_are_the_eyes_own(pictures):
    codec = built()
    seen = codec.eye(patchify(pictures / 127.5 - 1, 2))
    torch.testing.assert_close(codec.encode(list(pictures)).clean, seen)
    torch.testing.assert_close(built_with(codec, unit=True).encode(list(pictures)).clean, F.normalize(seen, dim=-1))


def built_with(codec: Features, **how) -> Features:
    """The same eye and painter in another codec."""
    return Features(codec.eye, codec.painter, **how).eval()


def test_a_resampled_grid_is_the_mean_of_what_it_joins_away_from_the_edge():
    """Halving with antialiasing weighs a cell's two columns most; a grid that does not vary stays as it is."""
    codec = built(columns=2)
    codec.eye = Constant(4, 16)
    grid = codec.form(torch.ones(2, 16, 1) * torch.arange(16.0))
    torch.testing.assert_close(grid, torch.arange(16.0).expand(2, 4, 16))
    ramp = torch.arange(4.0).repeat(4)[None, :, None].expand(1, 16, 16)  # each cell's column
    across = codec.form(ramp)[0, :, 0]
    torch.testing.assert_close(across[:2] + across[:2].flip(0), torch.full((2,), 3.0))
    assert 0.5 <= float(across[0]) < 1.0 and torch.equal(across[:2], across[2:])


class Constant(nn.Module):
    """Something with the size of an eye."""

    def __init__(self, columns: int, width: int):
        super().__init__()
        self.columns, self.width, self.elements, self.pixels, self.patch = columns, width, columns**2, 8, 2


def test_only_a_grid_is_resampled():
    with pytest.raises(ValueError, match="only a grid is resampled"):
        built(row=True, columns=2)


def test_painting_is_fixed_by_the_draw(pictures):
    codec = built()
    torch.manual_seed(1)
    for parameter in codec.painter.parameters():
        nn.init.normal_(parameter, std=0.1)
    clean = codec.encode(list(pictures)).clean
    paint = lambda *seeds: codec.decode(clean[: len(seeds)], [Draw(seed) for seed in seeds])
    assert torch.equal(paint(1, 2), paint(1, 2)) and torch.equal(paint(1, 2)[1:], codec.decode(clean[1:2], [Draw(2)]))
    assert not torch.equal(paint(1, 2), paint(3, 2))
    same = codec.decode(clean[:1].expand(2, -1, -1))
    assert torch.equal(same[0], same[1]), "without draws all have one noise"


def test_a_painter_that_knows_the_picture_paints_it(pictures):
    """Whatever the noise: the walk ends at the clean picture as it is said last."""
    codec = built()

    class Knows(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, pixels, time, features):
            assert pixels.shape == (2, 3, 8, 8) and ((0 <= time) & (time < 1000)).all()
            return pictures[:2] / 127.5 - 1

    codec.painter = Knows()
    assert torch.equal(codec.decode(codec.blank().expand(2, -1, -1), [Draw(1), Draw(2)]), pictures[:2])


def test_what_is_learned_is_the_clean_picture_from_a_point_of_the_path(pictures):
    codec, draws = built(noise=0.0), [Draw(3, i) for i in range(4)]
    painting = codec.arrange(learned(pictures), draws)
    pixels = pictures / 127.5 - 1
    torch.testing.assert_close(painting.pixels, pixels)
    assert not painting.error.any() and painting.time.unique().numel() == 4 and ((painting.time >= 0) & (painting.time <= 1)).all()
    told = []
    codec.painter.register_forward_pre_hook(lambda _, told_: told.append(told_))
    total, count = codec.losses_of(painting)["pixels"]
    ((noisy, time, features),) = told
    at = painting.time[:, None, None, None]
    torch.testing.assert_close(noisy, at * pixels + (1 - at) * painting.noise)
    torch.testing.assert_close(time, 1000 * painting.time)
    torch.testing.assert_close(features, codec.encode(list(pictures)).clean)
    said = codec.painter(noisy, time, features)
    assert count == 4
    torch.testing.assert_close(total / 4, (said - pixels).square().mean())


def test_features_are_learned_from_under_noise_of_their_own_size(pictures):
    codec = built(noise=0.5, unit=True)
    painting = codec.arrange(learned(list(pictures) * 50), [Draw(4, i) for i in range(200)])
    strengths = painting.error.square().mean((1, 2)).sqrt()  # uniform from 0 to 0.5, but for the spread of 256 numbers
    assert 0.22 < float(strengths.mean()) < 0.28 and float(strengths.max()) < 0.6
    one = codec.arrange(learned(pictures[1:2]), [Draw(4, 1)])
    torch.testing.assert_close(one.error[0], painting.error[1]), "noise is each document's own"


def test_documents_without_pictures_cost_nothing():
    for how in ({}, {"row": True}):
        codec = built(**how)
        total, count = codec.losses_of(codec.arrange([Document((Text("x"),))], [Draw(0)]))["pixels"]
        assert count == 0 and total.item() == 0


def test_a_grid_keeps_its_squares_and_a_row_is_given_as_a_whole():
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:, 4:] = True
    assert built(columns=2).keep(mask).tolist() == [False, True, False, True]
    row = built(row=True)
    assert row.keep(mask | True).tolist() == [True] * 3 and row.keep(mask & False).tolist() == [False] * 3
    with pytest.raises(ValueError, match="50% is given; such a picture is given or learned as a whole"):
        row.keep(mask)


def test_it_learns_to_paint_what_the_eye_saw(pictures):
    """By heart: four pictures, told apart by their features alone."""
    codec = built(noise=0.1)
    flat = (pictures // 128 * 255)[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3)
    optimizer = torch.optim.AdamW(codec.painter.parameters(), lr=3e-3)
    for i in range(150):
        total, count = codec.losses_of(codec.arrange(learned(list(flat) * 2), [Draw(i, j) for j in range(8)]))["pixels"]
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    clean = codec.encode(list(flat)).clean
    error = lambda painted: ((painted.float() - flat.float()) / 127.5).square().mean()
    assert error(codec.decode(clean)) < 0.05 < 0.3 < error(codec.decode(clean.roll(1, 0)))
