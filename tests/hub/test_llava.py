"""LLaVA-1.5 loaded from the folder that transformers writes, beside transformers' class."""

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from hub.oracle import MUTATIONS, exactly, ids_of, learned, near, redrawn, rounds_as_theirs, saved, states, transformers
from safetensors.torch import load_file, save_file

from tessera.attention import everywhere
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.hub import load_published
from tessera.verbs.generate import generate

PICTURE = 290  # the id that stands where the picture does
LLAMA = {"vocab_size": 300, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
CLIP = {"image_size": 8, "patch_size": 4, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
SIGLIP = {**CLIP, "hidden_act": "gelu_pytorch_tanh", "vision_use_head": False}


def llama(**changes):
    return transformers.LlamaConfig(**{**LLAMA, "num_key_value_heads": 4, "bos_token_id": 0, "eos_token_id": 3, **changes})


CONFIGS = {
    "1.5": lambda: transformers.LlavaConfig(
        text_config=llama(num_key_value_heads=2, rms_norm_eps=1e-5),
        vision_config=transformers.CLIPVisionConfig(**CLIP),
        image_token_index=PICTURE,
    ),
    "tied, odd sizes, another layer": lambda: transformers.LlavaConfig(
        text_config=llama(hidden_size=36, num_attention_heads=3, num_key_value_heads=3, head_dim=10, num_hidden_layers=3),
        vision_config=transformers.CLIPVisionConfig(
            **{**CLIP, "image_size": 15, "patch_size": 5, "hidden_size": 24, "num_hidden_layers": 4}
        ),
        image_token_index=PICTURE,
        vision_feature_layer=-3,
        multimodal_projector_bias=False,
        tie_word_embeddings=True,
    ),
    "siglip, qwen2": lambda: transformers.LlavaConfig(
        text_config=transformers.Qwen2Config(
            **LLAMA, num_key_value_heads=2, bos_token_id=0, eos_token_id=3, rope_parameters={"rope_type": "default", "rope_theta": 5e5}
        ),
        vision_config=transformers.SiglipVisionConfig(**SIGLIP),
        image_token_index=PICTURE,
        vision_feature_select_strategy="full",
    ),
    "mistral, a window": lambda: transformers.LlavaConfig(
        text_config=transformers.MistralConfig(**LLAMA, num_key_value_heads=2, bos_token_id=0, eos_token_id=3, sliding_window=6),
        vision_config=transformers.CLIPVisionConfig(**CLIP),
        image_token_index=PICTURE,
    ),
    "siglip, its squares of 14 do not cover 384 pixels": lambda: transformers.LlavaConfig(
        text_config=llama(),
        vision_config=transformers.SiglipVisionConfig(**{**SIGLIP, "image_size": 384, "patch_size": 14}),
        image_token_index=PICTURE,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    ),
}


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, tmp_path_factory):
    """Their class and our system, from one folder."""
    theirs = redrawn(transformers.LlavaForConditionalGeneration(CONFIGS[request.param]()))
    return theirs, load_published(saved(theirs, tmp_path_factory.mktemp("llava")))


def picture(theirs):
    side = theirs.config.vision_config.image_size
    return torch.randint(0, 256, (3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def document(theirs, system):
    return Document((Text("a red"), Image(system.manners.picture(picture(theirs))), Text(" what is it?"), Text(" a blue star", learn=True)))


def theirs_of(theirs, system, some):
    """Their states, logits and next-token loss of a document."""
    ids = torch.tensor([ids_of(system, some, lambda piece: [PICTURE] * piece.count)])
    pixels = theirs_pixels(theirs, system)
    labels = ids.masked_fill(~learned(system, some)[None], -100)
    out = theirs(input_ids=ids, pixel_values=pixels, labels=labels, output_hidden_states=True)
    return theirs.model(input_ids=ids, pixel_values=pixels).last_hidden_state[0], out.logits[0], out.loss, ids


def theirs_pixels(theirs, system):
    """The whole picture, whatever of it squares cover."""
    codec = system.by_name["image"].codec
    scale = lambda colours: torch.tensor(colours).view(3, 1, 1)
    return ((picture(theirs) / 255 - scale(codec.mean)) / scale(codec.spread))[None]


def test_states_logits_and_losses_are_theirs(pair):
    theirs, system = pair
    some = document(theirs, system)
    hidden, logits, loss, ids = theirs_of(theirs, system, some)
    found = states(system, some)
    assert ids[0, 0] == 0 and near(found, hidden)
    assert near(system.text.writer(found), logits)
    total, count = system.losses([some], [Draw(0)])["text"]
    assert count == int(learned(system, some).sum()) and near(total / count, loss)
    said = logits[:-1][learned(system, some)[1:]]
    assert near(F.cross_entropy(said, ids[0, 1:][learned(system, some)[1:]]), loss)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vision_feature_layer": [-2, -3]}, r"asks for vision_feature_layer \[-2, -3\]; one layer"),
        ({"vision_feature_layer": -5}, "has 3 layers, and layer -5 shall be read; -4 to 3 are accepted"),
        ({"text_config": "llama"}, "no model can be built of what its configuration says"),
    ],
)
def test_what_is_not_built_is_refused(tmp_path, changes, said):
    folder = saved(redrawn(transformers.LlavaForConditionalGeneration(CONFIGS["1.5"]())), tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ValueError, match=said):
        load_published(folder)


OLDER = {"vision_tower.": "vision_tower.vision_model."}
NEWER = {
    "language_model.lm_head.": "lm_head.",
    "language_model.model.": "model.language_model.",
    "multi_modal_projector.": "model.multi_modal_projector.",
}
LAYOUTS = {
    "older": OLDER,
    "newer": {**NEWER, "vision_tower.": "model.vision_tower."},
    "between": {**NEWER, "vision_tower.": "model.vision_tower.vision_model."},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts_of_all_years_hold_the_same(tmp_path, layout):
    folder = saved(redrawn(transformers.LlavaForConditionalGeneration(CONFIGS["1.5"]())), tmp_path)
    expected, tensors = load_published(folder), load_file(folder / "model.safetensors")

    def renamed(name):
        return next((new + name.removeprefix(old) for old, new in layout.items() if name.startswith(old)), name)

    assert {renamed(name) for name in tensors} != set(tensors)
    save_file({renamed(name): tensor for name, tensor in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    now = load_published(folder).state_dict()
    assert all(torch.equal(now[name], tensor) for name, tensor in expected.state_dict().items())


def test_tensors_of_other_axes_are_refused(tmp_path):
    """As many numbers in another order are other numbers."""
    folder = saved(redrawn(transformers.LlavaForConditionalGeneration(CONFIGS["1.5"]())), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    (name,) = [name for name in tensors if name.endswith("patch_embedding.weight")]
    save_file({**tensors, name: tensors[name].permute(2, 3, 1, 0).contiguous()}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"have another shape: .*patch_embedding.weight \[4, 4, 3, 32\]"):
        load_published(folder)


def test_it_says_greedily_what_they_say(pair):
    theirs, system = pair
    prompt = Document((Image(system.manners.picture(picture(theirs))), Text("what is it?")))
    ids = torch.tensor([ids_of(system, Document((*prompt, Text(learn=True, content=""))), lambda piece: [PICTURE] * piece.count)[:-1]])
    allowed = system.text.law.allowed.tolist()
    said = theirs.generate(
        ids,
        pixel_values=theirs_pixels(theirs, system),
        max_new_tokens=12,
        do_sample=False,
        prefix_allowed_tokens_fn=lambda batch, sent: allowed,
    )
    written = generate(system, prompt, want=Text, longest=13)
    assert said[0, ids.shape[1] :].tolist()[:12] == written.clean[-1].tolist()[:12]


def test_in_half_precision_it_rounds_as_theirs(pair, tmp_path):
    theirs, system = pair
    rounded = copy.deepcopy(theirs).to(torch.bfloat16)
    half, some = load_published(saved(rounded, tmp_path)), document(theirs, system)
    ids, shown = theirs_of(theirs, system, some)[-1], theirs_pixels(theirs, system)
    exact, said = (
        made.model(input_ids=ids, pixel_values=shown.to(made.dtype)).last_hidden_state[0] for made in (exactly(rounded), rounded)
    )
    assert rounds_as_theirs(states(half, some), said, exact)


def both_ways(system):
    """Pictures and text look at what comes later."""
    system.attention = everywhere


def another_layer(system):
    """The eye is read a block earlier."""
    system.by_name["image"].reader.eye.blocks = system.by_name["image"].reader.eye.blocks[:-1]


@pytest.mark.parametrize("mutation", [*MUTATIONS, both_ways, another_layer])
def test_a_mutated_system_says_something_else(pair, mutation):
    theirs, system = pair
    system = copy.deepcopy(system)
    mutation(system)
    some = document(theirs, system)
    assert not near(states(system, some), theirs_of(theirs, system, some)[0], 1e-2)
