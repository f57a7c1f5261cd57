import pytest
import torch

from tessera.codecs import FSQ, Autoencoder, Folded


@pytest.fixture
def plain() -> Autoencoder:
    """Codes in a grid of 4 x 4, which differ."""
    codec = Autoencoder(quantizer=FSQ((8, 8)), pixels=16, stride=4, channels=8).eval()
    codec.encoder[-1].weight.data *= 10
    return codec


def test_pieces_and_their_codes_stand_in_reading_order(plain):
    grid = torch.arange(16)
    assert Folded(plain, rows=2, columns=2).fold(grid).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert Folded(plain, rows=1, columns=2).fold(grid)[:3].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert Folded(plain, rows=2, columns=4).fold(grid).tolist() == [list(range(8)), list(range(8, 16))]
    assert Folded(plain, rows=4, columns=1).fold(grid)[1].tolist() == [1, 5, 9, 13]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 2), (2, 2), (2, 4), (4, 1)])
def test_unfolded_it_is_the_codec_inside(plain, rows, columns):
    folded, mask = Folded(plain, rows=rows, columns=columns), torch.ones(16, 16, dtype=torch.bool)
    pictures = list(torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8))
    pieces, codes = folded.encode(pictures).clean, plain.encode(pictures).clean
    assert all(one.shape == (folded.elements, folded.levels) == (16 // (rows * columns), rows * columns) for one in pieces)
    assert torch.equal(torch.stack([folded.unfold(one) for one in pieces]), codes) and len(codes.unique()) > 8
    assert torch.equal(folded.decode(pieces), plain.decode(list(codes)))
    assert folded.blank().shape == pieces[0].shape and folded.blank().dtype == codes.dtype
    assert folded.keep(mask).all() and folded.columns == 4 // columns and folded.pixels == 16
    assert {*folded.parameters()} == {*plain.parameters()}


def test_a_piece_is_given_where_all_its_codes_are(plain):
    mask = torch.ones(16, 16, dtype=torch.bool)
    mask[5, 10] = False  # inside the code of row 1, column 2
    assert Folded(plain, rows=2, columns=2).keep(mask).tolist() == [True, False, True, True]
    assert Folded(plain, rows=1, columns=2).keep(mask).tolist() == [i != 3 for i in range(8)]


def test_pieces_that_do_not_fill_the_grid_are_refused(plain):
    with pytest.raises(ValueError, match=r"Folded: pieces of 3 x 2 codes in a grid of 4 x 4; the pieces must fill it"):
        Folded(plain, rows=3, columns=2)
