"""How one document is written: a coroutine that walks its segments and asks for passes of the trunk and for draws."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from tessera.codecs.canvas import up_to
from tessera.document import Document, Image, Segment, Text
from tessera.draws import Draw
from tessera.laws.base import Sampling, Weighing
from tessera.orders.base import Ask, Done, Pick, Seen, Weigh, Writing
from tessera.pieces import Ahead, Piece, number
from tessera.places import View
from tessera.ports import Port
from tessera.system import System
from tessera.verbs.events import Event, PictureFinished, PicturePart, PictureStarted, TextPiece

INCOMPLETE = "\ufffd"  # how a text ends while a character's bytes are still to come


@dataclass(frozen=True, eq=False)
class Request:
    """A document to be written: its learned segments without content. `longest` bounds each text, in ids.

    `more` is how many segments the model may add by its own decision: behind a picture it goes on in words, an empty text ends
    the document, and behind words it begins a picture if it says the marker for that.
    """

    document: Document
    seed: int = 0
    sampling: Mapping[type[Segment], Sampling] = field(default_factory=dict)
    longest: int = 64
    more: int = 0

    def __post_init__(self):
        if self.longest < 1 or self.more < 0:
            raise ValueError(f"request: longest {self.longest}, more {self.more}; at least 1 id and 0 segments are accepted; raise it")


@dataclass(frozen=True, eq=False)
class Written:
    """A finished document, and the clean elements each segment was written with (decoding need not be undone by encoding)."""

    document: Document
    clean: tuple[Any, ...]

    @property
    def texts(self) -> list[str]:
        """The texts the model wrote."""
        return Document(tuple(s for s in self.document if s.learn)).texts

    @property
    def pictures(self) -> list[Tensor]:
        """The pictures the model drew, uint8 [3, height, width]."""
        return Document(tuple(s for s in self.document if s.learn)).pictures


@runtime_checkable
class Rows(Protocol):
    """Where branches get their cache rows."""

    def take(self) -> int: ...

    def give(self, row: int) -> None: ...


@dataclass(eq=False)
class Branch:
    """One cache row that a document is written in: as asked, or with its prompt dropped.

    `order` is the causal position of what comes next, `base` that of the segment being written, `after` the one behind the
    latest pass, committed or not.
    """

    row: int
    pending: list[Piece] = field(default_factory=list)  # not yet shown to the trunk
    order: int = 0
    base: int = 0
    after: int = 0
    segment: int = 0

    def queue(self, pieces: Sequence[Piece]) -> None:
        """Pieces for the next pass; their segments are numbered on."""
        self.segment = number(pieces, self.segment)
        self.pending.extend(pieces)

    def flush(self) -> "Step":
        """One pass with all that is pending."""
        step = Step(self, self.pending, self.order, commit=True)
        self.pending = []
        return step

    def passed(self, after: int, commit: bool) -> None:
        """The trunk has seen a step of this branch, which ended in front of position `after`."""
        self.after = after
        if commit:
            self.order = after


@dataclass(eq=False)
class Step:
    """Pieces that shall pass the trunk next in one branch, from causal position `order` on."""

    branch: Branch
    pieces: list[Piece]
    order: int
    commit: bool


class Standing(NamedTuple):
    """How the segment that is written stands in its document: its port, the view its elements are seen in, and what is ahead."""

    port: Port
    view: View
    ahead: Ahead

    def piece(self, ask: Ask, branch: Branch) -> Piece:
        """Some of its elements, as the trunk is shown them."""
        piece = Piece(self.port, ask.visible, *self.ahead, self.view, learned=True, start=ask.start, passed=branch.order - branch.base)
        piece.segment = branch.segment
        return piece


class Roll(NamedTuple):
    """A draw that the law of a port shall make, or what it shall say of what it leaves open."""

    port: Port
    wish: Pick | Weigh
    sampling: Sampling
    draw: Draw


class Finish(NamedTuple):
    """A segment whose clean elements are all known, to be decoded by the codec of its port."""

    port: Port
    clean: Tensor
    draw: Draw


Requests = Generator[list[Step] | Roll | Finish, Any, Written]


class Author:
    """Writes one document in rows of a cache. `events` collects what happened, if `watched`."""

    def __init__(self, system: System, request: Request, rows: Rows, *, watched: bool = False):
        if request.more and not system.decides:
            raise ValueError(
                f"{system.name}: {request.more} segments more; its text is not written one id after another and so decides nothing; "
                "only documents whose segments are all asked for are accepted"
            )
        for i, segment in enumerate(request.document):
            if segment.content is None and not segment.learn:
                kind = type(segment).__name__
                raise ValueError(
                    f"{system.name}: segment {i} of a document is given and has no content; {kind}(content), or {kind}(learn=True) to have "
                    "it written, is accepted; say which"
                )
        self.system, self.request, self.rows, self.watched = system, request, rows, watched
        self.document = request.document  # it grows where the model goes on by itself
        self.draw = Draw(request.seed)
        self.events: list[Event] = []
        self._told: dict[int, str] = {}  # what watchers have read of each text

    def run(self) -> Requests:
        """Walk the document; given segments and what closes written ones wait for the next pass that is needed anyway."""
        system = self.system
        encoded = [one.clean for one in system.encode([self.document], [self.draw])[0]]
        branch = Branch(self.rows.take())
        segments: list[Segment] = []
        cleans: list[Any] = []
        while (i := len(segments)) < len(self.document):
            segment = self.document[i]
            if isinstance(segment, Image) and self._may_add(i):
                self._add(Text(learn=True))
            branch.queue(system.before(self.document, i))
            if segment.learn:
                segment, clean = yield from self._write(branch, i, encoded[i] if i < len(encoded) else None, segments)
            else:
                clean = encoded[i]
                branch.queue([system.given(self.document, i, clean)])
            if isinstance(segment, Text) and segment.learn and segment.content and self._may_add(i):
                yield from self._decide(branch)
            branch.queue(system.after(self.document, i))
            segments.append(segment)
            cleans.append(clean)
        self.rows.give(branch.row)
        return Written(replace(self.document, segments=tuple(segments)), tuple(cleans))

    def _may_add(self, i: int) -> bool:
        """Whether the model may add a segment behind number `i`."""
        return i + 1 == len(self.document) < len(self.request.document) + self.request.more

    def _add(self, segment: Segment) -> None:
        self.document = replace(self.document, segments=(*self.document, segment))

    def _decide(self, branch: Branch) -> Generator[list[Step], list[Tensor], None]:
        """Add a picture, if of all ids the likeliest behind the text is the marker that begins one."""
        (hidden,) = yield [branch.flush()]
        likeliest = int(self.system.text.writer(hidden[-1:], None).argmax())
        if likeliest in self.system.markers.begin_image[:1]:
            self._add(Image(learn=True))

    def _write(
        self, branch: Branch, i: int, encoded: Tensor | None, before: Sequence[Segment]
    ) -> Generator[Any, Any, tuple[Segment, Tensor]]:
        """Write segment `i`, under guidance in two branches. Returns it finished, and its clean elements."""
        system, segment = self.system, self.document[i]
        port, text = system.port(segment), isinstance(segment, Text)
        sampling = self.request.sampling.get(type(segment), port.law.sampling)
        branches = [branch, *self._dropped(segment, before, sampling)]
        hidden = yield [one.flush() for one in branches]
        like, given = self._blank(i, encoded)
        writing = Writing(
            before=Seen(torch.stack([h[-1:] for h in hidden])),
            like=like,
            keep=given,
            rng=self.draw.rng,
            stop=system.markers.end if text else None,
            steps=sampling.steps,
            nats=sampling.nats,
        )
        self._happened(None if text else PictureStarted(i))
        for one in branches:
            one.base = one.order
        done, extent = yield from self._converse(port, writing, branches, i, sampling)
        for extra in branches[1:]:
            self.rows.give(extra.row)
        clean, raw = yield Finish(port, up_to(done.clean, system.markers.end) if text else done.clean, self.draw)
        finished = replace(segment, content=raw)
        left = raw[len(self._told.get(i, "")) :] if text else raw
        if len(left):
            self._happened(TextPiece(i, left) if text else PictureFinished(i, raw))
        branch.segment += 1
        if i + 1 < len(self.document) and not system.stands_alone(segment):
            branch.order = branch.base
            branch.queue([system.context(finished, clean, system.ahead(self.document, i), room=0 if system.joint else extent)])
        return finished, clean

    def _blank(self, i: int, encoded: Tensor | None) -> tuple[Tensor, Tensor]:
        """Segment `i` as far as it is given, and which elements are: of a text on a canvas, the ends behind its greatest length."""
        system, segment, longest = self.system, self.document[i], self.request.longest
        if encoded is not None and segment.content is not None:
            like = system.laid(encoded, self.document, i).clone()
            return like, system.kept(segment, like)
        port = system.port(segment)
        on_canvas = isinstance(segment, Text) and port.order.lead == 0
        like = system.laid(port.codec.blank(longest - on_canvas), self.document, i)
        return like, like == system.markers.end if on_canvas else system.kept(segment, like)

    def _dropped(self, segment: Segment, before: Sequence[Segment], sampling: Sampling) -> list[Branch]:
        """The branch that has not read what was before the segment, where guidance asks for one; it means nothing for text."""
        system = self.system
        if sampling.guidance == 1:
            return []
        if system.drop is None:
            raise ValueError(
                f"{system.name}: guidance {sampling.guidance}; it was trained without dropping prompts, so only 1 is accepted; "
                "leave guidance out"
            )
        if isinstance(segment, Text):
            return []
        left = system.drop.left(before)
        short = Document((*left, segment))
        encoded = system.encode([Document(left)], [self.draw])[0]
        branch = Branch(self.rows.take())
        for j in range(len(left)):
            branch.queue([*system.before(short, j), system.given(short, j, encoded[j].clean), *system.after(short, j)])
        branch.queue(system.before(short, len(left)))
        return [branch]

    def _converse(
        self, port: Port, writing: Writing, branches: list[Branch], i: int, sampling: Sampling
    ) -> Generator[Any, Any, tuple[Done, int]]:
        """Let the order ask and pick until it is done. Returns that, and how many positions the segment took."""
        document, base, extent = self.document, branches[0].base, 0
        alone = self.system.stands_alone(document[i])
        stands = Standing(port, self.system.view(document[i]), self.system.ahead(document, i))
        order, answer = port.order.write(writing), None
        while True:
            try:
                request = order.send(answer)
            except StopIteration as stop:
                done: Done = stop.value
                break
            if isinstance(request, Pick | Weigh):
                if isinstance(request, Weigh) and not isinstance(port.law, Weighing):
                    raise ValueError(
                        f"{self.system.name}: nats {sampling.nats} for port {port.name}; a law that can say how much it leaves open, as "
                        f"Categorical, is accepted, and it has {type(port.law).__name__}; leave nats out"
                    )
                answer = yield Roll(port, request, sampling, self.draw)
            else:
                self._progress(i, request)
                answer = yield from self._show(stands, request, branches)
                extent = max(extent, branches[0].after - base)
        if done.rest is not None:
            self._progress(i, done.rest)
            if alone:
                branches[0].pending.append(stands.piece(done.rest, branches[0]))
            elif i + 1 < len(document):
                yield from self._show(stands, done.rest, branches[:1])
                extent = max(extent, branches[0].after - base)
        return done, extent

    def _show(self, stands: Standing, ask: Ask, branches: list[Branch]) -> Generator[list[Step], list[Tensor], Seen]:
        """One pass of some elements through every branch; returns what answers for them."""
        steps = [Step(b, [stands.piece(ask, b)], b.order, ask.commit) for b in branches]
        hidden = yield steps
        piece = steps[0].pieces[0]
        answers = slice(-1, None) if stands.port.order.lead else torch.from_numpy(piece.predicts)
        asides = [step.pieces[0].aside for step in steps if step.pieces[0].aside is not None]
        return Seen(torch.stack([h[answers] for h in hidden]), torch.stack(asides) if asides else None)

    def _progress(self, i: int, ask: Ask) -> None:
        if not self.watched or ask.clean is None:
            return
        segment = self.document[i]
        port = self.system.port(segment)
        codec = port.codec
        if isinstance(segment, Image):
            self.events.append(PicturePart(i, ask.known, ask.clean.clone(), codec))
        elif port.order.lead == 1:  # other text is not known from its beginning on, and is told as a whole
            (so_far,) = codec.decode([ask.clean[: round(ask.known * len(ask.clean))]])
            new = so_far[len(self._told.get(i, "")) :]
            if new and not so_far.endswith(INCOMPLETE):
                self.events.append(TextPiece(i, new))
                self._told[i] = so_far

    def _happened(self, event: Event | None) -> None:
        if self.watched and event is not None:
            self.events.append(event)
