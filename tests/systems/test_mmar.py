"""What MMAR promises beyond the properties of every system."""

from itertools import pairwise

import pytest
import torch

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.laws import Sampling
from tessera.paths import Predicts
from tessera.systems.mmar import mmar
from tessera.verbs.generate import generate

TINY = {"width": 16, "depth": 2, "heads": 2, "channels": 8, "steps": 2}
ELEMENTS = 16


@pytest.fixture(scope="module")
def system():
    torch.manual_seed(0)
    built = mmar(**TINY).eval()
    for parameter in built.by_name["image"].writer.parameters():  # the head begins by saying 0
        torch.nn.init.normal_(parameter, std=0.2)
    return built


@pytest.fixture
def picture():
    colours = torch.randint(256, (3, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return colours.repeat_interleave(8, 1).repeat_interleave(8, 2)


def test_a_picture_sees_itself_and_text_what_came_before(system, picture):
    (pieces,) = system.arrange([Document((Image(picture), Text("what is it"), Text("a dot", True)))], [Draw(0)])
    _, batch = system.hidden([pieces])
    seen, port = system.attention.dense(batch.places, batch.places)[0], batch.places.port[0]
    tokens, n = port == system.by_name["image"].number, len(port)
    assert tokens.sum() == ELEMENTS and seen[tokens][:, tokens].all()
    assert torch.equal(seen[~tokens], torch.ones(n, n).tril().bool()[~tokens])


def test_a_given_picture_is_read_as_it_is(system, picture):
    """No noise, and nothing hidden."""
    image = system.by_name["image"]
    (pieces,) = system.arrange([Document((Image(picture), Text("a dot", True)))], [Draw(0)])
    clean = image.codec.encode([picture], [Draw(0)]).clean[0]
    visible = next(piece for piece in pieces if piece.port is image).visible
    assert torch.equal(visible.value, clean) and not visible.hidden.any()


def test_the_loss_is_that_of_hidden_tokens(system, picture):
    image, document = system.by_name["image"], Document((Text("a red dot"), Image(picture, True)))
    laid = system.arrange([document], [Draw(8)])
    (piece,) = [piece for piece in laid[0] if piece.goal is not None]
    where = piece.goal.where
    assert torch.equal(where, piece.visible.hidden) and 0 < where.sum() < ELEMENTS
    total, count = system.losses_of(laid)["image"]
    hidden, _ = system.hidden(laid)
    mine = hidden[0, piece.offset : piece.offset + ELEMENTS][where]
    each = image.law.loss(image.writer, mine, None, piece.goal.target[where], piece.goal.noise[where])
    assert count == int(where.sum())
    torch.testing.assert_close(total, each.sum())


@pytest.mark.parametrize("passes", [1, 4, 16])
def test_every_token_is_drawn_once_in_random_order(system, passes, monkeypatch):
    image, shown, drawn = system.by_name["image"], [], []
    read, draw = image.reader.forward, image.law.draw
    monkeypatch.setattr(image.reader, "forward", lambda visible, start: shown.append(visible) or read(visible, start))
    monkeypatch.setattr(image.law, "draw", lambda *what: drawn.append(draw(*what)) or drawn[-1])
    first = generate(system, "a red dot", want=Image, sampling={Image: Sampling(steps=passes)}, seed=1).clean[-1]
    assert len(shown) == len(drawn) == passes
    assert sum(len(one.value) for one in drawn) == ELEMENTS
    assert sorted(torch.cat([one.value for one in drawn])[:, 0].tolist()) == sorted(first[:, 0].tolist())
    for before, after in pairwise(shown):
        assert (before.hidden | ~after.hidden).all(), "what is known stays known"
        known = ~before.hidden
        assert torch.equal(before.value[known], after.value[known])
    if passes == 4:
        orders = {tuple(one.hidden.flatten().tolist()) for one in shown[1:2]}
        for seed in range(2, 5):
            shown.clear()
            generate(system, "a red dot", want=Image, sampling={Image: Sampling(steps=passes)}, seed=seed)
            orders.add(tuple(shown[1].hidden.flatten().tolist()))
        assert len(orders) == 4


def test_passes_and_steps_from_noise_are_two_things(system, monkeypatch):
    asked, writer = [], system.by_name["image"].writer
    forward = writer.forward
    monkeypatch.setattr(writer, "forward", lambda *told: asked.append(told[3]) or forward(*told))
    generate(system, "a red dot", want=Image, sampling={Image: Sampling(steps=4, denoising=7)})
    assert len(asked) == 4 * 7
    asked.clear()
    generate(system, "a red dot", want=Image, sampling={Image: Sampling(steps=4)})
    assert len(asked) == 4 * TINY["steps"]


def test_a_law_that_cannot_say_how_unsure_it_is_is_told_so(system):
    said = "mmar: nats 0.5 for port image; a law that can say how much it leaves open, as Categorical, is accepted, and it has Denoiser"
    with pytest.raises(ValueError, match=said):
        generate(system, "a red dot", want=Image, sampling={Image: Sampling(nats=0.5)})


def test_what_the_head_says_may_be_chosen():
    assert mmar(**TINY, predicts="noise").by_name["image"].law.predicts is Predicts.NOISE
    assert mmar(**TINY).by_name["image"].law.predicts is Predicts.VELOCITY
    with pytest.raises(ValueError, match="predicts: 'score'; clean, noise, velocity are accepted; choose one"):
        mmar(**TINY, predicts="score")
