import pytest
import torch
from torch import nn

from tessera.codecs import VQ, Codec, ConvEncoder, FilmDecoder, FilmEncoder, FilmVQGAN, ToldDecoder
from tessera.codecs.base import PictureCodec
from tessera.codecs.films import TimeConv, ToldNorm

NET = {"features": 4, "channels": 8, "multiples": (1, 2), "attended": (1,), "groups": 4}


def small(halvings=1, doublings=1, pixels=8) -> FilmVQGAN:
    """Weights large enough that nothing hides."""
    encoder = FilmEncoder(ConvEncoder(**NET, blocks=1), halvings=halvings, blocks=1)
    decoder = FilmDecoder(ToldDecoder(**NET, told=4, blocks=2), doublings=doublings, blocks=1)
    made = FilmVQGAN(encoder=encoder, decoder=decoder, quantizer=VQ(size=16, features=4), pixels=pixels)
    for parameter in made.parameters():
        nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.2)
    return made.eval().requires_grad_(False)


def test_pictures_become_a_grid_of_codes_and_come_back_in_shape(pictures):
    codec = small()
    assert isinstance(codec, Codec) and isinstance(codec, PictureCodec)
    clean = codec.encode(list(pictures)).clean
    assert clean.shape == (4, codec.elements) == (4, 16) and codec.stride == 2
    assert codec.decode(list(clean)).shape == pictures.shape and codec.blank().shape == clean[0].shape
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:2] = True
    assert codec.keep(mask).tolist() == [True] * 4 + [False] * 12


def test_a_convolution_over_time_is_its_sum_and_sees_no_later_frame():
    conv, x = TimeConv(1, 1, kernel=(3, 1, 1)), torch.randn(1, 1, 5, 2, 2)
    before = torch.cat([x.new_zeros(1, 1, 2, 2, 2), x], 2)
    weight, bias = conv.conv.weight.flatten(), conv.conv.bias
    expected = sum(weight[i] * before[:, :, i : i + 5] for i in range(3)) + bias
    torch.testing.assert_close(conv(x), expected)


def test_codes_know_nothing_of_later_frames():
    codec, film = small(), torch.randn(1, 6, 3, 8, 8)
    other = film.clone()
    other[:, 4:] += 1
    one, changed = codec.encode_film(film), codec.encode_film(other)
    torch.testing.assert_close(one[:, :, :2], changed[:, :, :2])
    assert not torch.allclose(one[:, :, 2], changed[:, :, 2], atol=1e-2)


def test_a_picture_is_the_first_frame_of_a_film_that_stands_still(pictures):
    codec, pixels = small(), pictures.float() / 127.5 - 1
    film = codec.encode_film(pixels[:, None].expand(-1, 2, -1, -1, -1))
    torch.testing.assert_close(codec.latents(pixels), film.flatten(2).mT)
    torch.testing.assert_close(codec.paint(film.flatten(2).mT), codec.paint_film(film)[:, 0])
    assert codec.paint_film(film).shape == (4, 2, 3, 8, 8)


def test_a_norm_is_scaled_and_shifted_by_what_the_codes_say_of_each_cell():
    norm, x, codes = ToldNorm(8, 3, groups=2), torch.randn(1, 8, 4, 4), torch.randn(1, 3, 2, 2)
    found = norm(x, codes)
    plain = torch.nn.functional.group_norm(x, 2, norm.norm.weight, norm.norm.bias, 1e-6)
    at = codes[0, :, 1, 0]  # of the four cells below on the left
    scale, shift = (layer.weight[:, :, 0, 0] @ at + layer.bias for layer in (norm.scale, norm.shift))
    torch.testing.assert_close(found[0, :, 2:, :2], plain[0, :, 2:, :2] * scale[:, None, None] + shift[:, None, None])


@pytest.mark.parametrize("changes", [{"halvings": 2}, {"pixels": 7}])
def test_nets_that_do_not_fit_are_refused(changes):
    with pytest.raises(ValueError, match=r"FilmVQGAN: \d pixels, strides 2 and 2, \d halvings and 1 doublings of frames; as many"):
        small(**changes)
