import pytest
import torch

from tessera.codecs import FSQ, LFQ, VQ, VQGAN, Autoencoder, Codec, ConvDecoder, ConvEncoder, Unquantized
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.stages import Learner

NETS = {"features": 8, "channels": 8, "multiples": (1, 1, 2), "blocks": 1, "groups": 4}
CODECS = {
    "convolutions": lambda: VQGAN(encoder=ConvEncoder(**NETS), decoder=ConvDecoder(**NETS), quantizer=LFQ(5), pixels=8),
    "squares": lambda: Autoencoder(quantizer=VQ(size=9, features=5), pixels=8, stride=4, channels=8),
}


@pytest.fixture(params=CODECS)
def rounded(request):
    return CODECS[request.param]().eval()


def test_what_is_rounded_otherwise_is_kept_as_it_is(rounded, pictures):
    codec = Unquantized(rounded)
    assert isinstance(codec, Codec)
    clean = codec.encode(list(pictures)).clean
    assert clean.shape == (4, codec.elements, codec.features) == (4, 4, 5) and not clean.requires_grad
    assert torch.equal(rounded.quantizer(clean).codes, rounded.encode(list(pictures)).clean)
    assert not torch.equal(rounded.quantizer(clean).features, clean)


def test_rounded_features_are_painted_as_their_codes_are(rounded, pictures):
    codes = rounded.encode(list(pictures)).clean
    assert torch.equal(Unquantized(rounded).decode(rounded.quantizer.lookup(codes)), rounded.decode(codes))


def test_features_between_codes_are_painted_too(rounded):
    codec = Unquantized(rounded)
    one, other = torch.randn(2, 4, 5).unbind()
    blend = codec.decode([one.lerp(other, t) for t in (0.0, 0.5, 1.0)])
    assert blend.dtype == torch.uint8 and blend.shape == (3, 3, 8, 8)
    assert not torch.equal(blend[0], blend[1]) and not torch.equal(blend[1], blend[2])


def test_it_blanks_and_keeps_like_the_codec(rounded):
    codec, mask = Unquantized(rounded), torch.zeros(8, 8, dtype=torch.bool)
    mask[:, 4:] = True
    assert codec.blank().shape == (4, 5) and codec.blank().dtype == torch.float32 and not codec.blank().any()
    assert codec.keep(mask).tolist() == [False, True, False, True]
    assert codec.pixels == 8 and {*codec.parameters()} == {*rounded.parameters()}


def test_what_is_bounded_before_rounding_stays_so(pictures):
    squares = Autoencoder(quantizer=FSQ((4, 3, 5)), pixels=8, stride=4, channels=8).eval()
    codec, quantizer = Unquantized(squares), squares.quantizer
    clean, codes = codec.encode(list(pictures)).clean, squares.encode(list(pictures)).clean
    book = quantizer.lookup(torch.arange(quantizer.size)[None])[0]
    scaled = lambda x: x * (quantizer.levels // 2)  # every feature in steps of 1
    assert torch.equal((scaled(clean)[..., None, :] - scaled(book)).square().sum(-1).argmin(-1), codes)
    assert not torch.equal(quantizer.lookup(codes), clean)


def test_scaled_features_are_painted_alike(rounded, pictures):
    plain, scaled = Unquantized(rounded), Unquantized(rounded, scale=4.0)
    clean = plain.encode(list(pictures)).clean
    assert torch.equal(scaled.encode(list(pictures)).clean, 4 * clean) and torch.equal(scaled.decode(4 * clean), plain.decode(clean))


def test_the_painter_learns_what_is_not_rounded(rounded, pictures):
    """Nothing moves but the painter, and it paints better what is not rounded."""
    codec = Unquantized(rounded, noise=0.0)
    assert isinstance(codec, Learner)
    rounded.requires_grad_(False)
    rounded.decoder.requires_grad_(True)
    optimizer = torch.optim.Adam(rounded.decoder.parameters(), lr=1e-2)
    documents = [Document((Image(picture, True),)) for picture in pictures]
    losses = []
    for _ in range(12):
        total, count = codec.losses_of(codec.arrange(documents, [Draw(0, i) for i in range(4)]))["pixels"]
        assert count == 4
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert losses[-1] < 0.9 * losses[0]
    (total, count) = codec.losses_of(codec.arrange([Document((Text("a", True),))], [Draw(0)]))["pixels"]
    assert count == 0 and float(total) == 0
