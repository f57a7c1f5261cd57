import pytest
import torch
from torch import nn

from tessera.attention import causal, within
from tessera.codecs import BPE, Patches
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.extras import Extra, observed
from tessera.laws import Categorical, Regression, cosine_distance, squared_error
from tessera.orders import InPlace, Next
from tessera.paths import Flow
from tessera.ports import Port
from tessera.readers import NoisyReader, TokenReader
from tessera.system import System
from tessera.trunk import MLP, Block, PreNorm, Rotary, SelfAttention, Transformer
from tessera.writers import LinearWriter

WIDTH, SQUARES = 16, Patches(pixels=8, patch=4)


def build(*, names=("seen",), distance=squared_error) -> System:
    """Pictures drawn in place, and a teacher for each name, who says a linear function of their squares."""
    bpe = BPE()
    text = Port(
        "text",
        Text,
        codec=bpe,
        reader=TokenReader(nn.Embedding(bpe.size, WIDTH)),
        writer=LinearWriter(WIDTH, bpe.size),
        order=Next(),
        law=Categorical(allowed=bpe.writable),
    )
    reader = NoisyReader(SQUARES.features, WIDTH, columns=2, positions=nn.Embedding(4, WIDTH))
    writer = LinearWriter(WIDTH, SQUARES.features)
    image = Port("image", Image, codec=SQUARES, reader=reader, writer=writer, order=InPlace(Flow()), law=Regression())
    norm = lambda inner: PreNorm(nn.RMSNorm(WIDTH), inner)
    blocks = [Block(norm(SelfAttention(WIDTH, 2)), norm(MLP(WIDTH))) for _ in range(3)]
    trunk = Transformer(blocks, norm=nn.RMSNorm(WIDTH), rotary=Rotary(8))
    parts = lambda: {"teacher": nn.Linear(SQUARES.features, 5), "head": nn.Linear(WIDTH, 5), "point": blocks[1].after_mlp}
    extras = [Extra(name, port=image, codec=SQUARES, distance=distance, **parts()) for name in names]
    return System("taught", trunk=trunk, ports=(text, image), attention=causal | within(image), extras=extras)


def drawing(seed: int = 0, **how) -> Document:
    picture = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return Document((Text("a dot"), Image(picture, True, **how)))


@pytest.mark.parametrize("distance", [squared_error, cosine_distance])
def test_the_loss_is_the_distance_from_what_the_teacher_says_of_the_same_elements(distance):
    system = build(distance=distance)
    (extra,) = system.extras
    document = drawing()
    with observed([extra.point, system.trunk.norm]) as seen:
        losses = system.losses([document], [Draw(0)])
    assert set(losses) == {"text", "image", "seen"}
    said = extra.head(seen[extra.point][0, -4:])  # the picture stands last
    taught = extra.teacher(SQUARES.encode([document[1].content]).clean[0])
    torch.testing.assert_close(losses["seen"][0], distance(said, taught).sum())
    assert losses["seen"][1] == 4 and not torch.equal(seen[extra.point], seen[system.trunk.norm])


def test_no_gradient_reaches_the_teacher_or_what_stands_behind_the_point():
    system = build()
    (extra,) = system.extras
    system.losses([drawing()], [Draw(0)])["seen"][0].backward()
    moved = lambda module: any(p.grad is not None and p.grad.any() for p in module.parameters())
    assert moved(extra.head) and moved(system.trunk.blocks[1]) and moved(system.by_name["image"].reader)
    assert not moved(extra.teacher) and not moved(system.trunk.blocks[2]) and not moved(system.by_name["image"].writer)


def test_only_what_is_learned_counts_weighted_as_its_document_is():
    system = build()
    nothing = Document((Image(drawing()[1].content), Text("a dot", True)))
    total, count = system.losses([nothing], [Draw(0)])["seen"]
    assert (float(total.detach()), count) == (0.0, 0)
    keep = torch.zeros(8, 8, dtype=torch.bool)
    keep[:4] = True
    whole, part = ([drawing(1)], [Draw(1)]), ([drawing(2, keep=keep)], [Draw(2)])
    doubled = Document(part[0][0].segments, weight=2.0)
    alone = [system.losses(*one)["seen"] for one in (whole, part)]
    assert [count for _, count in alone] == [4, 2]
    total, count = system.losses([*whole[0], doubled], [Draw(1), Draw(2)])["seen"]
    assert count == 4 + 2 * 2
    torch.testing.assert_close(total, alone[0][0] + 2 * alone[1][0])


def test_a_port_may_have_several_teachers_and_each_a_name_of_its_own():
    system = build(names=("one", "other"))
    losses = system.losses([drawing()], [Draw(0)])
    for extra in system.extras:
        single = build(names=(extra.name,))
        single.load_state_dict({k: v for k, v in system.state_dict().items() if not k.startswith("taught") or extra.name in k})
        torch.testing.assert_close(losses[extra.name][0], single.losses([drawing()], [Draw(0)])[extra.name][0])
    assert not torch.equal(losses["one"][0], losses["other"][0])
    with pytest.raises(ValueError, match="taught: text, image, image, 1 of them ports for text; different names"):
        build(names=("image",))


def test_observing_leaves_nothing_behind():
    module = nn.Identity()
    with observed([module, module]) as seen:
        module(torch.ones(2))
        module(torch.zeros(2))
    assert torch.equal(seen[module], torch.zeros(2)) and not module._forward_hooks
