"""What Show-o promises beyond the properties of every system."""

import math

import pytest
import torch
import torch.nn.functional as F

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.laws import Sampling
from tessera.systems.show_o import phi, show_o
from tessera.trunk import ParallelBlock
from tessera.verbs.generate import generate, write
from tessera.verbs.writing import Request

TINY = {"width": 16, "depth": 2, "heads": 2, "levels": (3, 3), "channels": 8, "pixels": 16, "stride": 4}


@pytest.fixture(scope="module")
def system():
    """Pictures of 16 x 16 pixels as 4 x 4 codes of 9."""
    torch.manual_seed(0)
    return show_o(**TINY).eval()


@pytest.fixture
def picture():
    colours = torch.randint(256, (3, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return colours.repeat_interleave(4, 1).repeat_interleave(4, 2)


def test_a_picture_sees_itself_and_text_what_came_before(system, picture):
    document = Document((Image(picture), Text("what is it"), Text("a dot", True)))
    (pieces,) = system.arrange([document], [Draw(0)])
    _, batch = system.hidden([pieces])
    seen, port = system.attention.dense(batch.places, batch.places)[0], batch.places.port[0]
    codes, n = port == system.by_name["image"].number, len(port)
    assert codes.sum() == 16 and seen[codes][:, codes].all()
    assert torch.equal(seen[~codes], torch.ones(n, n).tril().bool()[~codes])
    assert not seen[codes][:, int(codes.nonzero()[-1]) + 1 :].any()


def test_given_pictures_are_read_as_clean_codes(system, picture):
    clean = system.encode([Document((Image(picture),))], [Draw(0)])[0][0].clean
    image = system.by_name["image"]
    visible = image.reveal(clean)
    assert torch.equal(visible.value, clean) and not visible.hidden.any()
    read = image.reader(type(visible)(*(one[None] for one in visible)), torch.tensor([0]))
    plain = image.reader.known(clean[None], torch.tensor([0])).embeddings + image.reader.positions.weight
    assert torch.equal(read.embeddings, plain)


def test_the_loss_is_the_mean_cross_entropy_of_all_hidden_codes(system, picture):
    """Over the whole batch: a picture counts as much as it has hidden codes."""
    documents = [Document((Text(words), Image(picture, True))) for words in ("a red dot", "a square", "two")]
    laid = system.arrange(documents, [Draw(3, i) for i in range(3)])
    total, count = system.losses_of(laid)["image"]
    hidden, _ = system.hidden(laid)
    labels, logits = [], []
    for pieces in laid:
        (piece,) = [piece for piece in pieces if piece.goal is not None]
        labels.append(piece.goal.target.masked_fill(~piece.visible.hidden, -100))
        logits.append(system.by_name["image"].writer(hidden[piece.row, piece.offset : piece.offset + 16]))
    numbers = {int((label >= 0).sum()) for label in labels}
    assert len(numbers) > 1 and count == sum(int((label >= 0).sum()) for label in labels)
    torch.testing.assert_close(total / count, F.cross_entropy(torch.cat(logits), torch.cat(labels), ignore_index=-100))


def passes(system, **sampling) -> int:
    """How often the trunk looks at a picture while it is drawn."""
    looks = []
    handle = system.by_name["image"].reader.register_forward_hook(lambda *_: looks.append(1))
    try:
        generate(system, "a red dot", want=Image, sampling={Image: Sampling(**sampling)})
    finally:
        handle.remove()
    return len(looks)


def test_sampling_says_how_many_passes_there_are(system):
    assert [passes(system, steps=steps) for steps in (1, 4, 16, 99)] == [1, 4, 16, 16]
    assert passes(system) == system.by_name["image"].order.steps == 8


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("inside", [True, False], ids=["in-painting", "out-painting"])
def test_part_of_a_picture_is_kept_and_the_rest_written(system, picture, inside, guidance):
    keep = torch.zeros(16, 16, dtype=torch.bool)
    keep[4:12, 4:12] = True
    keep = ~keep if inside else keep
    codec = system.by_name["image"].codec
    clean = codec.encode([picture]).clean[0]
    kept = codec.keep(keep)
    assert int(kept.sum()) == (12 if inside else 4)
    sampling = {Image: Sampling(temperature=2.0, guidance=guidance)}
    asked = Document((Text("a red dot"), Image(picture, learn=True, keep=keep)))
    drawings = [generate(system, asked, sampling=sampling, seed=seed) for seed in range(8)]
    codes = torch.stack([one.clean[1] for one in drawings])
    assert torch.equal(codes[:, kept], clean[kept].expand(8, -1))
    assert (codes != codes[0]).any(0)[~kept].all(), "every other code is written anew"
    for one in drawings:
        assert torch.equal(one.pictures[0], codec.decode(one.clean[1][None])[0])


def test_what_is_kept_is_seen_by_what_is_written(system, picture):
    """The hidden codes' predictions depend on the kept ones."""
    keep = torch.zeros(16, 16, dtype=torch.bool)
    keep[:8] = True
    image, states = system.by_name["image"], []
    for content in (picture, 255 - picture):
        (pieces,) = system.arrange([Document((Image(content, learn=True, keep=keep),))], [Draw(0)])
        (piece,) = [piece for piece in pieces if piece.goal is not None]
        hidden, _ = system.hidden([pieces])
        states.append(image.writer(hidden[0, piece.offset + 8 :])[:, image.law.allowed])
    assert (states[0] - states[1]).abs().amax(-1).min() > 1e-5


def test_other_sizes():
    finer = show_o(**TINY | {"pixels": 32, "stride": 4})
    assert finer.by_name["image"].codec.codec.elements == 64
    assert generate(finer, "a red dot", want=Image).pictures[0].shape == (3, 32, 32)


def test_the_published_blocks():
    parallel = show_o(**TINY, language=phi(16, 2, 2)).trunk
    assert all(isinstance(block, ParallelBlock) for block in parallel.blocks)
    turning = parallel.rotary.frequency > 0
    assert turning.tolist() == [True] * 2 + [False] * 2
    assert generate(show_o(**TINY, language=phi(16, 2, 2)), "a red dot", want=Image).pictures[0].shape == (3, 16, 16)


def test_a_request_may_bound_what_a_pass_leaves_to_chance(system, monkeypatch):
    """Requests of one pass, of one element a pass, and of the usual way stand side by side and write as they would alone."""
    image, shown = system.by_name["image"], []
    read, bounds = image.reader.forward, [math.inf, 0.0, None]
    monkeypatch.setattr(image.reader, "forward", lambda visible, start: shown.append(visible) or read(visible, start))
    ask = lambda nats: Request(Document((Text("a red dot"), Image(learn=True))), 3, {Image: Sampling(nats=nats, steps=16, guidance=2.0)})
    together, alone, passes = write(system, [ask(nats) for nats in bounds]), [], []
    for nats in bounds:
        shown.clear()
        alone += write(system, [ask(nats)])
        passes.append(len([one for one in shown if one.hidden.any()]))
    assert passes == [1, 16, 16]
    assert all(torch.equal(a.clean[-1], b.clean[-1]) for a, b in zip(together, alone, strict=True))
    assert not torch.equal(alone[1].clean[-1], alone[2].clean[-1])
