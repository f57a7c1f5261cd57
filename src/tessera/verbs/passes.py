"""Passes: how steps of writing go through the trunk, with a cache or over all that is there."""

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from tessera.grouping import alike
from tessera.pieces import Piece, assemble, content, place, read
from tessera.system import System
from tessera.trunk.lean import lean_form
from tessera.verbs.writing import Step

Watch = Callable[[Step, Tensor], None]
WORTH = 32  # places


@runtime_checkable
class Passes(Protocol):
    """Who takes steps through the trunk: hidden states [place, width] of each. Each document is written in a row that it takes."""

    def take(self) -> int: ...

    def give(self, row: int) -> None: ...

    def run(self, steps: Sequence[Step]) -> list[Tensor]: ...


def passes_of(system: System, rows: int, *, watch: Watch | None = None) -> Passes:
    """How a system writes: where what was there sees what comes, nothing of it can be kept. `watch`, if given, sees every step."""
    return (WholePasses if system.joint else CachedPasses)(system, rows, watch=watch)


class CachedPasses:
    """Passes of the trunk over new places only."""

    def __init__(self, system: System, rows: int, *, watch: Watch | None = None):
        self.system, self.watch, self.device = system, watch, system.device
        self.trunk, self.cache = lean_form(system.trunk), system.trunk.cache(rows=rows, capacity=64)
        self.take, self.give = self.cache.take, self.cache.give

    def run(self, steps: Sequence[Step]) -> list[Tensor]:
        """Hidden states [place, width] of each step.

        Steps of any ports pass together, padded to the longest where that wastes little. Those that begin alike (a prompt
        drawn several times, the branches without prompts) pass once, and their rows of the cache are copied.
        """
        groups = alike(steps, _beginning)
        hidden = dict(zip((numbers[0] for numbers in groups), self._pass([steps[numbers[0]] for numbers in groups]), strict=True))
        for first, *others in groups:
            passed = steps[first]
            if others:
                self.cache.copy(passed.branch.row, [steps[i].branch.row for i in others])
            for i in others:
                steps[i].pieces, hidden[i] = passed.pieces, hidden[first]
                steps[i].branch.passed(passed.branch.after, commit=True)
        if self.watch:
            for i, step in enumerate(steps):
                self.watch(step, hidden[i])
        return [hidden[i] for i in range(len(steps))]

    def _pass(self, steps: Sequence[Step]) -> list[Tensor]:
        """Hidden states of steps that are all different."""
        everything = read([piece for step in steps for piece in step.pieces], self.device)
        for step in steps:
            step.branch.passed(place(step.pieces, step.order), step.commit)
        counts = [sum(piece.count for piece in step.pieces) for step in steps]
        hidden: dict[int, Tensor] = {}
        for numbers in together(counts, pads=self.cache.pads):
            numbers.sort(key=lambda i: steps[i].branch.row)
            mine = [steps[i] for i in numbers]
            batch = assemble([step.pieces for step in mine], everything)
            opened = self.cache.open([step.branch.row for step in mine], batch.places, [counts[i] for i in numbers])
            out = self.trunk(batch.embeddings, batch.condition, batch.places, self.system.attention, opened)
            opened.commit([step.commit for step in mine])
            hidden.update((i, states[: counts[i]]) for i, states in zip(numbers, out, strict=True))
        return [hidden[i] for i in range(len(steps))]


def together(counts: Sequence[int], *, pads: bool) -> list[list[int]]:
    """Which of some rows of so many places pass at once: those of one length, and, if it `pads`, shorter ones beside them.

    A pass costs as much as some places more, so that few are padded rather than passed alone: WORTH, or a quarter of the real ones.
    """
    groups: list[list[int]] = []
    longest = real = padding = 0
    for numbers in sorted(alike(counts, int), key=lambda numbers: -counts[numbers[0]]):
        count = counts[numbers[0]]
        more = (longest - count) * len(numbers)
        if groups and pads and padding + more <= max(WORTH, (real + count * len(numbers)) // 4):
            groups[-1].extend(numbers)
            real, padding = real + count * len(numbers), padding + more
        else:
            groups.append(list(numbers))
            longest, real, padding = count, count * len(numbers), 0
    return groups


def _beginning(step: Step) -> Hashable:
    """The same for all steps that put the same into empty rows; nothing else is the same as a step that goes on."""
    begins = step.commit and step.branch.after == 0
    return tuple(map(content, step.pieces)) if begins else step


class WholePasses:
    """Passes of the trunk over all that a row holds and what is new. All rows pass together, padded to the longest."""

    def __init__(self, system: System, rows: int, *, watch: Watch | None = None):
        self.system, self.watch, self.device = system, watch, system.device
        self.kept: list[list[Piece]] = [[] for _ in range(rows)]
        self._unused = list(range(rows))[::-1]

    def take(self) -> int:
        """An empty row."""
        return self._unused.pop()

    def give(self, row: int) -> None:
        """The row is free again."""
        self.kept[row] = []
        self._unused.append(row)

    def run(self, steps: Sequence[Step]) -> list[Tensor]:
        """Hidden states [place, width] of each step's new places. What is kept stands in front of what is written now."""
        rows = [[*self.kept[step.branch.row], *step.pieces] for step in steps]
        for step, row in zip(steps, rows, strict=True):
            for piece in row:
                piece.writes = step.pieces[-1].writes
        everything = read([piece for row in rows for piece in row], self.device)
        for step in steps:
            step.branch.passed(place(step.pieces, step.order), step.commit)
        batch = assemble(rows, everything)
        out = self.system.trunk(batch.embeddings, batch.condition, batch.places, self.system.attention)
        hidden = []
        for step, row, states in zip(steps, rows, out, strict=True):
            end = sum(piece.count for piece in row)
            hidden.append(states[end - sum(piece.count for piece in step.pieces) : end])
            if step.commit:
                self.kept[step.branch.row] = row
            if self.watch:
                self.watch(step, hidden[-1])
        return hidden
