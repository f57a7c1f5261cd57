"""Show-o that looks through CLIP's eye: the numbers of its official code without one, and for the eye a class of transformers."""

import json

import pytest
import torch
from hub.official import said, write
from hub.oracle import redrawn, transformers
from hub.test_show_o import CONFIG, SHOW_O, SPECIAL, phi, written_back
from hub.test_show_o import official as without_eye
from torch import nn

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.hub import load_published
from tessera.hub.pictures import CLIP_MEAN, CLIP_SPREAD
from tessera.hub.show_o import SYSTEM
from tessera.verbs.generate import generate

FIXTURE, WIDTH = "show_o", CONFIG["hidden_size"]
EYE = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 20, "image_size": 16, "patch_size": 4}
PICTURE = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
BEHIND = [SPECIAL["<|eoi|>"], 9, 11, 13, 8]  # what is said of the picture


def clip():
    """CLIP's class, small."""
    return redrawn(transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**EYE)))


def projector():
    """Two layers, with random weights."""
    made = nn.Sequential(nn.Linear(EYE["hidden_size"], WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
    return redrawn(made, seed=1)


def official(folder):
    """The folders of the fixture, with a projector, and CLIP's beside it."""
    model = without_eye(folder)
    state = {f"vision_model.{name.removeprefix('vision_model.')}": tensor for name, tensor in clip().state_dict().items()}
    state |= {"logit_scale": torch.ones(()), "text_model.final_layer_norm.bias": torch.ones(4)}
    write(folder / "clip-vit-large-patch14-336", state, {"vision_config": {"model_type": "clip_vision_model", **EYE}})
    config = json.loads((model / "config.json").read_text())
    tensors = {name: weight for name, weight in SHOW_O.weights.items() if name.startswith("showo.")}
    drawn = {f"mm_projector.{name}": tensor for name, tensor in projector().state_dict().items()}
    write(model, tensors | drawn, {**config, "w_clip_vit": True})
    return model


def features():
    """What the projector makes of what CLIP's class sees in the picture."""
    pixels = (PICTURE / 255 - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_SPREAD).view(3, 1, 1)
    return projector()(clip()(pixels[None], output_hidden_states=True).hidden_states[-2][0, 1:])


def phi_says():
    """What Phi's class says of the picture and the text behind it: whatever stands up to the last feature is seen by all."""
    made = phi().eval()
    made.load_state_dict({name.removeprefix("showo."): weight for name, weight in SHOW_O.weights.items() if name.startswith("showo.")})
    unknown = 0  # the id of every word that the fixture's tokenizer does not know
    before = [SPECIAL["<|mmu|>"], *[unknown] * len(SYSTEM.split()), SPECIAL["<|soi|>"]]
    words = lambda ids: made.model.embed_tokens(torch.tensor(ids))
    rows = torch.cat([words(before), features(), words(BEHIND)])
    number, seen = torch.arange(len(rows)), len(rows) - len(BEHIND)
    sees = (number[:, None] >= number) | (number < seen)
    mask = torch.where(sees, 0.0, -torch.inf)[None, None]
    return made(inputs_embeds=rows[None], attention_mask=mask).logits[0]


def outputs(system):
    """What it says of a picture, of its words and its own beside the classes' numbers."""
    asked = Document((Image(PICTURE), Text(said(BEHIND, SPECIAL))))
    hidden, _ = system.hidden(system.arrange([asked], [Draw(0)]))
    yield "looking", system.text.writer(hidden[0]), phi_says()


@pytest.fixture
def system(tmp_path):
    return load_published(official(tmp_path))


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def test_the_eye_s_features_stand_behind_the_task_and_what_is_said_of_the_assistant(system):
    seen = system.by_name["seen"]
    (squares,) = seen.codec.encode([PICTURE]).clean
    found = seen.reader(squares[None], torch.tensor([0])).embeddings[0]
    torch.testing.assert_close(found[-16:], features(), atol=1e-4, rtol=1e-4)
    table = system.text.reader.table.weight
    assert torch.equal(found[0], table[SPECIAL["<|mmu|>"]]) and torch.equal(found[-17], table[SPECIAL["<|soi|>"]])
    assert len(found) == 18 + len(SYSTEM.split())  # words are ids here


def test_it_is_written_back_with_its_eye(system, tmp_path):
    assert written_back(system, tmp_path / "out" / "show-o") == {"magvitv2", "phi-1_5", "clip-vit-large-patch14-336"}


def test_all_see_what_stands_up_to_the_last_feature(system):
    asked = system.manners.document(Document((Image(torch.zeros(3, 30, 20, dtype=torch.uint8)), Text("w09"), Text("w08", learn=True))))
    assert asked[1].content == "<|eoi|>USER: w09 ASSISTANT:"
    asked = Document((Image(system.manners.picture(asked[0].content)), *asked.segments[1:]))
    laid = system.arrange([asked], [Draw(0)])
    _, batch = system.hidden(laid)
    mask, count = system.attention.dense(batch.places, batch.places)[0], laid[0][0].count
    assert mask[:, :count].all() and torch.equal(mask[count:, count:], torch.ones_like(mask[count:, count:]).tril())
    assert generate(system, asked.segments[:2], want=Text, longest=3).texts and generate(system, "w09", want=Image).pictures
