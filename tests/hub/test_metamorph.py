"""MetaMorph loaded from folders under the official names, against the numbers of the published code and SigLIP's class."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hub.official import misshapen, refuses, said, with_more, without, write, write_words
from hub.oracle import near, redrawn, transformers
from parity.fixture import load

from tessera.codecs import Painter
from tessera.document import Document, Image, Text
from tessera.draws import Draw, Streams
from tessera.hub import export_published, load_published
from tessera.laws import Sampling
from tessera.orders import Seen
from tessera.verbs.generate import generate

METAMORPH = load("metamorph")
CONFIG, IN = METAMORPH.config, METAMORPH.inputs
FEATURES, SQUARES = CONFIG["vision_dim"], CONFIG["image_tokens"]
BEFORE, BEHIND = CONFIG["text_before"], CONFIG["text_before"] + CONFIG["image_tokens"]
EYE = {
    "hidden_size": FEATURES,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 14,
    "patch_size": 4,
}
TOWER = "model.vision_tower.vision_tower."


def of_siglip():
    theirs = redrawn(transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**EYE)))
    return theirs, {name.removeprefix("vision_model."): tensor for name, tensor in theirs.state_dict().items()}


def special(row):
    """What the tokens of the grammar are, in a row of the fixture: it has a word in the place of each."""
    ids = IN["text_ids"][row].tolist()
    return {"<|begin_of_text|>": ids[0], "<image_start>": ids[BEFORE - 1], "<image_end>": ids[BEHIND], "<|eot_id|>": 63}


def official(folder, row=0, *, beside=False):
    """The folder of the fixture, with the eye inside or beside it."""
    c = CONFIG
    config = {
        "model_type": "metamorph_llama", "vocab_size": c["vocab_size"], "hidden_size": c["hidden_size"],
        "intermediate_size": c["intermediate_size"], "num_hidden_layers": c["num_layers"], "num_attention_heads": c["num_heads"],
        "num_key_value_heads": c["num_kv_heads"], "rms_norm_eps": c["rms_norm_eps"], "rope_theta": c["rope_theta"],
        "num_image_tokens": SQUARES, "mm_projector_type": "mlp2x_gelu", "vision_head_type": "mlp2x_gelu", "normalize_vision": True,
        "mm_vision_select_layer": -1, "image_token_reduction": "interpolation", "vision_config": EYE,
    }  # fmt: skip
    _, eye = of_siglip()
    weights = {**METAMORPH.weights, "model.vision_proj.weight": torch.ones(2, 3), "model.vision_proj.bias": torch.ones(2)}
    if beside:
        seen = {f"vision_model.{name}": tensor for name, tensor in eye.items()} | {"logit_scale": torch.ones(1)}
        write(folder.parent / "siglip-so400m-patch14-384", seen, {"vision_config": EYE})
        config.pop("vision_config")
    else:
        weights |= {TOWER + name: tensor for name, tensor in eye.items()}
    write(folder, weights, config)
    write_words(folder, c["vocab_size"], special=special(row), begin="<|begin_of_text|>", end="<|eot_id|>", opens=True)
    return folder


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    return [load_published(official(tmp_path_factory.mktemp("metamorph"), row)) for row in (0, 1)]


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def features(row):
    return IN["image_features"].unflatten(0, (-1, SQUARES))[row]


def states(system, row):
    """Hidden states of a row of the fixture: a picture between two texts."""
    ids = IN["text_ids"][row].tolist()
    document = Document((Text(said(ids[1 : BEFORE - 1], special(row))), Image(None), Text(said(ids[BEHIND + 1 :], special(row)))))
    encoded = [one.clean for one in system.encode([document], [Draw(0)])[0]]
    laid = system.arrange([document], [Draw(0)], [[encoded[0], features(row), encoded[2]]])
    hidden, batch = system.hidden(laid)
    return hidden, batch.embeddings


def outputs(system):
    """What it says where the fixture says it, too: text around a picture, and what it would see next."""
    hidden, embeddings = states(system, 0)
    yield "inputs_embeds", embeddings, METAMORPH.outputs["inputs_embeds"][:1]
    yield "logits", system.text.writer(hidden), METAMORPH.outputs["logits"][:1]
    image = system.by_name["image"]
    value = image.law.draw(image.writer, Seen(hidden[:, BEFORE : BEFORE + 1]), Sampling(), Streams([], [], hidden)).value
    yield "decode_vision_prediction", value, METAMORPH.outputs["decode_vision_prediction"]


def test_states_and_both_losses(systems):
    rows = [states(system, row) for row, system in enumerate(systems)]
    METAMORPH.check("inputs_embeds", torch.cat([embeddings for _, embeddings in rows]))
    logits = torch.cat([system.text.writer(hidden) for system, (hidden, _) in zip(systems, rows, strict=True)])
    METAMORPH.check("logits", logits)
    labels = IN["labels"]
    METAMORPH.check("loss_language", F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100))
    image = systems[0].by_name["image"]
    answers = torch.cat([hidden[0, BEFORE - 1 : BEHIND - 1] for hidden, _ in rows])
    METAMORPH.check("loss_image", image.law.loss(image.writer, answers, None, IN["image_features"], None).mean() - 1)


def test_a_step_of_drawing(systems):
    """Behind the first feature of a picture the second is said, and read."""
    hidden, _ = states(systems[0], 0)
    image = systems[0].by_name["image"]
    value = image.law.draw(image.writer, Seen(hidden[:, BEFORE : BEFORE + 1]), Sampling(), Streams([], [], hidden)).value
    METAMORPH.check("decode_vision_prediction", value)
    METAMORPH.check("decode_next_embedding", image.reader(value[None], torch.tensor([1])).embeddings[0])


def test_a_whole_drawing_is_what_its_states_say_one_after_another(systems):
    system = copy.deepcopy(systems[0])
    asked = [Text("w05 w06")]
    with pytest.raises(ValueError, match=r"Features: a picture is to be painted, and there is no painter; put one there"):
        generate(system, asked, want=Image)
    codec = system.by_name["image"].codec
    codec.painter = Painter(features=FEATURES, elements=SQUARES, columns=0, pixels=codec.pixels, patch=2, channels=8).eval()
    written = generate(system, asked, want=(Image, Text), longest=3)
    drawn = written.clean[1]
    torch.testing.assert_close(drawn.norm(dim=-1), torch.ones(SQUARES))
    done = Document((asked[0], Image(written.pictures[0], learn=True), Text("w07")))
    encoded = [one.clean for one in system.encode([done], [Draw(0)])[0]]
    hidden, _ = system.hidden(system.arrange([done], [Draw(0)], [[encoded[0], drawn, encoded[2]]]))
    image = system.by_name["image"]
    torch.testing.assert_close(F.normalize(image.writer(hidden[0, 3 : 3 + SQUARES]), dim=-1), drawn, atol=1e-5, rtol=1e-5)
    assert written.pictures[0].shape == (3, 12, 12) and written.texts


def test_the_eye_s_features_are_resampled_and_brought_to_length_1(systems):
    codec, (theirs, _) = systems[0].by_name["image"].codec, of_siglip()
    picture = torch.randint(0, 256, (3, 21, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    fitted, seen = systems[0].manners.picture(picture), []
    assert fitted.shape == (3, 12, 12)  # of 14 rows and columns squares of 4 cover 12
    last = next(module for name, module in theirs.named_modules() if name.endswith("encoder.layers.1"))
    last.register_forward_hook(lambda module, given, out: seen.append(out[0] if isinstance(out, tuple) else out))
    theirs(F.pad(fitted, (0, 2, 0, 2))[None] / 127.5 - 1)
    grid = seen[0].mT.unflatten(2, (3, 3))
    expected = F.normalize(F.interpolate(grid, (2, 2), mode="bilinear", align_corners=False).flatten(2).mT, dim=-1)
    assert near(codec.encode([fitted]).clean, expected)


def test_people_put_things_to_it_as_its_makers_do(systems):
    picture = Image(torch.zeros(3, 12, 12, dtype=torch.uint8))
    asked = systems[0].manners.document(Document((picture, Text("w05 w06"), Text(learn=True))))
    front, shown, behind = asked.segments[:3]
    assert front.content == "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n" and isinstance(shown, Image)
    assert behind.content == "\nw05 w06<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
    assert generate(systems[0], asked.segments[:3], want=Text, longest=3).texts
    with pytest.raises(ValueError, match="guidance 2"):
        generate(systems[0], "w05", want=Image, sampling={Image: Sampling(guidance=2.0)})


def test_the_eye_may_lie_beside_it_and_is_written_inside(tmp_path, systems):
    beside = load_published(official(tmp_path / "MetaMorph-8B", beside=True))
    export_published(beside, tmp_path / "out")
    for one in (beside, load_published(tmp_path / "out")):
        assert all(torch.equal(tensor, systems[0].state_dict()[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize(
    "change",
    [
        without("vision_head.2.bias"),
        without(f"{TOWER}encoder.layers.1.mlp.fc1.weight"),
        with_more("model.mm_projector.4.bias"),
        misshapen("model.mm_projector.0.weight"),
    ],
)
def test_tensors_without_a_partner_are_named(tmp_path, change):
    refuses(official(tmp_path), tmp_path, change)


def test_it_is_written_back_as_it_was(tmp_path, systems):
    export_published(systems[0], tmp_path / "out")
    back = load_published(tmp_path / "out").state_dict()
    assert all(torch.equal(back[name], tensor) for name, tensor in systems[0].state_dict().items())
