"""What the properties share: every system there is, documents for it, and writing that is watched."""

import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import pytest
import sketches
import torch
from torch import Tensor, nn

from tessera.codecs import Codec
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.laws import Sampling
from tessera.pieces import Piece, assemble, place, read
from tessera.system import System, evaluating
from tessera.verbs.generate import advance
from tessera.verbs.passes import Passes, passes_of
from tessera.verbs.recipes import build, names, recipe
from tessera.verbs.writing import Author, Request, Step, Written

STEPS = 5  # of a picture that is written as a whole: each is like the others
LONGEST = 14  # ids of a written text: enough for a cache to outgrow its first capacity
TIGHT = {"rtol": 1e-9, "atol": 1e-9}  # for float64


class Case(NamedTuple):
    """A recipe and one of its presets."""

    recipe: str
    preset: str

    def __str__(self) -> str:
        return self.recipe.split(":")[-1] + ("" if self.preset == "tiny" else f"-{self.preset}")

    def fresh(self) -> System:
        """A new system with weights large enough that nothing hides: 0.2 for matrices, nothing left at 0 or 1."""
        with torch.random.fork_rng():
            torch.manual_seed(20)
            system = build(self.recipe, preset=self.preset)
            for parameter in system.parameters():
                if parameter.ndim == 2:
                    nn.init.normal_(parameter, std=0.2)
                elif parameter.ndim == 1:
                    parameter.data += 0.1 * torch.randn_like(parameter)
        return system.eval()


def cases() -> list[Case]:
    """The tiny preset of every recipe in the folder of systems, and every preset of every sketch."""
    sketched = [f"sketches.{m.name}:{m.name}" for m in pkgutil.iter_modules(sketches.__path__) if m.name != "parts"]
    presets = {name: [p for p in recipe(name)[1] if p != "default"] for name in sketched}
    return [Case(name, "tiny") for name in names()] + [Case(name, preset) for name in sketched for preset in presets[name]]


@cache
def shared(case: Case) -> System:
    """A system that no test may change."""
    return case.fresh()


# ---------------------------------------------------------------- documents


def kinds(system: System) -> list[type[Image]]:
    """The kinds of picture a system knows: it reads them all."""
    return list(dict.fromkeys(p.kind for p in system.ports if issubclass(p.kind, Image)))


def drawn(system: System) -> list[type[Image]]:
    """The kinds of picture a system draws. Where there are none, what is asked of drawings is skipped, and says so."""
    found = [kind for kind in kinds(system) if draws(system, kind)]
    return found or pytest.skip(f"{system.name} draws no pictures")


def draws(system: System, kind: type[Image]) -> bool:
    """Whether pictures of this kind are written."""
    return any(port.accepts(kind(learn=True)) for port in system.ports)


def whole(system: System, kind: type[Image]) -> bool:
    """Whether pictures of this kind are known as a whole: their elements are a row, and none is of a part of the picture."""
    return getattr(system.port(kind(learn=True)).codec, "columns", 1) == 0


_SIZES: WeakKeyDictionary[Codec, tuple[int, int]] = WeakKeyDictionary()


def size(codec: Codec) -> tuple[int, int]:
    """Height and width of the pictures that a codec makes; asked once, because some paint for long."""
    if codec not in _SIZES:
        _SIZES[codec] = codec.decode([codec.blank(None)])[0].shape[1:]
    return _SIZES[codec]


def picture(system: System, number: int, kind: type[Image] = Image) -> Tensor:
    """A picture as large as the system's own: four by four squares, each of a colour and a little noise."""
    (height, wide), rng = size(system.port(kind(learn=draws(system, kind))).codec), torch.Generator().manual_seed(number)
    colours = torch.randint(230, (3, 4, 4), generator=rng)
    squares = colours.repeat_interleave(height // 4, 1).repeat_interleave(wide // 4, 2)
    return (squares + torch.randint(25, squares.shape, generator=rng)).to(torch.uint8)


def draw(system: System, kind: type[Image]) -> Document:
    """A prompt and its picture."""
    return Document((Text("a red dot"), kind(picture(system, 1, kind), True)))


def caption(system: System, kind: type[Image]) -> Document:
    """A picture, a question that the learned text continues, and the answer."""
    return Document((kind(picture(system, 2, kind)), Text("what is it"), Text("a dot", True)))


def story(system: System, kind: type[Image]) -> Document:
    """Interleaved: after a prompt, all is learned."""
    first, second = (kind(picture(system, n, kind), True) for n in (3, 4))
    return Document((Text("draw"), first, Text("now a blue one", True), second, Text("the end", True)))


def answers(system: System, kind: type[Image]) -> Document:
    """A picture, and two questions with their answers."""
    turns = (Text("what is it"), Text("a dot", True), Text("of what colour"), Text("blue and red", True))
    return Document((kind(picture(system, 7, kind)), *turns))


def reply(system: System, kind: type[Image]) -> Document:
    """A text that goes on as learned text, which decides to draw: it ends with its picture."""
    return Document((Text("draw"), Text("what I see is", True), kind(picture(system, 5, kind), True)))


def chat() -> Document:
    """Text alone."""
    return Document((Text("say a word"), Text("word", True)))


def documents(system: System) -> list[Document]:
    """One document of each sort, for each kind of picture; two replies, of which the second's row lags behind the first's."""
    both, reading = (draw, reply, caption, story, reply, answers), (caption, answers)
    return [chat(), *(make(system, kind) for kind in kinds(system) for make in (both if draws(system, kind) else reading))]


def pictured(system: System) -> list[Document]:
    """A caption for each kind of picture, answers, and where it is drawn a story."""
    some = {kind: (caption, answers, story) if draws(system, kind) else (caption, answers) for kind in kinds(system)}
    return [make(system, kind) for kind, makes in some.items() for make in makes]


def rich(system: System) -> list[Document]:
    """A document where much is learned for each kind of picture: a story, or answers where none is drawn."""
    return [(story if draws(system, kind) else answers)(system, kind) for kind in kinds(system)]


def blank(document: Document) -> Document:
    """The document with all that is learned still to be written."""
    return Document(tuple(type(s)(learn=True) if s.learn else s for s in document))


def blanks(system: System) -> list[Document]:
    """The documents, to be written."""
    return [blank(document) for document in documents(system)]


def laid_out(system: System, some: Sequence[Document], seed: int = 5, clean: Sequence[Sequence[Tensor]] | None = None) -> list[list[Piece]]:
    """Pieces of documents, each with draws of its own: one list for each pass of each document."""
    return system.arrange(some, [Draw(seed, i) for i in range(len(some))], clean)


# ---------------------------------------------------------------- writing


class Glimpse(NamedTuple):
    """What was seen of one pass: segment, view and causal order of each place, their hidden states, and the step's pieces."""

    where: list[tuple[int, int, int]]
    hidden: Tensor
    step: Step


class Recomputed:
    """Passes of one document at a time, over all that was committed, again each time. The oracle of `passes_of`."""

    def __init__(self, system: System, rows: int):
        self.system, self.watch, self.unused = system, None, list(range(rows))
        self.kept: list[list[Piece]] = [[] for _ in range(rows)]

    def take(self) -> int:
        return self.unused.pop()

    def give(self, row: int) -> None:
        self.kept[row] = []
        self.unused.append(row)

    def run(self, steps: Sequence[Step]) -> list[Tensor]:
        return [self._one(step) for step in steps]

    def _one(self, step: Step) -> Tensor:
        past = self.kept[step.branch.row]
        for piece in past:
            piece.writes = step.pieces[-1].writes if self.system.joint else piece.writes
        everything = read([*past, *step.pieces], self.system.device)
        step.branch.passed(place(step.pieces, step.order), step.commit)
        batch = assemble([[*past, *step.pieces]], everything)
        hidden = self.system.trunk(batch.embeddings, batch.condition, batch.places, self.system.attention)[0]
        if step.commit:
            past += step.pieces
        hidden = hidden[-sum(piece.count for piece in step.pieces) :]
        self.watch(step, hidden)
        return hidden


@dataclass
class Watched:
    """One document while it is written: its first row is that of the document as asked, any other has its prompt dropped."""

    passes: Passes
    row: int = -1
    glimpses: list[Glimpse] = field(default_factory=list)
    written: Written | None = None

    def take(self) -> int:
        row = self.passes.take()
        self.row = row if self.row == -1 else self.row
        return row

    def give(self, row: int) -> None:
        self.passes.give(row)
        if row == self.row:
            self.row = -2

    @property
    def clean(self) -> tuple[Tensor, ...]:
        return self.written.clean

    @property
    def document(self) -> Document:
        return self.written.document


def positions(pieces: Sequence[Piece]) -> list[tuple[int, int, int]]:
    """Segment, view and causal order of each place."""
    return [(piece.segment, int(piece.view), piece.order + k) for piece in pieces for k in range(piece.count)]


@torch.no_grad()
def write(
    system: System, some: Sequence[Document], *, guidance: float = 1.0, cached: bool = True, seeds: Sequence[int] | None = None
) -> list[Watched]:
    """Documents written side by side under watch, each with a seed of its own.

    Texts of odd seeds may be longer by one id, so that rows drift apart.
    """
    passes = (passes_of if cached else Recomputed)(system, 2 * len(some))
    watched = [Watched(passes) for _ in some]

    def watch(step: Step, hidden: Tensor) -> None:
        for one in watched:
            if one.row == step.branch.row:
                one.glimpses.append(Glimpse(positions(step.pieces), hidden.clone(), step))

    passes.watch = watch
    sampling = {kind: Sampling(guidance=guidance, steps=STEPS) for kind in kinds(system) if draws(system, kind)} | {Text: Sampling()}
    requests = [Request(d, seed, sampling, LONGEST + seed % 2) for d, seed in zip(some, seeds or range(len(some)), strict=True)]
    authors = [Author(system, request, one) for request, one in zip(requests, watched, strict=True)]
    with evaluating(system):
        for i, what in advance(system, authors, passes, len(authors)):
            if isinstance(what, Written):
                watched[i].written = what
    return watched


_WRITTEN: WeakKeyDictionary[System, dict[float, list[Watched]]] = WeakKeyDictionary()


def written(system: System, guidance: float) -> list[Watched]:
    """All blank documents, written side by side with a cache: done once, because several properties look at it."""
    known = _WRITTEN.setdefault(system, {})
    if guidance not in known:
        known[guidance] = write(system, blanks(system), guidance=guidance)
    return known[guidance]


def same(one: Watched, other: Watched) -> None:
    """The same clean elements, tokens exactly, seen with the same hidden states on the way."""
    assert [len(clean) for clean in one.clean] == [len(clean) for clean in other.clean]
    assert [glimpse.where for glimpse in one.glimpses] == [glimpse.where for glimpse in other.glimpses]
    for a, b in zip(one.clean, other.clean, strict=True):
        torch.testing.assert_close(a, b, **(TIGHT if a.is_floating_point() else {"rtol": 0, "atol": 0}))
    for a, b in zip(one.glimpses, other.glimpses, strict=True):
        torch.testing.assert_close(a.hidden, b.hidden, **TIGHT)
