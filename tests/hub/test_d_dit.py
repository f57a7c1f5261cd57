"""D-DiT loaded from a pipeline's folder of official names, beside the numbers of official code."""

import copy
import json
import warnings

import pytest
import torch
from hub.denoised import CHANGES, elements, latents, text
from hub.official import altered, write, write_words
from hub.oracle import another_epsilon, heads_change_places, near, redrawn, transformers
from parity.fixture import load
from safetensors.torch import load_file
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers.models.attention import JointTransformerBlock
    from diffusers.models.embeddings import PatchEmbed, TimestepEmbedding, get_timestep_embedding
    from diffusers.models.normalization import AdaLayerNormContinuous

from tessera.codecs.patches import patchify, unpatchify
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.hub import export_published, load_published
from tessera.hub.loading import outline_published
from tessera.laws import Sampling
from tessera.orders import Corrupted
from tessera.orders.in_place import Noisy
from tessera.orders.masked import hide
from tessera.verbs.generate import generate

D_DIT = load("d_dit")
SIZES, IN = D_DIT.config, D_DIT.inputs
PATCH, CHANNELS, LENGTH = SIZES["patch_size"], SIZES["in_channels"], SIZES["text_len"]
COLUMNS = SIZES["height"] // PATCH
SPECIAL = {"<pad>": 0, "</s>": 1, "<extra_id_0>": SIZES["mask_index"]}
NAMES = ("vocab_size", "sample_size", "patch_size", "in_channels", "num_layers", "attention_head_dim", "num_attention_heads")
CONFIG = {name: SIZES[name] for name in (*NAMES, "joint_attention_dim", "out_channels", "pos_embed_max_size")}


def small(patched):
    """Published code reads 256 ids of text, the fixture five."""
    patched.setattr("tessera.hub.d_dit.LENGTH", LENGTH)


def official(folder, weights=D_DIT.weights, **changes):
    """The pipeline's folder: the fixture's transformer, and the parts that it lacks small and random, by their own classes."""
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "DualDiffSD3Pipeline"}))
    write(folder / "transformer", weights, {"_class_name": "SD3JointModelFlexible", **CONFIG, **changes})
    (folder / "transformer" / "model.safetensors").rename(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    scaled = {"scaling_factor": 1.5305, "shift_factor": 0.0609, "use_quant_conv": False, "use_post_quant_conv": False}
    latents(stride=2, channels=CHANNELS, **scaled).save_pretrained(folder / "vae")
    encoder = transformers.T5Config(
        vocab_size=64, d_model=SIZES["joint_attention_dim"], d_kv=8, d_ff=40, num_layers=2, num_heads=3, feed_forward_proj="gated-gelu"
    )
    redrawn(transformers.T5EncoderModel(encoder)).save_pretrained(folder / "text_encoder")
    for name in ("tokenizer", "scheduler"):
        (folder / name).mkdir()
    write_words(folder / "tokenizer", SIZES["vocab_size"], special=SPECIAL, begin="</s>", end="</s>", pad="<pad>", opens=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"shift": 3.0}))
    return folder


@pytest.fixture
def published(tmp_path, monkeypatch):
    small(monkeypatch)
    return official(tmp_path / "dual_diff_sd3_512_base")


class Encoded(nn.Module):
    """What the fixture says in place of an encoder."""

    def __init__(self, say):
        super().__init__()
        self.say = say

    def forward(self, ids):
        return self.say(ids)


def blank():
    return torch.zeros(3, 2 * SIZES["height"], 2 * SIZES["width"], dtype=torch.uint8)


@torch.no_grad()
def heard(system, document):
    """The pieces of a document's one pass, and the hidden states that answer for each piece's elements."""
    pieces = system.arrange([document], [Draw(0)])[0]
    hidden = system.hidden([pieces])[0][0]
    return pieces, [hidden[torch.from_numpy(piece.answers())] for piece in pieces]


@torch.no_grad()
def drawn(system):
    """The velocity and the logits of text that the fixture's noisy pictures and encoded texts make the system say."""
    image, velocities, logits = system.by_name["image"], [], []
    encoded = IN["text_hidden"].to(image.writer.out.weight)
    for i, time in enumerate(IN["timestep"]):
        noisy = Noisy(elements(IN["latents"][i], PATCH), *[time.expand(COLUMNS**2)] * 2)
        image.order.corrupt = lambda clean, keep, context, draw, noisy=noisy: Corrupted(noisy, clean, ~keep)
        system.text.reader.encoder = Encoded(lambda ids, i=i: encoded[i : i + 1])
        pieces, states = heard(system, Document((text(*range(5, 4 + LENGTH)), Image(blank(), learn=True))))
        velocities.append(image.writer(states[1], pieces[1].aside))
        logits.append(system.text.writer(states[0]))
    return unpatchify(torch.stack(velocities), PATCH, COLUMNS), torch.stack(logits)


def outputs(system):
    """What it says where the fixture says it, too: velocities of pictures, and logits of text."""
    velocity, logits = drawn(system)
    yield "velocity", velocity, D_DIT.outputs["velocity"]
    yield "text_logits", logits, D_DIT.outputs["text_logits"]


def rows_and_columns_change_places(system):
    """Positions are no rotary ones here."""
    positions = system.by_name["image"].reader.positions
    positions.at.copy_(positions.at.view(COLUMNS, COLUMNS).T.flatten())


MUTATIONS = [rows_and_columns_change_places, another_epsilon, heads_change_places]


class Joint(nn.Module):
    """The transformer put together from the parts of diffusers, whose names it has."""

    def __init__(self, *, layers: int, heads: int, size: int):
        super().__init__()
        width, self.time_text_embed = heads * size, nn.Module()
        sizes = {"height": SIZES["sample_size"], "width": SIZES["sample_size"], "patch_size": PATCH, "in_channels": CHANNELS}
        self.pos_embed = PatchEmbed(**sizes, embed_dim=width, pos_embed_max_size=SIZES["pos_embed_max_size"])
        self.time_text_embed.timestep_embedder = TimestepEmbedding(256, width)
        self.context_embedder = nn.Linear(SIZES["joint_attention_dim"], width)
        self.transformer_blocks = nn.ModuleList([JointTransformerBlock(width, heads, size) for _ in range(layers)])
        self.image_norm_out = AdaLayerNormContinuous(width, width, elementwise_affine=False, eps=1e-6)
        self.image_proj_out = nn.Linear(width, PATCH**2 * CHANNELS)
        self.text_norm_out = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.text_proj_out = nn.Linear(width, SIZES["vocab_size"])

    def forward(self, latents: Tensor, timestep: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        time = self.time_text_embed.timestep_embedder(get_timestep_embedding(timestep, 256, True, 0))
        pictures, words = self.pos_embed(latents), self.context_embedder(words)
        for block in self.transformer_blocks:
            words, pictures = block(pictures, words, time)
        squares = self.image_proj_out(self.image_norm_out(pictures, time)).view(len(latents), COLUMNS, COLUMNS, PATCH, PATCH, CHANNELS)
        return squares.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3), self.text_proj_out(self.text_norm_out(words))


@pytest.mark.parametrize(("layers", "heads", "size"), [(3, 3, 12), (1, 2, 18), (2, 5, 8)])
def test_at_other_sizes_it_says_what_the_parts_of_diffusers_say(tmp_path, monkeypatch, layers, heads, size):
    small(monkeypatch)
    theirs = redrawn(Joint(layers=layers, heads=heads, size=size))
    changes = {"num_layers": layers, "num_attention_heads": heads, "attention_head_dim": size}
    system = load_published(official(tmp_path / "dual_diff_sd3_512_base", theirs.state_dict(), **changes))
    velocity, logits = drawn(system)
    with torch.no_grad():
        expected = theirs(IN["latents"], IN["timestep"], IN["text_hidden"])
    assert near(velocity, expected[0]) and near(logits, expected[1])
    for mutation in MUTATIONS:
        changed = copy.deepcopy(system)
        mutation(changed)
        assert not near(drawn(changed)[0], expected[0], 1e-2)


def words_hear_no_time(system):
    system.trunk.told = ()


def gates_rest_open(system):
    for part in system.trunk.modules():
        if hasattr(part, "gated"):
            part.rest = 1.0


def positions_of_a_corner(system):
    positions = system.by_name["image"].reader.positions
    positions.at.copy_(torch.arange(SIZES["pos_embed_max_size"] ** 2).view(-1, SIZES["pos_embed_max_size"])[:COLUMNS, :COLUMNS].flatten())


@pytest.mark.parametrize("mutation", [words_hear_no_time, gates_rest_open, positions_of_a_corner])
def test_a_mutated_system_says_something_else(published, mutation):
    system = load_published(published)
    mutation(system)
    assert not D_DIT.agrees("velocity", drawn(system)[0])


@torch.no_grad()
def test_the_loss_of_masked_text(published, monkeypatch):
    """Each hidden word stands for as many as its time says, for a word of the batch."""
    system, count = load_published(published), len(IN["loss_uniform_t"])
    spread = (IN["loss_uniform_t"] / count + torch.arange(count) / count) % 1
    times = (1 - SIZES["sampling_eps"]) * spread + SIZES["sampling_eps"]
    hidden = (IN["loss_uniform_mask"] < (1 - SIZES["noise_eps"]) * times[:, None]) & IN["loss_label_mask"].bool()
    system.text.reader.encoder = Encoded(lambda ids: IN["loss_text_table"][ids])
    total = 0.0
    for i in range(count):
        shown = patchify(IN["latents"][i : i + 1], PATCH)
        monkeypatch.setattr(
            system.by_name["image"].codec, "encode", lambda raws, draws, shown=shown: type("", (), {"clean": shown, "nats": None})
        )
        words = IN["loss_tokens"][i]
        system.text.order.corrupt = lambda clean, keep, context, draw, i=i, words=words: Corrupted(hide(words, hidden[i]), words, hidden[i])
        _, (_, states) = heard(system, Document((Image(blank()), Text("w05", learn=True))))
        each = system.text.law.loss(system.text.writer, states[hidden[i]], None, words[hidden[i]], None)
        total = total + (each / times[i]).sum()
    D_DIT.check("text_loss", total / IN["loss_tokens"].numel())


def test_it_draws_describes_and_learns_both(published):
    system = load_published(published)
    assert system.by_name["image"].law.sampling == Sampling(guidance=7.0, steps=28)
    picture = generate(
        system, system.manners.document(Document((text(5, 6), Image(learn=True)))), sampling={Image: Sampling(steps=2, guidance=7.0)}
    ).pictures[0]
    assert picture.shape == (3, 16, 16)
    described = generate(system, system.manners.document(Document((Image(picture), Text(learn=True)))), longest=LENGTH)
    assert SIZES["mask_index"] not in described.clean[-1].tolist() and len(described.clean[-1])
    both = [Document((text(5), Image(picture, learn=True))), Document((Image(picture), Text("w05 w06", learn=True)))]
    losses = system.losses(both, [Draw(0), Draw(1)])
    assert all(total.isfinite() and count for total, count in losses.values())
    with pytest.raises(ValueError, match=r"d_dit: a text is to go on from a text; descriptions of a picture alone are accepted"):
        system.manners.document(Document((Image(picture), text(5), Text(learn=True))))


def test_a_dropped_prompt_is_an_empty_one_filled_up(published):
    system = load_published(published)
    left = system.drop.left((text(5, 6),))
    clean = system.encode([Document(left)], [Draw(0)])[0][0].clean
    assert clean.tolist() == [1]
    (piece,), _ = heard(system, Document(left))
    assert piece.count == LENGTH


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("transformer/diffusion_pytorch_model", "transformer_blocks.1.norm1.linear.weight"),
        ("transformer/diffusion_pytorch_model", "pos_embed.pos_embed"),
        ("vae/diffusion_pytorch_model", "decoder.conv_in.weight"),
        ("text_encoder/model", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(published, how, place, name):
    wrong = (
        CHANGES[how]
        if name != "pos_embed.pos_embed" or how != "have another shape"
        else lambda t, name: t.update({name: t[name][:, 1:].clone()})
    )
    altered(published / f"{place}.safetensors", lambda tensors: wrong(tensors, name))
    with pytest.raises(ValueError, match=rf"1 tensors .*{how}: .*{name}.*; nothing was loaded"):
        load_published(published)


def test_what_conditions_say_fits_exactly(published):
    def longer(tensors):
        tensors["transformer_blocks.0.norm1.linear.bias"] = torch.randn(6 * 32 + 1)

    altered(published / "transformer/diffusion_pytorch_model.safetensors", longer)
    with pytest.raises(ValueError, match=r"1 tensors have another shape: .*norm1.linear.bias"):
        load_published(published)


def test_a_pipeline_comes_back(published, tmp_path):
    system = load_published(published)
    assert len(export_published(system, tmp_path / "back")) == 3
    for file in ("transformer/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"):
        one, other = load_file(published / f"{file}.safetensors"), load_file(tmp_path / "back" / f"{file}.safetensors")
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one), file
    again = load_published(tmp_path / "back").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in system.state_dict().items())


def test_an_outline_has_the_same_shapes(published):
    system, outline = load_published(published), outline_published(published)
    assert {n: t.shape for n, t in outline.state_dict().items()} == {n: t.shape for n, t in system.state_dict().items()}


@pytest.mark.parametrize(
    ("file", "what", "said"),
    [
        ("transformer/config.json", {"qk_norm": "rms_norm"}, r"asks for qk_norm 'rms_norm'"),
        ("transformer/config.json", {"in_channels": 16}, r"asks for 16 channels in and 4 out, and latents have 4"),
        ("text_encoder/config.json", {"feed_forward_proj": "relu"}, r"asks for feed_forward_proj 'relu'; 'gated-gelu' is accepted"),
    ],
)
def test_what_is_not_built_is_refused(published, file, what, said):
    (published / file).write_text(json.dumps({**json.loads((published / file).read_text()), **what}))
    with pytest.raises(ValueError, match=said):
        load_published(published)


def test_its_steps_are_those_of_diffusers(published):
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(28)
    assert near(1 - load_published(published).by_name["image"].order.path.grid(28), scheduler.sigmas.double())
