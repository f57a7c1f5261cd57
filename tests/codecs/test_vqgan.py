import pytest
import torch

from tessera.codecs import FSQ, LFQ, VQ, VQGAN, Codec, ConvDecoder, ConvEncoder, Residual, Shifted, chameleon_vqgan, llamagen_vq, magvit_v2
from tessera.codecs.base import PictureCodec
from tessera.codecs.convolutions import SpatialAttention
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.stages import Learner

QUANTIZERS = {
    "vq": lambda: VQ(size=32, features=6),
    "normalized": lambda: VQ(size=32, features=6, normalized=True),
    "signs": lambda: LFQ(6),
    "levels": lambda: FSQ((4, 4, 4)),
    "residual": lambda: Residual([VQ(size=32, features=6) for _ in range(3)]),
}


def small(quantizer="vq", *, pixels=8, multiples=(1, 1, 2), noise=0.0, **changes) -> VQGAN:
    nets = {"features": 8, "channels": 16, "multiples": multiples, "blocks": 1, "groups": 4, **changes}
    return VQGAN(encoder=ConvEncoder(**nets), decoder=ConvDecoder(**nets), quantizer=QUANTIZERS[quantizer](), pixels=pixels, noise=noise)


@pytest.mark.parametrize("kind", QUANTIZERS)
@pytest.mark.parametrize(("pixels", "multiples"), [(8, (1, 2)), (12, (1, 1, 1))])
def test_pictures_become_a_grid_of_codes_and_come_back_in_shape(kind, pixels, multiples):
    codec = small(kind, pixels=pixels, multiples=multiples).eval()
    assert isinstance(codec, Codec) and isinstance(codec, PictureCodec) and isinstance(codec, Learner)
    pictures = torch.randint(0, 256, (3, 3, pixels, pixels), dtype=torch.uint8)
    clean = codec.encode(list(pictures)).clean
    stride = 2 ** (len(multiples) - 1)
    assert clean.shape == (3, (pixels // stride) ** 2, *((3,) if kind == "residual" else ()))
    assert codec.stride == stride and codec.elements == clean.shape[1] == codec.columns**2
    assert clean.min() >= 0 and clean.max() < codec.quantizer.size
    decoded = codec.decode(list(clean))
    assert decoded.shape == pictures.shape and decoded.dtype == torch.uint8
    assert codec.blank().shape == clean[0].shape and codec.blank().dtype == clean.dtype


@pytest.mark.parametrize("kind", QUANTIZERS)
def test_decode_paints_what_forward_paints(kind, pictures):
    codec = small(kind).eval()
    with torch.no_grad():
        painted, codes, _ = codec(pictures / 127.5 - 1)
    assert torch.equal(codes, codec.encode(list(pictures)).clean)
    expected = ((painted.clamp(-1, 1) + 1) * 127.5).round()
    assert (codec.decode(list(codes)).float() - expected).abs().max() <= 1


def test_latents_and_codes_lie_in_reading_order():
    codec = small("vq", pixels=16).eval()
    picture = torch.randn(1, 3, 16, 16)
    grid = codec.to_latents(codec.encoder(picture))[0]
    latents = codec.latents(picture)[0]
    assert all(torch.equal(latents[4 * row + column], grid[:, row, column]) for row in range(4) for column in range(4))
    codec.decoder, codec.from_latents = torch.nn.Identity(), torch.nn.Identity()
    assert torch.equal(codec.paint(latents[None, :, :3])[0], grid[:3])


@pytest.mark.parametrize("kind", ["normalized", "signs"])
def test_it_learns_four_pictures_by_heart(kind):
    codec = small(kind)
    pictures = torch.randint(0, 2, (4, 3, 2, 2), dtype=torch.uint8).mul(255).repeat_interleave(4, 2).repeat_interleave(4, 3)
    documents = [Document((Text("x"), Image(picture))) for picture in pictures]
    optimizer = torch.optim.Adam(codec.parameters(), 3e-3)
    for _ in range(150):
        arranged = codec.arrange(documents, [Draw(i) for i in range(4)])
        (error, count), (commitment, codes) = codec.losses_of(arranged).values()
        optimizer.zero_grad()
        (error / count + commitment / codes).backward()
        optimizer.step()
    assert (count, codes) == (4, 16) and float(error.detach()) / count < 0.02
    assert (codec.eval().decode(list(codec.encode(list(pictures)).clean)).int() - pictures).abs().max() < 64


def test_the_gradient_reaches_the_encoder_through_the_codes():
    codec = small("signs")
    codec.losses_of(codec.arrange([Document((Image(torch.zeros(3, 8, 8, dtype=torch.uint8)),))], [Draw(0)]))["pixels"][0].backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in (codec.encoder.stem.weight, codec.to_latents.weight)
    )


@pytest.mark.parametrize("kind", QUANTIZERS)
def test_documents_without_pictures_lose_nothing(kind):
    codec = small(kind)
    losses = codec.losses_of(codec.arrange([Document((Text("x"),))], [Draw(0)]))
    assert [(float(value.detach()), count) for value, count in losses.values()] == [(0.0, 0), (0.0, 0)]


def test_the_encoder_sees_noise_only_where_it_is_asked_for():
    documents = [Document((Image(torch.full((3, 8, 8), 128, dtype=torch.uint8)),)) for _ in range(2)]
    draws = lambda: [Draw(0), Draw(1)]
    quiet, noisy = small().arrange(documents, draws()), small(noise=0.5).arrange(documents, draws())
    assert torch.equal(quiet.pixels, quiet.seen) and torch.equal(noisy.pixels, quiet.pixels)
    assert not torch.equal(noisy.seen[0], noisy.seen[1])


def test_a_code_is_given_where_all_its_pixels_are():
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:4], mask[7] = True, True
    assert small().keep(mask).tolist() == [True, True, False, False]


def test_its_codes_have_their_own_span_in_a_shared_vocabulary(pictures):
    codec = small("signs").eval()
    shifted = Shifted(codec, first=100)
    assert torch.equal(torch.stack(list(shifted.encode(list(pictures)).clean)), codec.encode(list(pictures)).clean + 100)
    assert shifted.blank().tolist() == [100] * 4


def test_without_a_decoder_it_reads_and_does_not_paint(pictures):
    whole = small()
    blind = VQGAN(encoder=whole.encoder, decoder=None, quantizer=whole.quantizer, pixels=8)
    blind.to_latents = whole.to_latents
    assert torch.equal(blind.encode(list(pictures)).clean, whole.encode(list(pictures)).clean) and blind.from_latents is None
    with pytest.raises(ValueError, match="VQGAN: a picture is to be painted, and there is no decoder; give it one"):
        blind.decode([blind.blank()])


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"picture: torch.uint8 of shape \(3, 16, 8\); .* \(3, 8, 8\) is accepted"):
        small().encode([torch.zeros(3, 16, 8, dtype=torch.uint8)])


def test_nets_that_do_not_fit_are_refused():
    encoder, decoder = (net(features=8, channels=8, multiples=(1, 1), blocks=1, groups=4) for net in (ConvEncoder, ConvDecoder))
    with pytest.raises(ValueError, match="VQGAN: 7 pixels, an encoder of stride 2, a decoder of stride 2; one stride that divides"):
        VQGAN(encoder=encoder, decoder=decoder, quantizer=LFQ(4), pixels=7)
    deeper = ConvDecoder(features=8, channels=8, multiples=(1, 1, 1), blocks=1, groups=4)
    with pytest.raises(ValueError, match="VQGAN: 8 pixels, an encoder of stride 2, a decoder of stride 4"):
        VQGAN(encoder=encoder, decoder=deeper, quantizer=LFQ(4), pixels=8)


@pytest.mark.parametrize(
    ("build", "encoder", "decoder", "size", "elements", "attended"),
    [
        (chameleon_vqgan, 27_194_880, 39_294_851, 8192, 1024, 0),  # the encoder's number is that of transformers' class
        (llamagen_vq, 29_298_176, 42_449_795, 16_384, 576, 5),  # both are those of transformers' class for Janus
        (magvit_v2, 55_438_989, 39_947_651, 8192, 256, 0),
    ],
)
def test_published_tokenizers_have_their_published_size(build, encoder, decoder, size, elements, attended):
    with torch.device("meta"):
        codec = build()
    count = lambda net: sum(parameter.numel() for parameter in net.parameters())
    assert (count(codec.encoder), count(codec.decoder)) == (encoder, decoder)
    assert (codec.quantizer.size, codec.elements, codec.stride) == (size, elements, 16)
    assert sum(isinstance(part, SpatialAttention) for net in (codec.encoder, codec.decoder) for part in net.levels.modules()) == attended
