"""The properties bite: each of these faults, put in on purpose, makes one of them fail."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from properties import test_batches, test_leak, test_training, test_writing
from properties.harness import Case
from sketches.parts import InPlace, RowEndReader

from tessera import pieces
from tessera.attention import AttentionRule, causal, within
from tessera.draws import Streams
from tessera.laws import categorical
from tessera.orders import Done, Next, PartlyHidden, masked
from tessera.places import PADDING
from tessera.system import System
from tessera.trunk import EncoderDecoder
from tessera.trunk.cache import Pass
from tessera.trunk.rotary import Turn
from tessera.verbs.writing import Standing


def text_sees_its_end(patch, system):
    patch.setattr(system, "attention", causal | within(system.text))


def views_see_each_other(patch, system):
    def inside(self, q, k):
        padding = (q.document == PADDING) & (k.document == PADDING)
        return (q.document == k.document) & self.allows(q, k) | padding

    patch.setattr(AttentionRule, "full", inside)


def documents_see_each_other(patch, system):
    patch.setattr(AttentionRule, "full", lambda self, q, k: self.allows(q, k))


def reader_ignores_start(patch, system):
    read = RowEndReader.forward
    patch.setattr(RowEndReader, "forward", lambda self, visible, start: read(self, visible, start * 0))


def readers_mix_starts(patch, system):
    alike = pieces._alike

    def by_shape(some):
        starts = [piece.start for piece in some]
        for piece in some:
            piece.start = 0
        runs = alike(some)
        for piece, start in zip(some, starts, strict=True):
            piece.start = start
        return runs

    patch.setattr(pieces, "_alike", by_shape)


def last_element_stays_unshown(patch, system):
    write = Next.write

    def forgetful(self, w):
        done = yield from write(self, w)
        return Done(done.clean)

    patch.setattr(Next, "write", forgetful)


def eye_takes_no_room(patch, system):
    context = System.context
    patch.setattr(System, "context", lambda self, segment, clean, ahead, room=0: context(self, segment, clean, ahead))


def clean_view_is_noise(patch, system):
    reveal = InPlace.reveal
    patch.setattr(InPlace, "reveal", lambda self, clean: reveal(self, clean * 0))


def hidden_elements_show(patch, system):
    patch.setattr(masked, "hide", lambda clean, hidden: PartlyHidden(clean, hidden))


def peeks_stay(patch, system):
    commit = Pass.commit
    patch.setattr(Pass, "commit", lambda self, keep: commit(self, [True] * len(keep)))


def rows_share_their_dice(patch, system):
    def first_for_all(self, sample, shape):
        return sample(sum(self._counts), *shape, generator=self._rngs[0], dtype=torch.float64)

    patch.setattr(Streams, "_each", first_for_all)


def branches_are_swapped(patch, system):
    guide = categorical.guide
    patch.setattr(categorical, "guide", lambda branches, guidance: guide(branches.flip(0), guidance))


def positions_are_absolute(patch, system):
    patch.setattr(Turn, "__call__", lambda self, x: x * self.cos)


def nothing_is_frozen(patch, system):
    patch.setattr(test_training, "thaw", lambda system, stage: system.train())


def segments_begin_where_they_go_on(patch, system):
    made = Standing.piece

    def piece(self, ask, branch):
        one = made(self, ask, branch)
        one.passed = 0
        return one

    patch.setattr(Standing, "piece", piece)


def turns_run_together(patch, system):
    ahead = System.ahead
    patch.setattr(System, "ahead", lambda self, document, i: ahead(self, document, i)._replace(turn=0))


def answers_begin_from_the_question(patch, system):
    patch.setattr(EncoderDecoder, "halved", False)


ZOO, HALVES = "sketches.zoo:zoo", "sketches.halves:halves"


class Fault(NamedTuple):
    """What goes wrong, in which system, and the property that says so."""

    put_in: Callable
    recipe: str
    found_by: Callable
    arguments: tuple = ()


FAULTS = [
    Fault(text_sees_its_end, ZOO, test_leak.test_no_prediction_depends_on_what_it_may_not_see),
    Fault(text_sees_its_end, ZOO, test_leak.test_changing_a_learned_element_moves_no_prediction_that_may_not_see_it),
    Fault(views_see_each_other, ZOO, test_leak.test_no_prediction_depends_on_what_it_may_not_see),
    Fault(documents_see_each_other, ZOO, test_batches.test_packed_equals_alone, (10_000,)),
    Fault(reader_ignores_start, ZOO, test_writing.test_training_sees_what_writing_saw, (1.0,)),
    Fault(readers_mix_starts, ZOO, test_writing.test_batched_equals_one_by_one, (1.0,)),
    Fault(last_element_stays_unshown, ZOO, test_writing.test_training_sees_what_writing_saw, (1.0,)),
    Fault(eye_takes_no_room, "sketches.janus_like:janus_like", test_writing.test_training_sees_what_writing_saw, (1.0,)),
    Fault(clean_view_is_noise, ZOO, test_leak.test_revealing_is_corrupting_with_everything_kept),
    Fault(hidden_elements_show, ZOO, test_leak.test_changing_a_learned_element_moves_no_prediction_that_may_not_see_it),
    Fault(peeks_stay, ZOO, test_writing.test_cached_equals_uncached, (1.0,)),
    Fault(rows_share_their_dice, ZOO, test_writing.test_batched_equals_one_by_one, (1.0,)),
    Fault(branches_are_swapped, "show_o", test_writing.test_guidance_zero_writes_the_dropped_document),
    Fault(positions_are_absolute, ZOO, test_leak.test_shifting_all_positions_changes_nothing),
    Fault(documents_see_each_other, HALVES, test_batches.test_packed_equals_alone, (10_000,)),
    Fault(peeks_stay, HALVES, test_writing.test_cached_equals_uncached, (1.0,)),
    Fault(segments_begin_where_they_go_on, "unified_io_2", test_writing.test_training_sees_what_writing_saw, (1.0,)),
    Fault(turns_run_together, "unified_io_2", test_writing.test_training_sees_what_writing_saw, (1.0,)),
    Fault(answers_begin_from_the_question, "unified_io_2", test_leak.test_learned_text_sees_all_that_is_public_before_it),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.put_in.__name__}-{fault.found_by.__name__.removeprefix('test_')}")
def test_a_fault_is_found(fault, monkeypatch):
    system = Case(fault.recipe, "tiny").fresh()
    fault.put_in(monkeypatch, system)
    with pytest.raises(AssertionError):
        fault.found_by(system, *fault.arguments)


def test_a_stage_that_freezes_nothing_is_found(monkeypatch):
    nothing_is_frozen(monkeypatch, None)
    with pytest.raises(AssertionError):
        test_training.test_each_stage_moves_exactly_what_it_says(Case("janus", "tiny"))
