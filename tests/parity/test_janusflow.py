"""JanusFlow's eye, its nets around the trunk and its guided sampling, from our parts, against what the published code computed."""

import pytest
import torch
from parity.fixture import load
from parity.llama import llama
from torch import Tensor, nn

from tessera.attention import causal
from tessera.clocks import Clock
from tessera.codecs.patches import patchify
from tessera.draws import Streams
from tessera.hub.eyes import TIMM
from tessera.hub.filling import filled
from tessera.hub.janusflow import BEGIN, PROJECTOR, READER, WRITER
from tessera.laws import Regression, Sampling
from tessera.orders import InPlace, Pick, Seen, Writing
from tessera.orders.in_place import Noisy
from tessera.paths import DDIM, Flow
from tessera.readers import EyeReader, GridReader
from tessera.trunk import Transformer
from tessera.unets import ConvNeXtDown, ConvNeXtUp, apart, together
from tessera.vision import siglip
from tessera.writers import GridWriter

JANUSFLOW = load("janusflow")
CONFIG = JANUSFLOW.config
WIDTH, CHANNELS, PATCH = CONFIG["hidden_size"], CONFIG["uvit_channels"], CONFIG["uvit_stride"]
COLUMNS, FEATURES = CONFIG["latent_size"] // PATCH, CONFIG["latent_channels"] * PATCH**2


def of(*prefixes: str) -> dict[str, Tensor]:
    """The published weights whose names start so."""
    return {name: weight for name, weight in JANUSFLOW.weights.items() if name.startswith(prefixes)}


def reader() -> GridReader:
    """The published encoder, time embedding and layer into the trunk."""
    found = GridReader(
        ConvNeXtDown(FEATURES, CHANNELS, WIDTH, patch=PATCH), WIDTH, clock=Clock(WIDTH, features=CHANNELS), columns=COLUMNS, leading=True
    )
    return filled(found, READER, of("vision_gen_enc_model.", "vision_gen_enc_aligner."))


def writer() -> GridWriter:
    """The published norm and layer behind the trunk, and the decoder."""
    found = GridWriter(WIDTH, ConvNeXtUp(FEATURES, CHANNELS, WIDTH), columns=COLUMNS, norm=nn.RMSNorm(WIDTH, eps=CONFIG["rms_norm_eps"]))
    return filled(found, WRITER, of("vision_gen_dec_model.", "vision_gen_dec_aligner"))


def trunk() -> Transformer:
    """The published Llama."""
    return llama(JANUSFLOW.under("language_model.model."), CONFIG)


def eye_reader() -> EyeReader:
    """The published eye, the layer behind it, and the place in front."""
    width = CONFIG["vit_width"]
    eye = siglip(
        pixels=CONFIG["vit_image"],
        patch=CONFIG["vit_patch"],
        width=width,
        depth=CONFIG["vit_layers"],
        heads=CONFIG["vit_heads"],
        hidden=round(CONFIG["vit_mlp_ratio"] * width),
    )
    filled(eye, TIMM, JANUSFLOW.under("vision_und_enc_model.vision_tower."), unread=["attn_pool.*"])
    made = EyeReader(eye, nn.Linear(width, WIDTH), begin=nn.Embedding(1, WIDTH))
    filled(made.projector, PROJECTOR, of("vision_und_enc_aligner."))
    filled(made.begin, BEGIN, of("beg_of_und_embed"))
    return made


@torch.no_grad()
def test_a_picture_is_seen_and_text_continued_as_published(places):
    reader, squares = eye_reader(), patchify(JANUSFLOW.inputs["und_pixel_values"][0], CONFIG["vit_patch"])
    JANUSFLOW.check("und_vision_features", reader.eye(squares))
    seen = reader(squares, torch.zeros(1, dtype=torch.long))
    embeddings = JANUSFLOW.weights["language_model.model.embed_tokens.weight"][JANUSFLOW.inputs["und_input_ids"]]
    embeddings[JANUSFLOW.inputs["und_images_seq_mask"].bool()] = seen.embeddings[0]
    JANUSFLOW.check("und_inputs_embeds", embeddings)
    hidden = trunk()(embeddings, None, places(order=list(range(embeddings.shape[1]))), causal)
    JANUSFLOW.check("und_logits", hidden @ JANUSFLOW.weights["language_model.lm_head.weight"].T)


def elements(latents: Tensor) -> Tensor:
    """Our clean elements of their latents."""
    return together(latents, PATCH).flatten(1, 2)


def latents(elements: Tensor) -> Tensor:
    """The inverse of `elements`."""
    return apart(elements.unflatten(1, (-1, COLUMNS)), PATCH)


def read(x: Tensor, time: Tensor):
    """What the reader says of latents at these times."""
    value = elements(x)
    return reader()(Noisy(value, *[time[:, None].expand(-1, value.shape[1])] * 2), torch.zeros(len(x), dtype=torch.long))


@torch.no_grad()
def test_the_encoder_and_its_time_are_the_published_ones():
    seen = read(JANUSFLOW.inputs["uvit_x"], JANUSFLOW.inputs["uvit_t"])
    features, told = seen.aside.split([CHANNELS, WIDTH], -1)
    JANUSFLOW.check("uvit_enc_x_emb", features.mT.unflatten(2, (COLUMNS, COLUMNS)))
    JANUSFLOW.check("uvit_enc_t_emb", told[:, 0])
    torch.testing.assert_close(seen.embeddings[:, 0], told[:, 0])
    assert seen.predicts.tolist() == list(range(1, COLUMNS**2 + 1))


def decoded(part: GridWriter) -> Tensor:
    """What the decoder says of the fixture's features, behind the fixture's encoder."""
    with torch.no_grad():
        seen = read(JANUSFLOW.inputs["uvit_x"], JANUSFLOW.inputs["uvit_t"])
        part.norm, part.into = nn.Identity(), nn.Identity()
        hidden = JANUSFLOW.inputs["uvit_dec_in"].flatten(2).mT
        return latents(part(hidden.flatten(0, 1), seen.aside.flatten(0, 1)).unflatten(0, (2, -1)))


def test_the_decoder_is_the_published_one():
    JANUSFLOW.check("uvit_dec_out", decoded(writer()))


def no_response(part: GridWriter) -> None:
    nn.init.zeros_(part.net.blocks[1].response.weight)


def time_before_the_sum(part: GridWriter) -> None:
    scale = lambda block, told: block.adapt(nn.functional.silu(told)).chunk(2, -1)[0]
    part.net.blocks[0].register_forward_hook(lambda block, given, said: said - given[0] * scale(block, given[1]))


def skips_first(part: GridWriter) -> None:
    around = part.net.blocks[0].around
    around.weight.data = around.weight.data.roll(CHANNELS, 0)


@pytest.mark.parametrize("mutation", [no_response, time_before_the_sum, skips_first])
def test_a_mutated_decoder_is_not(mutation):
    part = writer()
    mutation(part)
    assert not JANUSFLOW.agrees("uvit_dec_out", decoded(part))


def from_this_noise(path, x, grid, fresh):
    """Euler's steps from the fixture's noise."""
    return DDIM()(path, elements(JANUSFLOW.inputs["gen_noise"])[0], grid, fresh)


from_this_noise.passes, from_this_noise.adds, from_this_noise.closes = 1, False, False


class Published:
    """A request of InPlace through the published trunk: in one row as asked, in the other with all but the prompt's first id hidden."""

    def __init__(self, places):
        self.places, self.trunk, self.reader = places, trunk(), reader()
        embeddings = JANUSFLOW.weights["language_model.model.embed_tokens.weight"]
        self.prompt = embeddings[JANUSFLOW.inputs["gen_prompt_ids"][:-1]]

    def show(self, visible: Noisy) -> Seen:
        """Hidden states and what went round the trunk, asked for and not."""
        seen = self.reader(Noisy(*(part[None] for part in visible)), torch.zeros(1, dtype=torch.long))
        hidden = []
        for prompt in (self.prompt, self.prompt[:1]):
            order = [*range(len(prompt)), *range(len(self.prompt), len(self.prompt) + COLUMNS**2 + 1)]
            row = torch.cat([prompt, seen.embeddings[0]])[None]
            hidden.append(self.trunk(row, None, self.places(order=order), causal)[0, -(COLUMNS**2) :])
        return Seen(torch.stack(hidden), seen.aside.expand(2, -1, -1))


@torch.no_grad()
def test_guided_sampling_walks_the_published_way(places):
    published, law, write = Published(places), Regression(), writer()
    order = InPlace(Flow(), solver=from_this_noise)
    writing = Writing(
        before=Seen(torch.zeros(1, 1, WIDTH)),
        like=torch.zeros(COLUMNS**2, FEATURES),
        keep=torch.zeros(COLUMNS**2, dtype=torch.bool),
        rng=torch.Generator(),
        steps=CONFIG["steps"],
    )
    coroutine, answer, walked, said = order.write(writing), None, [], []
    while True:
        try:
            request = coroutine.send(answer)
        except StopIteration as finished:
            walked.append(finished.value.clean)
            break
        if isinstance(request, Pick):
            said.append(latents(write(request.seen.hidden, request.seen.aside)))
            answer = law.draw(write, request.seen, Sampling(guidance=CONFIG["cfg_weight"]), Streams([], [], request.seen.hidden))
        else:
            walked.append(request.visible.value)
            answer = published.show(request.visible)
    JANUSFLOW.check("gen_velocity_cond_uncond", torch.stack(said))
    JANUSFLOW.check("gen_latents", latents(torch.stack(walked[1:])))
