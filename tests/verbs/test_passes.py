"""Passes: what begins alike passes once, what is nearly as long passes together, and neither changes what is written."""

from dataclasses import replace

import pytest
import torch

from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.laws import Sampling
from tessera.pieces import content, leaves
from tessera.verbs.generate import write
from tessera.verbs.passes import WORTH, together
from tessera.verbs.writing import Request

GUIDED = {Image: Sampling(temperature=1.0, guidance=2.0), Text: Sampling(temperature=1.0)}


@pytest.mark.parametrize(
    "counts, groups",
    [
        ([3, 3, 3], [[0, 1, 2]]),
        ([1, 18], [[1, 0]]),  # a prompt, and none
        ([1, 1, 1, 18], [[3], [0, 1, 2]]),  # 51 places of padding
        ([18, 16, 20, 19, 18], [[2, 3, 0, 4, 1]]),
        ([600, 1], [[0], [1]]),
        ([600, 500], [[0, 1]]),
        ([40, 1, 8, 9], [[0, 3], [2, 1]]),
        ([1, 1 + WORTH], [[1, 0]]),
        ([1, 2 + WORTH], [[1], [0]]),
    ],
)
def test_rows_pass_together_where_that_wastes_little(counts, groups):
    assert together(counts, pads=True) == groups
    padded = [sum(max(counts[i] for i in group) - counts[i] for i in group) for group in groups]
    assert all(one <= max(WORTH, sum(counts[i] for i in group) / 4) for one, group in zip(padded, groups, strict=True))


def test_what_cannot_be_padded_passes_by_length():
    assert together([4, 1, 4, 2], pads=False) == [[0, 2], [3], [1]]


@pytest.fixture
def rows(tiny):
    """How many rows each pass of the trunk has, while documents are written: (what was written, the rows)."""

    system, seen = tiny(), []
    system.trunk.register_forward_hook(lambda module, given, out: seen.append(len(given[0])))

    def rows(documents, seeds):
        seen.clear()
        requests = [Request(one, seed, GUIDED, longest=6) for one, seed in zip(documents, seeds, strict=True)]
        return write(system, requests), [*seen]

    return rows


def test_a_prompt_drawn_several_times_is_read_once(rows):
    document = Document((Text("a red circle"), Image(learn=True)))
    together, seen = rows([document] * 3, [4, 5, 6])
    assert seen[0] == 2 and set(seen[1:]) == {6}  # the prompt and none at all; then each picture in both branches
    for seed, one in zip((4, 5, 6), together, strict=True):
        (alone,), others = rows([document], [seed])
        assert torch.equal(one.clean[1], alone.clean[1]) and others[0] == 2
    assert not torch.equal(together[0].clean[1], together[1].clean[1])


def test_unlike_prompts_are_told_apart(rows, pictures):
    asked = lambda picture, words: Document((Image(picture), Text(words), Text(learn=True)))
    documents = [
        asked(pictures[0], "how many?"),
        asked(pictures[1], "how many?"),
        asked(pictures[0], "which?"),
        asked(pictures[0], "how many?"),
    ]
    written, seen = rows(documents, [0] * 4)
    assert seen[0] == 3
    for document, one in zip(documents, written, strict=True):
        ((alone,), _) = rows([document], [0])
        assert one.texts == alone.texts
    assert written[0].texts == written[3].texts and len({one.texts[0] for one in written}) == 3


def test_content_tells_pieces_apart(tiny):
    system = tiny()
    document = Document((Text("a red circle"), Image(learn=True)))
    encoded = [one.clean for one in system.encode([document], [Draw(0)])[0][:1]]
    piece = system.given(document, 0, encoded[0])
    (ids,) = leaves(piece.visible)
    assert content(piece) == content(replace(piece, visible=ids.clone()))
    changes = [{"start": 1}, {"room": 9}, {"passed": 2}, {"segment": 4}, {"writes": 7}, {"turn": 3}, {"learned": True}]
    others = [replace(piece, **change) for change in [*changes, {"visible": ids + 1}, {"visible": ids[:-1]}, {"visible": ids.int()}]]
    assert len({content(one) for one in [piece, *others]}) == len(others) + 1
    half = replace(piece, visible=ids.bfloat16())
    assert content(half) == content(replace(half)) != content(piece)
