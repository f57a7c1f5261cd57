"""MetaMorph from our parts, against what the published code computed from the same weights: both losses, and one step of drawing."""

import pytest
import torch
from parity.fixture import load
from parity.llama import llama
from torch import nn

from tessera.attention import causal
from tessera.draws import Draw, Streams
from tessera.hub.filling import filled
from tessera.hub.metamorph import HEAD, PROJECTOR
from tessera.laws import Categorical, Regression, Sampling, cosine_distance, squared_error
from tessera.orders.base import Seen
from tessera.perceptron import perceptron
from tessera.readers import FeatureReader, TokenReader
from tessera.writers import LinearWriter, MLPWriter

FIXTURE = load("metamorph")
CONFIG, INPUTS = FIXTURE.config, FIXTURE.inputs
WIDTH, FEATURES = CONFIG["hidden_size"], CONFIG["vision_dim"]
IMAGE = INPUTS["image_positions"].bool()
FIRST = torch.zeros(1, dtype=torch.long)


def under(prefix: str) -> dict[str, torch.Tensor]:
    """The published weights whose name starts so."""
    return {name: weight for name, weight in FIXTURE.weights.items() if name.startswith(prefix)}


def squares() -> FeatureReader:
    """Features through the published projector."""
    weights = under("model.mm_projector.")
    return FeatureReader(filled(perceptron(FEATURES, *(len(weights[f"model.mm_projector.{i}.bias"]) for i in (0, 2))), PROJECTOR, weights))


def drawer() -> MLPWriter:
    """The published head of features: three linear layers."""
    weights = under("vision_head.")
    return filled(MLPWriter(WIDTH, *(len(weights[f"vision_head.{i}.bias"]) for i in (0, 2, 4))), HEAD, weights)


def words() -> LinearWriter:
    return filled(LinearWriter(WIDTH, CONFIG["vocab_size"]), {"out": "lm_head"}, under("lm_head."))


def embedded() -> torch.Tensor:
    """Text and features as the trunk reads them."""
    table = under("model.embed_tokens.")
    read = filled(TokenReader(nn.Embedding(CONFIG["vocab_size"], WIDTH)), {"table": "model.embed_tokens"}, table)
    places = read(INPUTS["text_ids"], FIRST.expand(len(IMAGE))).embeddings.clone()
    features = INPUTS["image_features"].reshape(1, -1, FEATURES)
    places[IMAGE] = squares()(features, FIRST).embeddings[0]
    return places


def hidden(embeddings: torch.Tensor, places) -> torch.Tensor:
    rows, count = embeddings.shape[:2]
    trunk = llama(FIXTURE.under("model."), CONFIG)
    return trunk(embeddings, None, places(order=[list(range(count))] * rows, document=[[i] * count for i in range(rows)]), causal)


def losses(states: torch.Tensor, *, lead: int = 1, distance=cosine_distance) -> torch.Tensor:
    """Text's mean surprise, and pictures' mean distance less 1: both of what stands `lead` places on."""
    said, labels = states[:, :-1].flatten(0, 1), INPUTS["labels"][:, 1:].flatten()
    learned = labels >= 0
    text = Categorical(allowed=range(CONFIG["vocab_size"])).loss(words(), said[learned], None, labels[learned], None).mean()
    answers = states[:, : states.shape[1] - lead][IMAGE[:, lead:]]
    law, target = Regression(distance, unit=True), INPUTS["image_features"].reshape(-1, FEATURES)
    return torch.stack([text, law.loss(drawer(), answers, None, target, law.noise(target, Draw(0))).mean() - 1])


def drawn(states: torch.Tensor) -> torch.Tensor:
    """The feature behind the last place."""
    answer = states[:1, -1:].transpose(0, 1)
    return Regression(cosine_distance, unit=True).draw(drawer(), Seen(answer), Sampling(), Streams([], [], answer)).value


def test_pictures_are_read_as_published():
    FIXTURE.check("inputs_embeds", embedded())


def test_states_and_losses_are_the_published_ones(places):
    states = hidden(embedded(), places)
    FIXTURE.check("logits", words()(states))
    text, image = losses(states)
    FIXTURE.check("loss_language", text)
    FIXTURE.check("loss_image", image)
    FIXTURE.check("loss", text + CONFIG["vision_coef"] * image)


def test_a_step_of_drawing_is_the_published_one(places):
    until = int(IMAGE[0].nonzero()[0]) + 1
    states = hidden(embedded()[:1, :until], places)
    feature = drawn(states)
    FIXTURE.check("decode_vision_prediction", feature)
    shown = squares()(feature[None], torch.tensor([1])).embeddings[0]
    FIXTURE.check("decode_next_embedding", shown)
    FIXTURE.check("decode_logits", words()(torch.cat([states[:, :-1], shown[None]], 1)))


@pytest.mark.parametrize("change", [{"lead": 0}, {"distance": squared_error}], ids=["its own place", "squared error"])
def test_mutated_losses_are_not(change, places):
    assert not FIXTURE.agrees("loss_image", losses(hidden(embedded(), places), **change)[1])


def test_features_that_are_not_of_length_1_are_not(places):
    until = int(IMAGE[0].nonzero()[0]) + 1
    assert not FIXTURE.agrees("decode_vision_prediction", drawer()(hidden(embedded()[:1, :until], places)[:, -1]))
