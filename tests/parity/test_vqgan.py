"""Published picture tokenizers from our parts, against codes, latents and pictures that their own code computed."""

import pytest
import torch
import torch.nn.functional as F
from parity.fixture import load
from parity.vqgan import chameleon, llamagen, orthus, show_o
from torch import Tensor, nn

from tessera.codecs import VQGAN, Unquantized
from tessera.codecs.convolutions import Downsample, SpatialAttention

JANUS, LLAMAGEN, CHAMELEON, ORTHUS, SHOW_O = map(load, ("janus_vq", "llamagen_vq", "chameleon_vq_decode", "orthus", "show_o"))
VQ_KEYS = ("encoder.", "decoder.", "quantize.", "quant_conv.", "post_quant_conv.")
CODECS = {
    "janus": lambda: llamagen(JANUS.under("gen_vision_model."), JANUS.config["vq"]),
    "llamagen": lambda: llamagen(LLAMAGEN.weights, LLAMAGEN.config),
    "chameleon": lambda: chameleon({name: w for name, w in CHAMELEON.weights.items() if name.startswith(VQ_KEYS)}, CHAMELEON.config["vq"]),
    "orthus": lambda: orthus(ORTHUS.under("model.vqmodel."), ORTHUS.config),
    "show_o": lambda: show_o(SHOW_O.weights, SHOW_O.config["vq"]),
}
# fixture, and its names of: pixels that are encoded, their latents, their codes
ENCODED = {
    "janus": (JANUS, "vq_pixels", "vq_latents_pre_quant", "vq_codes"),
    "llamagen": (LLAMAGEN, "pixels", "latents_pre_quant", "encoded_codes"),
    "chameleon": (CHAMELEON, "vq_pixels", "vq_latents_pre_quant", "vq_encoded_codes"),
    "show_o": (SHOW_O, "vq_pixels", "vq_latents", "vq_codes"),
}


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def grid(codec: VQGAN, features: Tensor) -> Tensor:
    """Features as their codes lie in the picture, as published code has them."""
    return features.mT.unflatten(2, (codec.columns, codec.columns))


def painted(codec: VQGAN, codes: Tensor) -> Tensor:
    return codec.paint(codec.quantizer.lookup(codes))


@pytest.mark.parametrize("name", ENCODED)
def test_pictures_become_the_published_codes(name):
    fixture, pixels, latents, codes = ENCODED[name]
    codec = CODECS[name]()
    found = codec.latents(fixture.inputs[pixels])
    fixture.check(latents, grid(codec, found))
    fixture.check(codes, codec.quantizer(found).codes)


@pytest.mark.parametrize(("name", "output"), [("janus", "vq_quantized"), ("llamagen", "quantized")])
def test_rounded_features_have_length_one(name, output):
    fixture, pixels, *_ = ENCODED[name]
    codec = CODECS[name]()
    fixture.check(output, grid(codec, codec.quantizer(codec.latents(fixture.inputs[pixels])).features))


def test_codes_become_the_published_pictures():
    JANUS.check("vq_decoded", painted(CODECS["janus"](), JANUS.outputs["vq_codes"]))
    JANUS.check("gen_image", painted(CODECS["janus"](), JANUS.outputs["gen_codes"]))
    LLAMAGEN.check("decoded", painted(CODECS["llamagen"](), LLAMAGEN.inputs["codes"]))
    LLAMAGEN.check("reconstruction", CODECS["llamagen"]()(LLAMAGEN.inputs["pixels"]).pixels)
    CHAMELEON.check("vq_decoded", painted(CODECS["chameleon"](), CHAMELEON.inputs["vq_codes"]))
    SHOW_O.check("vq_recon", painted(CODECS["show_o"](), SHOW_O.outputs["vq_codes"]))
    SHOW_O.check("vq_recon", CODECS["show_o"]()(SHOW_O.inputs["vq_pixels"]).pixels)


def test_signs_in_the_published_order_make_a_code():
    codec = CODECS["show_o"]()
    every = torch.arange(codec.quantizer.size)
    torch.testing.assert_close(codec.quantizer.lookup(every[None])[0], SHOW_O.weights["quantize.embedding"], rtol=0, atol=0)
    assert torch.equal(codec.quantizer.basis, SHOW_O.weights["quantize.power_vals"])


def test_orthus_encodes_without_rounding_and_paints_what_it_has_not_rounded():
    codec = Unquantized(CODECS["orthus"]())
    latents = codec.codec.latents(ORTHUS.inputs["pixels"])
    ORTHUS.check("vq_latents", grid(codec.codec, latents))
    ORTHUS.check("vq_decoded_from_latents", codec.codec.paint(latents))


class PaddedAbove(Downsample):
    """A mutation: zeros above and on the left."""

    def forward(self, x):
        return self.conv(F.pad(x, (1, 0, 1, 0)))


class Unscaled(SpatialAttention):
    """A mutation: products of queries and keys are not divided."""

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).flatten(2).mT.chunk(3, -1)
        return x + self.out(((q @ k.mT).softmax(-1) @ v).mT.unflatten(2, x.shape[2:]))


def turned(codec: VQGAN, mutation: type[nn.Module], of: type[nn.Module]) -> None:
    for module in codec.modules():
        if type(module) is of:
            module.__class__ = mutation


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize(("mutation", "of"), [(PaddedAbove, Downsample), (Unscaled, SpatialAttention)])
def test_mutated_encoders_are_not_the_published_ones(name, mutation, of):
    fixture, pixels, latents, _ = ENCODED[name]
    codec = CODECS[name]()
    turned(codec, mutation, of)
    assert not fixture.agrees(latents, grid(codec, codec.latents(fixture.inputs[pixels])))


@pytest.mark.parametrize("name", ["janus", "llamagen"])
def test_codes_without_normalization_are_not_the_published_ones(name):
    fixture, pixels, _, codes = ENCODED[name]
    codec = CODECS[name]()
    codec.quantizer.normalized = False
    assert not fixture.agrees(codes, codec.quantizer(codec.latents(fixture.inputs[pixels])).codes)


def test_decoder_levels_the_wrong_way_round_are_not_the_published_ones():
    codec = CODECS["show_o"]()
    first, last = (level[0] for level in codec.decoder.levels)
    codec.decoder.levels[0][0], codec.decoder.levels[1][0] = last, first
    assert not SHOW_O.agrees("vq_recon", painted(codec, SHOW_O.outputs["vq_codes"]))
