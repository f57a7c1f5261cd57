"""JanusFlow's eye, its nets around the trunk and its guided sampling, from our parts, against what the published code computed."""

import pytest
import torch
from parity.fixture import load
from torch import Tensor, nn

from tessera.attention import causal
from tessera.clocks import Clock
from tessera.codecs.patches import patchify
from tessera.draws import Streams
from tessera.laws import Regression, Sampling
from tessera.orders import InPlace, Pick, Seen, Writing
from tessera.orders.in_place import Noisy
from tessera.paths import DDIM, Flow
from tessera.readers import EyeReader, GridReader
from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer
from tessera.unets import ConvNeXtDown, ConvNeXtUp, apart, together
from tessera.vision import siglip
from tessera.writers import GridWriter

JANUSFLOW = load("janusflow")
CONFIG = JANUSFLOW.config
WIDTH, CHANNELS, PATCH = CONFIG["hidden_size"], CONFIG["uvit_channels"], CONFIG["uvit_stride"]
COLUMNS, FEATURES = CONFIG["latent_size"] // PATCH, CONFIG["latent_channels"] * PATCH**2


def block(prefix: str) -> dict[str, Tensor]:
    """A ConvNeXt block's weights under our names."""
    names = {"depthwise": "around", "norm": "norm", "channelwise_linear_1": "up", "channelwise_linear_2": "down"}
    names |= {"channelwise_norm": "response", "cond_embeds_mapper": "adapt"}
    found = {}
    for theirs, ours in names.items():
        for name, weight in JANUSFLOW.under(f"{prefix}.{theirs}.").items():
            found[f"{ours}.{name}"] = weight.flatten() if ours == "response" else weight
    return found


def blocks(prefix: str) -> dict[str, Tensor]:
    """The two blocks of a net."""
    return {f"blocks.{i}.{name}": weight for i in range(2) for name, weight in block(f"{prefix}.mid_block.res_blocks.{i}").items()}


def reader() -> GridReader:
    """The published encoder, time embedding and layer into the trunk."""
    found = GridReader(
        ConvNeXtDown(FEATURES, CHANNELS, WIDTH, patch=PATCH), WIDTH, clock=Clock(WIDTH, features=CHANNELS), columns=COLUMNS, leading=True
    )
    net = {f"stem.{name}": weight for name, weight in JANUSFLOW.under("vision_gen_enc_model.in_conv.").items()}
    found.net.load_state_dict(net | blocks("vision_gen_enc_model"))
    time = JANUSFLOW.under("vision_gen_enc_model.time_embed.")
    found.clock.load_state_dict({name.replace("linear_1", "up").replace("linear_2", "out"): weight for name, weight in time.items()})
    found.embed.load_state_dict(JANUSFLOW.under("vision_gen_enc_aligner."))
    return found


def writer() -> GridWriter:
    """The published norm and layer behind the trunk, and the decoder."""
    found = GridWriter(WIDTH, ConvNeXtUp(FEATURES, CHANNELS, WIDTH), columns=COLUMNS, norm=nn.RMSNorm(WIDTH, eps=CONFIG["rms_norm_eps"]))
    last = JANUSFLOW.under("vision_gen_dec_model.out_convs.0.")
    net = {"into.weight": JANUSFLOW.weights["vision_gen_dec_model.input_norm.weight"], "norm.weight": last["norm.weight"]}
    net |= {"out.weight": last["unpatch_conv.weight"][..., 0, 0], "out.bias": last["unpatch_conv.bias"]}
    found.net.load_state_dict(net | blocks("vision_gen_dec_model"))
    found.norm.load_state_dict(JANUSFLOW.under("vision_gen_dec_aligner_norm."))
    found.into.load_state_dict(JANUSFLOW.under("vision_gen_dec_aligner."))
    return found


def trunk() -> Transformer:
    """The published Llama."""
    eps, state = CONFIG["rms_norm_eps"], {"norm.weight": JANUSFLOW.weights["language_model.model.norm.weight"]}
    for i in range(CONFIG["num_layers"]):
        theirs = JANUSFLOW.under(f"language_model.model.layers.{i}.")
        attention, mlp = f"blocks.{i}.attention", f"blocks.{i}.mlp"
        state |= {
            f"{attention}.norm.weight": theirs["input_layernorm.weight"],
            f"{attention}.inner.qkv.weight": torch.cat([theirs[f"self_attn.{name}_proj.weight"] for name in "qkv"]),
            f"{attention}.inner.out.weight": theirs["self_attn.o_proj.weight"],
            f"{mlp}.norm.weight": theirs["post_attention_layernorm.weight"],
            f"{mlp}.inner.gate_up.weight": torch.cat([theirs["mlp.gate_proj.weight"], theirs["mlp.up_proj.weight"]]),
            f"{mlp}.inner.down.weight": theirs["mlp.down_proj.weight"],
        }
    norm, heads = lambda: nn.RMSNorm(WIDTH, eps=eps), CONFIG["num_heads"]
    made = [
        Block(PreNorm(norm(), SelfAttention(WIDTH, heads)), PreNorm(norm(), SwiGLU(WIDTH, CONFIG["intermediate_size"])))
        for _ in range(CONFIG["num_layers"])
    ]
    found = Transformer(made, norm=norm(), rotary=Rotary(WIDTH // heads, theta=CONFIG["rope_theta"]))
    found.load_state_dict(state)
    return found


def vit_block(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """A block of the eye under our names."""
    names = {"norm1": "attention.norm", "attn.qkv": "attention.inner.qkv", "attn.proj": "attention.inner.out", "norm2": "mlp.norm"}
    names |= {"mlp.fc1": "mlp.inner.up", "mlp.fc2": "mlp.inner.down"}
    return {f"{names[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": weight for name, weight in theirs.items()}


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
    tower = "vision_und_enc_model.vision_tower."
    state = {f"blocks.{i}.{k}": v for i in range(2) for k, v in vit_block(JANUSFLOW.under(f"{tower}blocks.{i}.")).items()}
    state |= {f"after.{name}": weight for name, weight in JANUSFLOW.under(f"{tower}norm.").items()}
    state["embed.weight"] = JANUSFLOW.weights[f"{tower}patch_embed.proj.weight"].flatten(1)
    state["embed.bias"] = JANUSFLOW.weights[f"{tower}patch_embed.proj.bias"]
    state["positions.weight"] = JANUSFLOW.weights[f"{tower}pos_embed"][0]
    eye.load_state_dict(state)
    projector, begin = nn.Linear(width, WIDTH), nn.Embedding(1, WIDTH)
    projector.load_state_dict(JANUSFLOW.under("vision_und_enc_aligner."))
    begin.load_state_dict({"weight": JANUSFLOW.weights["beg_of_und_embed"]})
    return EyeReader(eye, projector, begin=begin)


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
    return reader()(Noisy(value, time[:, None].expand(-1, value.shape[1])), torch.zeros(len(x), dtype=torch.long))


@torch.no_grad()
def test_the_encoder_and_its_time_are_the_published_ones():
    seen = read(JANUSFLOW.inputs["uvit_x"], JANUSFLOW.inputs["uvit_t"])
    features, told = seen.aside.split([CHANNELS, WIDTH], -1)
    JANUSFLOW.check("uvit_enc_x_emb", features.mT.unflatten(2, (COLUMNS, COLUMNS)))
    JANUSFLOW.check("uvit_enc_t_emb", told[:, 0])
    torch.testing.assert_close(seen.embeddings[:, 0], told[:, 0], rtol=0, atol=0)
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
    block = part.net.blocks[0]
    scaled = nn.Parameter(block.adapt.bias.clone())
    scaled.data[: len(scaled) // 2] += 0.1
    block.adapt.bias = scaled


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


from_this_noise.passes = 1


class Published:
    """A request of InPlace through the published trunk: in one row as asked, in the other with all but the prompt's first id hidden."""

    def __init__(self, places):
        self.places, self.trunk, self.reader = places, trunk(), reader()
        embeddings = JANUSFLOW.weights["language_model.model.embed_tokens.weight"]
        self.prompt = embeddings[JANUSFLOW.inputs["gen_prompt_ids"][:-1]]

    def show(self, visible: Noisy) -> Seen:
        """Hidden states and what went round the trunk, asked for and not."""
        seen = self.reader(Noisy(visible.value[None], visible.time[None]), torch.zeros(1, dtype=torch.long))
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
