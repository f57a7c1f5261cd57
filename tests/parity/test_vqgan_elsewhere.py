"""Tokenizers of which only a part is a VQGAN: TokenFlow's pixel branch and what paints VILA-U's codes."""

import pytest
import torch
import torch.nn.functional as F
from parity.fixture import load
from parity.vqgan import tokenflow_pixels, vila_u_painter
from torch import Tensor

from tessera.codecs import VQ, Residual

TOKENFLOW, VILA_U = load("tokenflow_vq"), load("vila_u_rq")
SEMANTIC = TOKENFLOW.config["semantic_code_dim"]
SCALES, LARGEST = TOKENFLOW.config["scales"], TOKENFLOW.config["scales"][-1]


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def halves(x: Tensor) -> Tensor:
    """Semantic and pixel features, each of length one."""
    return torch.cat([F.normalize(part, dim=-1) for part in x.split([SEMANTIC, x.shape[-1] - SEMANTIC], -1)], -1)


def tied_book() -> Tensor:
    return halves(torch.cat([TOKENFLOW.weights[f"quantize.embedding_{kind}.weight"] for kind in ("vqkd", "vqgan")], -1))


def enlarged(rows: Tensor, scale: int) -> Tensor:
    return F.interpolate(rows.mT.unflatten(2, (scale, scale)), size=(LARGEST, LARGEST), mode="bicubic")


def pixels_of(total: Tensor) -> Tensor:
    return tokenflow_pixels(TOKENFLOW.weights, TOKENFLOW.config).paint(total[:, SEMANTIC:].flatten(2).mT)


def test_tokenflow_s_encoder_finds_the_published_codes_at_every_scale():
    """Two tied codebooks and scales from coarse to fine stand here in short: ours is the encoder whose features they round."""
    weights = TOKENFLOW.weights
    linear = lambda x, i: F.linear(x, weights[f"encode_task_layer.{i}.weight"], weights[f"encode_task_layer.{i}.bias"])
    semantic = linear(linear(TOKENFLOW.inputs["teacher_features"], 0).tanh(), 2)
    latents = tokenflow_pixels(weights, TOKENFLOW.config).latents(TOKENFLOW.inputs["pixels"])
    left = torch.cat([semantic, latents], -1).mT.unflatten(2, (LARGEST, LARGEST))
    total, codes, book = torch.zeros_like(left), [], tied_book()
    for scale in SCALES:
        rows = halves(F.interpolate(left, size=(scale, scale), mode="area").flatten(2).mT)
        codes.append((rows[:, :, None] - book).square().sum(-1).argmin(-1))
        step = enlarged(book[codes[-1]], scale)
        total, left = total + step, left - step
    TOKENFLOW.check("encoded_codes", torch.cat(codes, 1))
    TOKENFLOW.check("encoded_sum", total)


def test_tokenflow_s_pixels_are_painted():
    TOKENFLOW.check("pixel_recon", pixels_of(TOKENFLOW.outputs["encoded_sum"]))
    codes = TOKENFLOW.inputs["codes"].split([scale**2 for scale in SCALES], 1)
    steps = [enlarged(tied_book()[mine], scale) for mine, scale in zip(codes, SCALES, strict=True)]
    TOKENFLOW.check("pixel_decoded", pixels_of(sum(steps)))
    TOKENFLOW.check("pixel_decoded_partial", pixels_of(sum(steps[:2])))
    assert not TOKENFLOW.agrees("pixel_decoded", pixels_of(sum(steps[:2])))


def test_vila_u_s_codes_are_summed_and_painted():
    weights, config = VILA_U.under("rqvaesiglip."), VILA_U.config
    book = weights["quantizer.codebooks.0.weight"][:-1]  # the last row pads
    vq = VQ(size=config["n_embed"], features=book.shape[1]).eval()
    vq.book.copy_(book)
    shared, codes = Residual([vq] * config["depth"]).eval(), VILA_U.inputs["codes"].flatten(1, 2)
    summed = shared.lookup(codes)
    VILA_U.check("embedded_codes", summed.unflatten(1, VILA_U.inputs["codes"].shape[1:3]))
    paint = vila_u_painter(weights, config)
    VILA_U.check("decoded", paint(VILA_U.outputs["embedded_codes"].permute(0, 3, 1, 2)))
    VILA_U.check("reconstruction", paint(VILA_U.outputs["encoded_zq"].permute(0, 3, 1, 2)))
    assert not VILA_U.agrees("decoded", paint(VILA_U.outputs["encoded_zq"].permute(0, 3, 1, 2)))
