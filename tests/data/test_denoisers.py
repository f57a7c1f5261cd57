from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from tessera.data.denoisers import EXTREME, GAP, HIDDEN, REGULAR, UNITS, Denoisers, Spans, blanked, left_out
from tessera.document import Document, Image, Task, Text
from tessera.draws import Draw
from tessera.world import World

EVER, EVER_SEQUENTIAL = Denoisers(square=8, regular=1.0, extreme=0.0), Denoisers(square=8, regular=0.0, extreme=0.0)


def restored(given: str, learned: str) -> str:
    """The text that was blanked: the spans back in their gaps."""
    around, spans = given.split(GAP), learned.split(GAP)[1:]
    whole = around[0].removesuffix(" ")
    for span, behind in zip(spans, around[1:], strict=True):
        whole += span.removesuffix(" ") + behind.removesuffix(" ")
    return whole.lstrip()


def told(text: str) -> Document:
    return Document((Text(text, learn=True),), task=Task.TEXT, id="7", weight=2.0)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_given_and_learned_restore_the_text(language):
    world, signs = World.easy(language), Counter()
    for task in (Task.TEXT, Task.CAPTION):
        for i in range(150):
            document = world.document(task, i)
            text = document.segments[-1].content
            changed = Denoisers(square=8)(document, Draw(3, i))
            *before, learned = changed
            assert learned.learn and not any(segment.learn for segment in before)
            assert (changed.task, changed.id, changed.weight) == (task, document.id, document.weight)
            given = before[-1].content if before and isinstance(before[-1], Text) else ""
            assert len(before) == len(document) - 1 + bool(given)
            sign = given[:3] if given.startswith(("[R]", "[X]")) else "S"
            signs[sign] += 1
            assert (restored(given[4:], learned.content) if sign != "S" else given + learned.content) == text
    assert (
        signs["S"] == pytest.approx(150, abs=30) and signs["[R]"] == pytest.approx(75, abs=25) and signs["[X]"] == pytest.approx(75, abs=25)
    )


@pytest.mark.parametrize("spans", [*REGULAR, *EXTREME, Spans(1, 0.3)], ids=str)
@pytest.mark.parametrize("units", [2, 7, 40, 400])
def test_as_much_is_left_out_as_the_rate_says_in_spans_of_the_length(spans, units):
    rng = torch.Generator().manual_seed(1)
    count = min(max(round(units * spans.rate), 1), units - 1)
    for _ in range(20):
        found = left_out(units, spans, rng)
        lengths = [one.stop - one.start for one in found]
        assert sum(lengths) == count and min(lengths) >= 1 and found[0].start >= 0 and found[-1].stop <= units
        assert all(one.stop < other.start for one, other in pairwise(found)), "spans do not touch"
        if units == 400 and spans.length > 1:
            assert count / len(found) == pytest.approx(spans.length, rel=0.2)


def test_every_way_to_leave_something_out_is_equally_likely():
    """Three of seven words in two spans: 2 ways to cut, and 10 to place two spans among four words."""
    rng = torch.Generator().manual_seed(2)
    seen = Counter(tuple((one.start, one.stop) for one in left_out(7, Spans(1.5, 3 / 7), rng)) for _ in range(8000))
    assert len(seen) == 20
    assert max(abs(count - 400) for count in seen.values()) < 5 * 400**0.5


def test_gaps_stand_for_spans():
    units = UNITS.findall("a red ring at the top left")
    assert blanked(units, [slice(1, 3), slice(5, 6)]) == ("a _ at the _ left", "_ red ring _ top")
    assert blanked(units, [slice(0, 1)]) == ("_ red ring at the top left", "_ a")
    assert blanked(UNITS.findall("左上角有one"), [slice(1, 3), slice(4, 5)]) == ("左 _有 _", "_上角 _one")


def test_it_depends_on_the_document_and_its_draw_alone(pictures):
    documents = [told("a red ring at the top left"), Document((Text("x"), Image(torch.zeros(3, 32, 32, dtype=torch.uint8), True)))]
    for document in documents:
        one, again = (Denoisers(square=8)(document, Draw(1, 2)) for _ in range(2))
        assert [(type(s), str(s.content), str(getattr(s, "keep", None))) for s in one] == [
            (type(s), str(s.content), str(getattr(s, "keep", None))) for s in again
        ]
    assert documents[0][0].content == "a red ring at the top left" and documents[1][1].keep is None
    many = {tuple(s.content for s in Denoisers(square=8)(documents[0], Draw(1, i))) for i in range(30)}
    assert len(many) > 15


def test_text_alone_is_learned_from_some_word_on():
    words, document = 5, told("a red ring shines here")
    given = [EVER_SEQUENTIAL(document, Draw(4, i)) for i in range(300)]
    starts = Counter(len(one) and len(UNITS.findall(one[0].content)) if len(one) == 2 else 0 for one in given)
    assert set(starts) == set(range(words)) and min(starts.values()) > 300 / words / 2
    behind = Document((Text("say it"), *document))
    assert all(EVER_SEQUENTIAL(behind, Draw(4, i)).segments == behind.segments for i in range(20))


@pytest.mark.parametrize(("hidden", "squares"), [(0.75, 12), (0.5, 8), (1.0, 16)])
def test_a_covered_picture_is_given_and_what_is_covered_is_learned(hidden, squares):
    content = torch.randint(0, 200, (3, 32, 32), dtype=torch.uint8)
    document = Document((Text("a ring"), Image(content, True)), task=Task.DRAW)
    prompt, given, learned = replace(EVER, hidden=hidden)(document, Draw(6))
    covered = (given.content == torch.tensor(HIDDEN)[:, None, None]).all(0)
    assert prompt is document[0] and not given.learn and given.keep is None
    assert learned.learn and learned.content is content and torch.equal(learned.keep, ~covered)
    assert torch.equal(given.content[:, ~covered], content[:, ~covered])
    each = covered.view(4, 8, 4, 8).transpose(1, 2).flatten(2).float().mean(-1)
    assert set(each.unique().tolist()) <= {0.0, 1.0} and each.sum() == squares
    assert EVER_SEQUENTIAL(document, Draw(6)).segments == document.segments


def test_what_teaches_more_or_nothing_or_only_a_part_is_as_it_was():
    content, keep = torch.zeros(3, 32, 32, dtype=torch.uint8), torch.ones(32, 32, dtype=torch.bool)
    for segments in (
        (Text("q"), Text("a b", True), Text("r"), Text("c d", True)),
        (Text("q"), Image(content)),
        (Text("a b c", True), Text("q")),
        (Text("q"), Image(content, True, keep)),
        (Text("word", True),),
        (Text("a _ b", True),),
        (Text("", True),),
        (Text(None, True),),
        (Image(None, True),),
    ):
        for denoise in (EVER, EVER_SEQUENTIAL) if segments[0].content != "a _ b" else (EVER,):
            assert denoise(Document(segments), Draw(1)).segments == segments


def test_the_colour_of_what_is_covered_is_none_of_the_worlds():
    for level in (World.easy(), World.standard()):
        for i in range(30):
            shown = level.picture(level.scene(i))
            assert not (shown == torch.tensor(HIDDEN)[:, None, None]).all(0).any()


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"denoisers: regular 0\.7, extreme 0\.4, hidden 0\.75; shares"):
        Denoisers(square=8, regular=0.7, extreme=0.4)
    with pytest.raises(ValueError, match="hidden 0; shares"):
        Denoisers(square=8, hidden=0.0)
    with pytest.raises(ValueError, match="a picture of 30 x 32 pixels, squares of 8; whole squares"):
        EVER(Document((Image(torch.zeros(3, 30, 32, dtype=torch.uint8), True),)), Draw(0))
