"""Orthus as it was published: Chameleon's trunk, pictures read softly through a table of codes, and drawn by a diffusion head."""

from collections.abc import Mapping

import torch

from tessera.codecs import VQ, Unquantized
from tessera.document import Image
from tessera.drops import Instead
from tessera.hub.blueprint import Blueprint
from tessera.hub.chameleon import BEGIN, END, NORMED, coding, manners, speaking
from tessera.hub.chameleon import USUAL as CHAMELEON
from tessera.hub.denoising import HEAD
from tessera.hub.folder import Folder, Settings
from tessera.hub.language import LLAMA, TURNS, named, text_port
from tessera.hub.markers import markers
from tessera.hub.names import Names, under
from tessera.hub.tensors import Stored
from tessera.hub.vqgan import TAMING, vqgan
from tessera.laws import Denoiser, Sampling
from tessera.orders import Next
from tessera.paths import Diffusion, scaled_linear_betas, spaced_trailing
from tessera.ports import Port
from tessera.readers import SoftReader, TokenReader
from tessera.system import System
from tessera.writers import DenoisingWriter

USUAL = {**CHAMELEON, "diffloss_w": 1536, "num_res_blocks": 3}  # the head's, which the published code takes for granted
FIRST = 4  # the id of code 0
SCALE = 0.1  # of what is denoised; features are read as they are
STEPS = 100
UNASKED = "Generate an image.<reserved08706>"

TRUNK: Names = {**NORMED, **LLAMA}
SOFT: Names = {"tokens.table": "embed_tokens", "codebook": "codebook_in"}
"""What reads features, beside the trunk under `model`."""


def orthus(folder: Folder, weights: Mapping[str, Stored]) -> Blueprint:
    """`OrthusForConditionalGeneration`."""
    said = Settings(folder.config, USUAL)
    speaker, codec = speaking(said, weights), coding(said, paints=True)
    assert isinstance(codec.quantizer, VQ)
    size, features = codec.quantizer.size, codec.quantizer.features
    marks = markers(folder, said, begin_image=[BEGIN], end_image=[END])
    words = text_port(folder, speaker, marks, beside=range(FIRST, FIRST + size))

    squares = TokenReader(speaker.words.table, columns=codec.columns)
    reader = SoftReader(squares, torch.zeros(size, features), first=FIRST, scale=SCALE)
    writer = DenoisingWriter(speaker.width, features, hidden=said["diffloss_w"], depth=said["num_res_blocks"])
    path = Diffusion(scaled_linear_betas(), zero_snr=True, spacing=spaced_trailing)
    law = Denoiser(features, path, steps=STEPS, repeats=8, sampling=Sampling(guidance=5.0))
    image = Port("image", Image, codec=Unquantized(codec, scale=SCALE), reader=reader, writer=writer, order=Next(), law=law)
    names = {
        **under(NORMED, ours="trunk", theirs="model"),
        **named(model="model", head="lm_head"),
        "by_name.image.reader.codebook": "model.codebook_in",
        **under(HEAD, ours="by_name.image.writer", theirs="mlp_head"),
        **under(vqgan(codec, TAMING), ours="by_name.image.codec.codec", theirs="model.vqmodel"),
    }
    system = System("orthus", trunk=speaker.trunk, ports=(words, image), attention=speaker.looks, drop=Instead(UNASKED))
    return Blueprint(system, names, TURNS, codec.quantizer.settle, manners(folder, codec.pixels))
