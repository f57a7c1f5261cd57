import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from torch.nn.attention.flex_attention import create_mask

from tessera.attention import AttentionRule, apart, bar, causal, everywhere, prefix, within
from tessera.places import PADDING, UNUSED, View

PUBLIC, PRIVATE = int(View.PUBLIC), int(View.PRIVATE)


@dataclass
class Eye:
    name: str = "eye"
    number: int = 1


@dataclass
class Text:
    name: str = "text"
    number: int = 0


def table(text: str) -> torch.Tensor:
    """A mask drawn by hand: a line per query, x where it may look."""
    return torch.tensor([[mark == "x" for mark in line.split()] for line in text.strip().splitlines()])


@pytest.fixture
def document(places):
    """Text (two places), a picture by port 1 in a private and a public view (two places each), text (one place)."""
    return places(
        segment=[0, 0, 1, 1, 1, 1, 2],
        port=[0, 0, 1, 1, 1, 1, 0],
        view=[PUBLIC, PUBLIC, PRIVATE, PRIVATE, PUBLIC, PUBLIC, PUBLIC],
        order=[0, 1, 2, 3, 2, 3, 4],
    )


def test_causal_under_the_bar_between_views(document):
    expected = """
        x . . . . . .
        x x . . . . .
        x x x . . . .
        x x x x . . .
        x x . . x . .
        x x . . x x .
        x x . . x x x
    """
    assert torch.equal(causal.dense(document, document)[0], table(expected))


COMPILED = """
import torch
from tessera.attention import causal
from tessera.places import FIELDS, Places

data = torch.zeros(len(FIELDS), 1, 6, dtype=torch.long)
data[FIELDS.index("segment")] = torch.tensor([0, 0, 1, 1, 1, 2])
data[FIELDS.index("view")] = torch.tensor([0, 0, 1, 0, 0, 0])
data[FIELDS.index("order")] = torch.tensor([0, 1, 2, 2, 3, 4])
places = Places(data)
compiled = torch.compile(lambda places: causal.dense(places, places), backend="eager", fullgraph=True)
assert torch.equal(compiled(places), causal.dense(places, places)), compiled(places)
"""


def test_a_compiled_rule_says_the_same():
    """In a process of its own: shape checking wraps functions, and the compiler does not look inside."""
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_within_opens_the_segments_of_its_port_only(document):
    expected = """
        . . . . . . .
        . . . . . . .
        . . x x . . .
        . . x x . . .
        . . . . x x .
        . . . . x x .
        . . . . . . .
    """
    assert torch.equal(within(Eye()).dense(document, document)[0], table(expected))


def test_within_behind_a_place_in_front_leaves_that_place_as_it_is(places):
    """A time (1) and a picture of three places behind it (1, but the first)."""
    document = places(segment=[0, 1, 1, 1, 1, 2], port=[0, 1, 1, 1, 1, 0], order=[0, 1, 2, 3, 4, 5], begins=[0, 1, 1, 1, 1, 5])
    expected = """
        x . . . . .
        x x . . . .
        x x x x x .
        x x x x x .
        x x x x x .
        x x x x x x
    """
    rule = causal | within(Eye(), behind=1)
    assert torch.equal(rule.dense(document, document)[0], table(expected)) and str(rule) == "(causal | within(eye, behind=1))"


def test_the_bar_hides_private_views_from_other_segments(document):
    expected = """
        x x . . x x x
        x x . . x x x
        x x x x . . x
        x x x x . . x
        x x . . x x x
        x x . . x x x
        x x . . x x x
    """
    assert torch.equal(bar.dense(document, document)[0], table(expected))
    assert torch.equal(everywhere.dense(document, document)[0], table(expected))


def test_rules_compose_as_sets(document):
    eye = within(Eye())
    causal_mask, eye_mask, open_mask = (rule.dense(document, document) for rule in (causal, eye, everywhere))
    assert torch.equal((causal | eye).dense(document, document), causal_mask | eye_mask)
    assert torch.equal((causal & eye).dense(document, document), causal_mask & eye_mask)
    assert torch.equal((~causal).dense(document, document), open_mask & ~causal_mask)
    assert torch.equal((~(causal | eye)).dense(document, document), ((~causal) & (~eye)).dense(document, document))


def test_what_is_given_together_sees_itself_and_nothing_learned(places):
    """Two given places, two learned ones, two given and one learned."""
    row = places(segment=[0, 1, 2, 2, 3, 4, 5], learned=[0, 0, 1, 1, 0, 0, 1], turn=[0, 0, 0, 0, 1, 1, 1])
    expected = """
        x x . . . . .
        x x . . . . .
        x x x . . . .
        x x x x . . .
        x x . . x x .
        x x . . x x .
        x x x x x x x
    """
    assert torch.equal(((causal | prefix) & apart).dense(row, row)[0], table(expected))


@pytest.mark.parametrize(
    "rule, ahead",
    [
        (causal, False),
        (causal | within(Eye()), False),
        (everywhere, True),
        (everywhere & causal, False),
        (~causal, True),
        ((causal | prefix) & apart, False),
        (causal | prefix, False),
    ],
    ids=str,
)
def test_a_rule_says_whether_it_looks_ahead(rule, ahead):
    assert rule.looks_ahead([Eye(), Text()]) == ahead


def test_one_port_that_looks_ahead_is_enough():
    learned = AttentionRule("learned", lambda q, k: (k.learned == 1) & (q.port == 0))
    assert (causal | learned).looks_ahead([Eye(), Text()]) and not (causal | learned).looks_ahead([Eye()])


def test_the_name_of_a_rule_reads_as_it_was_composed():
    assert str((causal | within(Eye())) & ~bar) == "((causal | within(eye)) & ~bar)"
    assert str((causal | prefix) & apart) == "((causal | prefix) & apart)"
    assert str(causal | within(Eye()) & ~bar) == "(causal | (within(eye) & ~bar))"


def test_documents_do_not_see_each_other_and_padding_sees_itself_only(places):
    row = places(document=[0, 0, 1, PADDING, PADDING])
    expected = """
        x x . . .
        x x . . .
        . . x . .
        . . . x x
        . . . x x
    """
    assert torch.equal(everywhere.dense(row, row)[0], table(expected))


def test_unused_places_of_a_cache_are_seen_by_nobody(places):
    keys = places(document=[0, 0, UNUSED, UNUSED])
    queries = places(document=[0, PADDING], order=[7, 8])
    assert everywhere.dense(queries, keys)[0].tolist() == [[True, True, False, False], [False] * 4]


@pytest.mark.parametrize("rule", [causal, causal | within(Eye()), causal & ~within(Eye()), bar, (causal | prefix) & apart], ids=str)
def test_the_dense_mask_is_the_flex_mask(rule, document, places):
    facts = {
        "segment": [0, 1, 1, 0, 0, 0, 0],
        "port": [0, 1, 1, 0, 0, 0, 0],
        "learned": [0, 1, 0, 0, 0, 0, 0],
        "turn": [0, 0, 1, 0, 0, 0, 0],
    }
    other = places(document=[1, 1, 1, 2, 2, PADDING, PADDING], **facts)
    both = type(document)(torch.cat([document.data, other.data], 1))
    flex = create_mask(rule.mask_mod(both, both), B=2, H=1, Q_LEN=7, KV_LEN=7, device="cpu")
    assert torch.equal(rule.dense(both, both), flex[:, 0])
    shorter = both[:, :3]
    flex = create_mask(rule.mask_mod(shorter, both), B=2, H=1, Q_LEN=3, KV_LEN=7, device="cpu")
    assert torch.equal(rule.dense(shorter, both), flex[:, 0])
