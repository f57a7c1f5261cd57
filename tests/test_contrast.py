"""The contrastive stage: its loss by hand, its pairs, and that it teaches to see."""

import math

import pytest
import torch

from tessera import parts, vision
from tessera.codecs import BPE
from tessera.contrast import Pair, TextEncoder, sigmoid_loss
from tessera.document import Document, Image, Task, Text
from tessera.draws import Draw
from tessera.world import World


@pytest.fixture
def pair():
    eye = vision.siglip(pixels=8, patch=4, width=16, depth=1, heads=2)
    return Pair(eye, TextEncoder(BPE(), 16, width=16, depth=1, heads=2), heads=2, batch=4)


def arranged(pair, *documents):
    return pair.arrange(documents, [Draw(i) for i in range(len(documents))])


def test_the_loss_is_the_published_formula_written_out():
    """Zhai et al. 2023, section 3.2: - 1/|B| sum_i sum_j log 1 / (1 + exp(z_ij (-t x_i . y_j - b))), z = 1 on the diagonal, else -1."""
    rng = torch.Generator().manual_seed(3)
    x, y = (torch.nn.functional.normalize(torch.randn(4, 6, generator=rng), dim=-1) for _ in range(2))
    t, b = 7.0, -1.5
    total = 0.0
    for i in range(4):
        for j in range(4):
            z = 1 if i == j else -1
            total -= math.log(1 / (1 + math.exp(z * (-t * float(x[i] @ y[j]) - b))))
    found = sigmoid_loss(x @ y.T * t + b, torch.eye(4, dtype=torch.bool))
    assert float(found) == pytest.approx(total, rel=1e-5)


def test_closeness_is_the_scaled_cosine_and_a_bias(pair):
    seen, said = torch.randn(3, 16), torch.randn(2, 16)
    with torch.no_grad():
        pair.log_scale.fill_(math.log(5.0))
        pair.bias.fill_(-2.0)
    expected = 5 * torch.nn.functional.cosine_similarity(seen[:, None], said[None], dim=-1) - 2
    torch.testing.assert_close(pair.closeness(seen, said), expected)
    torch.testing.assert_close(pair.closeness(seen * 3, said), expected)


def test_the_bias_starts_at_the_log_odds_of_a_pair(pair):
    assert pair.bias.item() == pytest.approx(-math.log(4)) and pair.log_scale.exp().item() == pytest.approx(10)
    assert -math.log(32_768) == pytest.approx(-10, abs=0.5), "what the paper starts from, for its batch"


def test_pictures_whose_texts_are_the_same_belong_to_both(pair, pictures):
    one, two, three, _ = pictures
    same, other = Text("a red circle"), Text("a blue star", learn=True)
    pairs = arranged(pair, Document((same, Image(one, learn=True))), Document((Image(two), other)), Document((same, Image(three))))
    assert pairs.same.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    assert pairs.squares.shape == (3, 4, 48) and len(pairs.ids) == 3
    assert pair.losses_of(pairs)["pairs"][1] == 3


def test_what_is_no_pair_is_left_out(pair, pictures):
    one, two, *_ = pictures
    story = Document((Text("a dot"), Image(one, learn=True), Text("now a star", learn=True), Image(two, learn=True)))
    none = (story, Document((Text("a text alone", learn=True),)), Document((Image(one, learn=True),)))
    (asked,) = arranged(pair, *none, Document((Image(one), Text("what is it?"), Text("a dot", learn=True)))).ids
    (joined,) = pair.words.ids(["what is it? a dot"])
    assert asked.tolist() == joined.tolist()
    total, count = pair.losses_of(arranged(pair, *none))["pairs"]
    assert float(total.detach()) == 0 and count == 0 and total.requires_grad


def test_texts_are_read_alone_whatever_stands_beside_them(pair):
    texts = ["a dot", "a red circle at the top left and a blue star", ""]
    together = pair.words(pair.words.ids(texts))
    for text, vector in zip(texts, together, strict=True):
        torch.testing.assert_close(pair.words(pair.words.ids([text]))[0], vector)
    assert not torch.allclose(*pair.words(pair.words.ids(["red left of blue", "blue left of red"])), atol=1e-3), "order matters"


def test_gradient_reaches_every_parameter(pair, pictures):
    documents = [Document((Image(picture), Text(text))) for picture, text in zip(pictures, ("a", "red", "dot", "star"), strict=True)]
    pair.losses_of(arranged(pair, *documents))["pairs"][0].backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in pair.parameters())


def test_it_learns_which_picture_a_text_is_about():
    """One batch of the world: every caption finds its picture."""
    eye, world, batch = vision.siglip(width=64, depth=1, heads=2), World.easy(), 8
    pair = Pair(eye, TextEncoder(BPE(), 64, width=32, depth=1, heads=2), heads=2, batch=batch)
    pairs = arranged(pair, *(world.document(Task.CAPTION, i) for i in range(batch)))
    optimizer = torch.optim.AdamW(pair.parameters(), lr=2e-3)
    for _ in range(100):
        optimizer.zero_grad()
        pair.losses_of(pairs)["pairs"][0].div(batch).backward()
        optimizer.step()
    with torch.no_grad():
        close = pair.closeness(pair.see(pairs.squares), pair.words(pairs.ids))
    assert torch.equal(close.argmax(0), torch.arange(batch)) and torch.equal(close.argmax(1), torch.arange(batch))


def test_the_part_is_the_eye_and_the_stage_that_trains_it():
    for shape in (vision.siglip, vision.clip):
        look, stage = parts.eye(width=32, depth=2, heads=2, shape=shape)
        pair = stage.learner
        assert isinstance(pair, Pair) and pair.eye is look and stage.train == (pair,)
        assert pair.bias.item() == pytest.approx(-math.log(stage.batch))
        assert stage.mix.keys() == {Task.CAPTION, Task.DRAW, Task.QUESTION}
