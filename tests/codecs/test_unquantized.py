import pytest
import torch

from tessera.codecs import LFQ, VQ, VQGAN, Autoencoder, Codec, ConvDecoder, ConvEncoder, Unquantized

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
