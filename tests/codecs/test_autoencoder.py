import pytest
import torch
from torch import nn

from tessera.codecs import FSQ, VQ, Autoencoder, Residual
from tessera.codecs.patches import patchify, unpatchify
from tessera.document import Document, Image, Text
from tessera.draws import Draw

QUANTIZERS = {
    "fsq": lambda: FSQ((5, 5, 5)),
    "vq": lambda: VQ(size=32, features=8),
    "residual": lambda: Residual([VQ(size=32, features=8) for _ in range(3)]),
}


@pytest.mark.parametrize("kind", QUANTIZERS)
@pytest.mark.parametrize(("pixels", "stride"), [(16, 4), (16, 8), (32, 16)])
def test_pictures_become_a_grid_of_codes_and_come_back_in_shape(kind, pixels, stride):
    codec = Autoencoder(quantizer=QUANTIZERS[kind](), pixels=pixels, stride=stride, channels=8).eval()
    pictures = torch.randint(0, 256, (3, 3, pixels, pixels), dtype=torch.uint8)
    clean = codec.encode(list(pictures)).clean
    levels = (3,) if kind == "residual" else ()
    assert clean.shape == (3, (pixels // stride) ** 2, *levels) and codec.elements == clean.shape[1]
    assert clean.min() >= 0 and clean.max() < codec.quantizer.size
    decoded = codec.decode(list(clean))
    assert decoded.shape == pictures.shape and decoded.dtype == torch.uint8
    assert codec.blank().shape == clean[0].shape and codec.blank().dtype == clean.dtype


def test_decode_paints_what_forward_paints(pictures):
    codec = Autoencoder(quantizer=QUANTIZERS["residual"](), pixels=8, stride=4, channels=8).eval()
    with torch.no_grad():
        painted, codes, _ = codec(pictures / 127.5 - 1)
    assert torch.equal(codes, codec.encode(list(pictures)).clean)
    expected = ((painted.clamp(-1, 1) + 1) * 127.5).round()
    assert (codec.decode(list(codes)).float() - expected).abs().max() <= 1


def test_a_code_depends_on_its_square_alone_in_reading_order():
    codec = Autoencoder(quantizer=FSQ((8, 8, 8)), pixels=16, stride=4, channels=8).eval()
    codec.encoder[-1].weight.data *= 10  # so that codes differ
    squares = torch.randint(0, 256, (1, 16, 48), dtype=torch.uint8)
    order = torch.randperm(16)
    first, second = (codec.encode([unpatchify(some.float(), 4, 4)[0].byte()]).clean[0] for some in (squares, squares[:, order]))
    assert len(first.unique()) > 8 and torch.equal(second, first[order])


def test_codes_are_painted_in_reading_order():
    codec = Autoencoder(quantizer=FSQ((3, 3, 3)), pixels=8, stride=4, channels=8)
    codec.decoder = nn.Upsample(scale_factor=4)  # the three features of a code are the colour of its square
    painted = codec.decode([torch.tensor([13, 13 + 1, 13 - 3, 13 + 9])])[0]
    squares = patchify(painted[None].float(), 4)[0].unflatten(-1, (3, 16))
    assert torch.equal(squares.amin(-1), squares.amax(-1))
    assert squares.amin(-1).tolist() == [[128, 128, 128], [255, 128, 128], [128, 0, 128], [128, 128, 255]]


def test_it_learns_four_pictures_by_heart():
    codec = Autoencoder(quantizer=FSQ((8, 8, 8, 5)), pixels=8, stride=4, channels=16)
    pictures = torch.randint(0, 2, (4, 3, 2, 2), dtype=torch.uint8).mul(255).repeat_interleave(4, 2).repeat_interleave(4, 3)
    documents = [Document((Text("x"), Image(picture))) for picture in pictures]
    optimizer = torch.optim.Adam(codec.parameters(), 1e-2)
    for _ in range(80):
        arranged = codec.arrange(documents, [Draw(i) for i in range(4)])
        (error, count), (commitment, codes) = codec.losses_of(arranged).values()
        optimizer.zero_grad()
        (error / count + commitment / codes).backward()
        optimizer.step()
    assert (count, codes) == (4, 16) and float(error.detach()) / count < 0.01
    assert (codec.eval().decode(list(codec.encode(list(pictures)).clean)).int() - pictures).abs().max() < 64


@pytest.mark.parametrize("kind", QUANTIZERS)
def test_documents_without_pictures_lose_nothing(kind):
    codec = Autoencoder(quantizer=QUANTIZERS[kind](), pixels=8, stride=4, channels=8)
    losses = codec.losses_of(codec.arrange([Document((Text("x"),))], [Draw(0)]))
    assert [(float(value.detach()), count) for value, count in losses.values()] == [(0.0, 0), (0.0, 0)]


def test_a_picture_of_another_size_is_refused():
    codec = Autoencoder(quantizer=FSQ((5, 5)), pixels=8, stride=4, channels=8)
    with pytest.raises(ValueError, match=r"picture: torch.uint8 of shape \(3, 16, 8\); .* \(3, 8, 8\) is accepted"):
        codec.encode([torch.zeros(3, 16, 8, dtype=torch.uint8)])


@pytest.mark.parametrize(("pixels", "stride"), [(32, 2), (32, 12), (36, 8)])
def test_strides_that_do_not_fit_are_refused(pixels, stride):
    with pytest.raises(ValueError, match=f"Autoencoder: stride {stride} for {pixels} pixels; 4 times a power of two"):
        Autoencoder(quantizer=FSQ((5, 5)), pixels=pixels, stride=stride)


def test_a_code_is_given_where_all_its_pixels_are():
    codec, mask = Autoencoder(quantizer=FSQ((5, 5)), pixels=8, stride=4, channels=8), torch.zeros(8, 8, dtype=torch.bool)
    mask[:4] = True
    assert codec.keep(mask).tolist() == [True, True, False, False]


def test_the_encoder_learns_under_noise_that_is_each_document_s_own():
    codec = Autoencoder(quantizer=FSQ((5, 5)), pixels=8, stride=4, channels=8, noise=0.5)
    documents = [Document((Image(torch.full((3, 8, 8), 128, dtype=torch.uint8)),)) for _ in range(400)]
    pixels, seen = codec.arrange(documents, [Draw(i) for i in range(400)])
    strength = (seen - pixels).std((1, 2, 3))
    assert torch.equal(pixels, pixels[:1].expand_as(pixels)) and 0.2 < strength.mean() < 0.3 and strength.max() < 0.6
    again = codec.arrange(documents[7:8], [Draw(7)])
    assert torch.equal(again.seen[0], seen[7])
    quiet = Autoencoder(quantizer=FSQ((5, 5)), pixels=8, stride=4, channels=8, noise=0.0).arrange(documents[:2], [Draw(0), Draw(1)])
    assert torch.equal(quiet.pixels, quiet.seen)
