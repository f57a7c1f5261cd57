"""Picture latents loaded from the folder that diffusers writes, beside diffusers' class."""

import json

import pytest
import torch
from hub.denoised import latents
from hub.oracle import WITHIN, near
from safetensors.torch import load_file, save_file
from torch import nn

from tessera.codecs.patches import patchify
from tessera.hub import vae
from tessera.hub.filling import fill
from tessera.hub.folder import Folder
from tessera.hub.tensors import stored
from tessera.weightless import weightless

KINDS = {
    "Stable Diffusion 1": {"stride": 4},
    "XL: deeper, another factor": {"stride": 2, "depth": 2, "scaling_factor": 0.13025},
    "3: more channels, shifted, nothing around": {
        "stride": 4, "channels": 16, "scaling_factor": 1.5305, "shift_factor": 0.0609, "use_quant_conv": False,
        "use_post_quant_conv": False,
    },
    "fewer groups": {"stride": 8, "norm_num_groups": 8},
}  # fmt: skip


@pytest.fixture(params=KINDS)
def pair(request, tmp_path):
    theirs = latents(**KINDS[request.param])
    theirs.save_pretrained(tmp_path)
    return theirs, loaded(tmp_path)


def loaded(folder):
    described = Folder(folder, json.loads((folder / "config.json").read_text()))
    weights = {f"vae.{name}": one for name, one in stored(folder).items()}
    with weightless():
        codec = vae.latents(described, pixels=32, patch=2)
    fill(codec, vae.names(codec, weights), weights)
    return codec.eval()


@torch.no_grad()
def test_pictures_become_their_latents_and_come_back(pair):
    theirs, codec = pair
    pixels = torch.rand(2, 3, 32, 32) * 2 - 1
    found, expected = codec.posterior(pixels), theirs.encode(pixels).latent_dist
    assert near(found.mean, expected.mean) and near(found.log_variance, expected.logvar)
    noise = torch.randn_like(expected.mean)
    assert near(codec.decoder(noise), theirs.decode(noise).sample)


@torch.no_grad()
def test_clean_elements_are_shifted_and_scaled_as_published(pair):
    theirs, codec = pair
    picture = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    mean = theirs.encode(picture[None] / 127.5 - 1).latent_dist.mean
    clean = (mean - (theirs.config.shift_factor or 0.0)) * theirs.config.scaling_factor
    assert near(codec.encode([picture]).clean, patchify(clean, 2))
    painted = theirs.decode(clean / theirs.config.scaling_factor + (theirs.config.shift_factor or 0.0)).sample
    assert (codec.decode(patchify(clean, 2))[0].int() - ((painted[0].clamp(-1, 1) + 1) * 127.5).round().int()).abs().max() <= 1


def test_older_files_have_other_words_for_attention(tmp_path):
    theirs = latents(stride=2)
    theirs.save_pretrained(tmp_path)
    file, now = tmp_path / "diffusion_pytorch_model.safetensors", loaded(tmp_path).state_dict()
    older = dict(zip(vae.TOLD.values(), vae.ONCE.values(), strict=True))

    def renamed(name):
        for word, once in older.items():
            name = name.replace(f".{word}.", f".{once}.")
        return name

    save_file({renamed(name): tensor for name, tensor in load_file(file).items()}, file)
    assert ".query." in " ".join(load_file(file))
    assert all(torch.equal(tensor, now[name]) for name, tensor in loaded(tmp_path).state_dict().items())


def heads_change_places(codec):
    qkv = codec.encoder[0].middle[1].qkv
    qkv.weight.data = qkv.weight.data.roll(len(qkv.weight) // 3, 0)


def another_epsilon(codec):
    for part in codec.encoder.modules():
        if isinstance(part, nn.GroupNorm):
            part.eps = 0.1


def looks_the_other_way(codec):
    down = codec.encoder[0].levels[0][-1]
    down.conv.weight.data = down.conv.weight.data.flip(-1)


@torch.no_grad()
@pytest.mark.parametrize("mutation", [heads_change_places, another_epsilon, looks_the_other_way])
def test_a_mutated_codec_is_not(pair, mutation):
    theirs, codec = pair
    mutation(codec)
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    assert not near(codec.posterior(pixels).mean, theirs.encode(pixels).latent_dist.mean, 10 * WITHIN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"act_fn": "gelu"}, "asks for act_fn 'gelu'; 'silu' is accepted"),
        ({"mid_block_add_attention": False}, "asks for mid_block_add_attention False"),
        ({"down_block_types": ["AttnDownEncoderBlock2D"] * 2}, "asks for down_block_types"),
        ({"block_out_channels": [32, 48]}, r"asks for block_out_channels \[32, 48\]; multiples of the first"),
    ],
)
def test_other_nets_are_refused(tmp_path, change, said):
    latents(stride=2).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    with pytest.raises(ValueError, match=said):
        vae.latents(Folder(tmp_path, {**config, **change}), pixels=32)
