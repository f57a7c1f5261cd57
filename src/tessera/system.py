"""Systems: a trunk, its ports and an attention rule; how documents pass through them, and what is lost on the way."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tessera.attention import AttentionRule
from tessera.codecs.base import EncodedSegment, Losses, paints
from tessera.codecs.text import Placed, Vocabulary
from tessera.document import Document, Image, Segment, Text
from tessera.draws import Draw
from tessera.drops import Drop
from tessera.extras import Extra, observed
from tessera.manners import Manners
from tessera.orders.base import Context
from tessera.pieces import Ahead, Batch, Goal, Piece, assemble, moved, number, pack, place, read, spread
from tessera.places import View
from tessera.ports import Port, eye_of, port_of
from tessera.stages import Stage
from tessera.trunk.base import Trunk
from tessera.writers import Whole

Learned = Sequence[tuple[Piece, Goal]]
CPU = torch.device("cpu")
ROW = 128  # places in a row of a training batch: what a dense mask wants


class System(nn.Module):
    """One model of several modalities: every verb is a function over it.

    Ports are kept by name; a module shared by two ports is simply the same module. `drop` says how guidance is trained; `extras` are
    auxiliary losses. Where the rule looks ahead the system is `joint`: what stands before a segment sees it while it is written.
    A document is then learned segment by segment, each in a pass of its own with nothing behind it.
    `origin`, where a recipe was called by name, is that name and its arguments; `manners`, where its makers settled them, are how
    pictures and words are put to it. `settled` names tensors that have their numbers once it is built and keep them: its files leave
    them out.
    """

    origin: Mapping[str, Any]
    manners: Manners | None = None
    settled: Collection[str] = frozenset()

    def __init__(
        self,
        name: str,
        *,
        trunk: Trunk,
        ports: Sequence[Port],
        attention: AttentionRule,
        stages: Sequence[Stage] = (),
        drop: Drop | None = None,
        extras: Sequence[Extra] = (),
    ):
        super().__init__()
        self.name, self.trunk, self.attention, self.stages, self.drop = name, trunk, attention, tuple(stages), drop
        texts, names = [port for port in ports if port.kind is Text], [port.name for port in ports] + [extra.name for extra in extras]
        if not texts or not isinstance(texts[0].codec, Vocabulary) or len(set(names)) < len(names):
            raise ValueError(
                f"{name}: {', '.join(names)}, {len(texts)} of them ports for text; different names and a text port whose codec has markers "
                "(BPE) are needed; mend the recipe"
            )
        self.by_name = nn.ModuleDict({port.name: port for port in ports})
        self.taught = nn.ModuleDict({extra.name: extra for extra in extras})
        self.ports, self.extras = tuple(ports), tuple(extras)
        for i, port in enumerate(ports):
            assert port.number in (-1, i), f"{port.name} already belongs to a system"
            port.number = i
        trunk.serves(attention, self.ports)
        self.text, self.markers, self.joint = texts[0], texts[0].codec.markers, attention.looks_ahead(ports)
        self._check_writing()

    def _check_writing(self) -> None:
        """Raises ValueError for ports that cannot write as they shall."""
        for port in (port for port in self.ports if port.writes):
            canvas, lead = getattr(port.codec, "canvas", None), port.order.lead
            if port.kind is Text and (canvas is None) != (lead == 1):
                raise ValueError(
                    f"{self.name}: {port.name} in the order {type(port.order).__name__}, {canvas or 'no canvas'}; text is written on a "
                    "canvas (BPE(canvas=...)) unless it is written one id after another; give one or leave it out"
                )
            if self.joint and lead == 1:
                raise ValueError(
                    f"{self.name}: {port.name} is written one after another under {self.attention}, where all see what comes; orders are "
                    "accepted whose elements answer for themselves (Masked, InPlace); change the order or the rule"
                )

    @property
    def device(self) -> torch.device:
        """Where the trunk lives."""
        return next(self.trunk.parameters()).device

    @property
    def draws(self) -> bool:
        """Whether it writes pictures; some only read them."""
        return any(port.writes and issubclass(port.kind, Image) for port in self.ports)

    @property
    def decides(self) -> bool:
        """Whether it may go on by itself: text that is written one id after another says whether a picture follows."""
        return self.text.order.lead == 1

    @property
    def shows(self) -> bool:
        """Whether pictures that it writes can be seen: published files may hold nothing that paints them."""
        return self.draws and all(paints(port.codec) for port in self.ports if port.writes and issubclass(port.kind, Image))

    @property
    def looks(self) -> bool:
        """Whether it reads pictures; some only write them."""
        return any(port.accepts(Image(None)) for port in self.ports)

    def port(self, segment: Segment) -> Port:
        """The port that takes this segment first."""
        return port_of(self.name, self.ports, segment)

    def eye(self, segment: Segment) -> Port | None:
        """The port through which a written segment is read again, if any."""
        return eye_of(self.ports, segment)

    def stands_alone(self, segment: Segment) -> bool:
        """Whether the view that predicts a learned segment is also what later segments read of it."""
        return self.port(segment).order.shared and self.eye(segment) is None

    def view(self, segment: Segment) -> View:
        """Who reads a learned segment while it is one: all, where it stands alone or nothing is behind it, or only itself."""
        return View.PUBLIC if self.joint or self.stands_alone(segment) else View.PRIVATE

    # ------------------------------------------------------------------ documents to pieces

    def encode(self, documents: Sequence[Document], draws: Sequence[Draw]) -> list[list[EncodedSegment]]:
        """Clean elements of every segment that has content, on the CPU, where documents are laid out; codecs take like segments together.

        Text is closed by `end`, unless learned text continues it, or it is given where only learned text is closed.
        """
        found = [[EncodedSegment(torch.empty(0)) for _ in document] for document in documents]
        groups: dict[tuple, list[tuple[int, int]]] = {}
        for d, document in enumerate(documents):
            for i, segment in enumerate(document):
                if segment.content is not None:
                    port = self.port(segment)
                    inside = i > 0 and isinstance(port.codec, Placed) and bool(port.codec.behind)
                    shape = tuple(segment.content.shape) if isinstance(segment.content, Tensor) else None
                    groups.setdefault((port.number, shape, inside), []).append((d, i))
        for (which, _, inside), members in groups.items():
            raws, codec = [documents[d][i].content for d, i in members], self.ports[which].codec
            encode = codec.encode_inside if inside and isinstance(codec, Placed) else codec.encode
            encoded = encode(raws, [draws[d] for d, _ in members])
            cleans = encoded.clean.cpu() if isinstance(encoded.clean, Tensor) else [moved(clean, CPU) for clean in encoded.clean]
            for j, (d, i) in enumerate(members):
                nats = None if encoded.nats is None else encoded.nats[j]
                found[d][i] = EncodedSegment(self._closed(cleans[j], documents[d], i), nats)
        return found

    def _closed(self, clean: Any, document: Document, i: int) -> Any:
        if not isinstance(document[i], Text):
            return clean
        following = document[i + 1] if i + 1 < len(document) else None
        continued = isinstance(following, Text) and following.learn
        is_open = not document[i].learn and (continued or not self.markers.closes_given)
        return clean if is_open else torch.cat([clean, torch.tensor([self.markers.end])])

    def marker(self, ids: Sequence[int], ahead: Ahead, *, learned: bool = False, decided: bool = False) -> list[Piece]:
        """A marker as a piece of the text port, its first id to be predicted where it is `decided` by the model itself; none without ids.

        Text that is not written one after another (`lead` 0) decides nothing: it would answer from the marker itself.
        """
        if not ids:
            return []
        said = torch.tensor(ids)
        goal = Goal(said, torch.arange(len(ids)) == 0, None) if decided and self.text.order.lead == 1 else None
        return [Piece(self.text, self.text.reveal(said), *ahead, learned=learned, goal=goal)]

    def laid(self, clean: Tensor, document: Document, i: int) -> Tensor:
        """The elements of learned segment `i` as they are written: texts on their canvas, if they have one."""
        canvas = getattr(self.port(document[i]).codec, "canvas", None)
        return clean if canvas is None else canvas.laid(clean, document, i, self.markers.end)

    def passes(self, document: Document, draw: Draw, encoded: Sequence[EncodedSegment]) -> Iterator[list[Piece]]:
        """What passes the trunk of a document in training: its layout; where a system is joint, one for each learned segment."""
        learned = [i for i, segment in enumerate(document) if segment.learn]
        if not self.joint or not learned:
            yield self.layout(document, draw, encoded)
            return
        given = [replace(segment, learn=False) for segment in document]
        seen = [EncodedSegment(self.seen(one, e.clean)) if one.learn else e for one, e in zip(document, encoded, strict=True)]
        for i in learned:
            yield self.layout(replace(document, segments=(*given[:i], document[i])), draw, [*seen[:i], encoded[i]])

    def layout(self, document: Document, draw: Draw, encoded: Sequence[EncodedSegment]) -> list[Piece]:
        """The document as the trunk reads it in training: markers, given segments, and learned ones corrupted."""
        pieces: list[Piece] = []
        for i, segment in enumerate(document):
            body = self._learned(document, i, draw, encoded[i]) if segment.learn else [self.given(document, i, encoded[i].clean)]
            pieces += [*self.before(document, i), *body, *self.after(document, i)]
        number(pieces)
        for piece in pieces:
            piece.goal = piece.goal and piece.goal._replace(weight=document.weight)
        return pieces

    def given(self, document: Document, i: int, clean: Any) -> Piece:
        """A given segment as a piece; nobody sees a dropped one where the system's drop hides it."""
        port = self.port(document[i])
        hidden = document[i].dropped and self.drop is not None and self.drop.hides
        return Piece(port, port.reveal(clean), *self.ahead(document, i), View.PRIVATE if hidden else View.PUBLIC)

    def before(self, document: Document, i: int) -> list[Piece]:
        """The markers in front of segment `i`. That a picture begins is learned where the model decided to draw.

        Learned text behind what is given has one where the trunk wants it: `end`, which closes given text, opens the answer. So does it
        where nothing else stands in front of what is to be predicted.
        """
        ahead, learn, behind = self.ahead(document, i), document[i].learn, document[i - 1] if i else None
        pieces = [] if i else self.marker(self.markers.document, ahead)
        if self.port(document[i]).marked:
            decided = learn and isinstance(behind, Text) and behind.learn
            pieces += self.marker(self.markers.begin_image, ahead, learned=learn, decided=decided)
        elif learn and self.trunk.halved and not (behind and behind.learn):
            pieces += self.marker([self.markers.end], ahead, learned=True)
        first = not self.markers.document and all(isinstance(one, Text) and one.content == "" for one in document.segments[:i])
        if first and not pieces and learn and self.port(document[i]).order.lead:
            pieces = self.marker([self.markers.end], ahead)
        return pieces

    def after(self, document: Document, i: int) -> list[Piece]:
        """The marker behind segment `i`: pictures are closed, unless the document ends with them."""
        closes = self.port(document[i]).marked and i + 1 < len(document)
        return self.marker(self.markers.end_image, self.ahead(document, i + 1), learned=document[i].learn) if closes else []

    def ahead(self, document: Document, i: int) -> Ahead:
        """The document's next learned segment, from segment `i` on."""
        writes = next((self.port(segment).number for segment in document.segments[i:] if segment.learn), -1)
        return Ahead(writes, sum(segment.learn for segment in document.segments[:i]))

    def _learned(self, document: Document, i: int, draw: Draw, encoded: EncodedSegment) -> list[Piece]:
        segment, clean = document[i], self.laid(encoded.clean, document, i)
        port = self.port(segment)
        visible, target, where, stands_for = port.order.corrupt(clean, self.kept(segment, clean), Context(document, i), draw)
        shown = tuple(extra.shown(segment) for extra in self._extras_of(port))
        nats = encoded.nats if where.any() else None  # of what is given nothing is learned
        goal = Goal(target, where, port.law.noise(target, draw), nats, stands_for=stands_for, shown=shown)
        ahead = self.ahead(document, i)
        pieces = [Piece(port, visible, *ahead, self.view(segment), learned=True, goal=goal)]
        if not self.stands_alone(segment) and i + 1 < len(document):
            pieces.append(self.context(segment, encoded.clean, ahead))
        return pieces

    def kept(self, segment: Segment, clean: Tensor) -> Tensor:
        """Which elements of a learned segment are given."""
        keep = getattr(segment, "keep", None)
        return torch.zeros(len(clean), dtype=torch.bool) if keep is None else self.port(segment).codec.keep(keep)

    def _extras_of(self, port: Port) -> list[Extra]:
        return [extra for extra in self.extras if extra.port is port]

    def context(self, segment: Segment, clean: Tensor, ahead: Ahead, room: int = 0) -> Piece:
        """The piece that later segments read of a learned one: its clean view, or its content through the eye."""
        reader = self.eye(segment) or self.port(segment)
        return Piece(reader, reader.reveal(self.seen(segment, clean)), *ahead, learned=not self.joint, room=room, again=True)

    def seen(self, segment: Segment, clean: Tensor) -> Tensor:
        """What later segments see of a finished one: its elements, or those of its content through the eye."""
        eye = self.eye(segment)
        return clean if eye is None else moved(eye.codec.encode([segment.content], [Draw(0)]).clean[0], CPU)

    # ------------------------------------------------------------------ pieces to hidden states and losses

    def arrange(
        self, documents: Sequence[Document], draws: Sequence[Draw], clean: Sequence[Sequence[Any]] | None = None
    ) -> list[list[Piece]]:
        """The pieces of each document, pass by pass. `clean`, where given, is used instead of encoding (written documents carry theirs)."""
        if clean is None:
            encoded = self.encode(documents, draws)
        else:
            encoded = [[EncodedSegment(one) for one in row] for row in clean]
        laid = [pieces for each in zip(documents, draws, encoded, strict=True) for pieces in self.passes(*each)]
        for i, pieces in enumerate(laid):
            for piece in pieces:
                piece.document = i
        return laid

    def encodes_with(self, modules: Iterable[nn.Module]) -> bool:
        """Whether one of these is a codec of the system, or a part of one: while it learns, nothing can be encoded ahead of a step."""
        codecs = {part for port in self.ports if isinstance(port.codec, nn.Module) for part in port.codec.modules()}
        return any(part in codecs for module in modules for part in module.modules())

    def hidden(self, laid: Sequence[list[Piece]], capacity: int = 0) -> tuple[Tensor, Batch]:
        """Hidden states [row, place, width] of laid-out documents, packed into rows of about `capacity` places."""
        everything = read([piece for pieces in laid for piece in pieces], self.device)
        for pieces in laid:
            place(pieces)
        counted = lambda pieces, side: sum(piece.count for piece in pieces if piece.learned is side)
        halves = [(counted(pieces, False), counted(pieces, True)) for pieces in laid]
        shared = spread(halves, capacity) if self.trunk.halved else pack(list(map(sum, halves)), capacity)
        rows = [[piece for d in row for piece in laid[d]] for row in shared]
        batch = assemble(rows, everything)
        return self.trunk(batch.embeddings, batch.condition, batch.places, self.attention), batch

    def losses(self, documents: Sequence[Document], draws: Sequence[Draw]) -> Losses:
        """Per port the sum of its loss over the elements it learns, and their count; a port with nothing to learn counts 0.

        Both are weighted as the documents are.
        """
        return self.losses_of(self.arrange(documents, draws))

    def losses_of(self, laid: Sequence[list[Piece]], *, capacity: int | None = None) -> Losses:
        """The losses of arranged documents, packed into rows of about `capacity` places (by default ROW)."""
        laid = list(laid)
        with observed([extra.point for extra in self.extras]) as seen:
            hidden, _ = self.hidden(laid, ROW if capacity is None else capacity)
        losses: Losses = {}
        for port in (port for port in self.ports if port.writes):
            mine = [(p, p.goal) for pieces in laid for p in pieces if p.port is port and p.goal]
            losses[port.name] = self._loss(port, mine, hidden) if mine else (hidden[:0].sum(), 0)
            for i, extra in enumerate(self._extras_of(port)):
                losses[extra.name] = _extra_loss(extra, i, mine, seen[extra.point]) if mine else (hidden[:0].sum(), 0)
        return losses

    def _loss(self, port: Port, learned: Learned, hidden: Tensor) -> tuple[Tensor, float]:
        pieces, goals = zip(*learned, strict=True)
        where = torch.cat([goal.where for goal in goals])
        asked = torch.ones_like(where) if isinstance(port.writer, Whole) else where

        def chosen(parts: list[Tensor]) -> Tensor:
            return torch.cat(parts).to(hidden.device)[asked.to(hidden.device)]

        target = chosen([goal.target for goal in goals])
        asides = [piece.aside for piece in pieces if piece.aside is not None]
        noises = [goal.noise for goal in goals if goal.noise is not None]
        aside, noise = chosen(asides) if asides else None, chosen(noises) if noises else None
        each = port.law.loss(port.writer, _answering(pieces, hidden)[asked.to(hidden.device)], aside, target, noise)
        total, count = _weighed(each[where[asked].to(each.device)], goals)
        nats = [goal.weight * goal.nats for goal in goals if goal.nats is not None]
        return total + sum(nats), count


def _answering(pieces: Sequence[Piece], hidden: Tensor) -> Tensor:
    """The hidden states that answer for the elements of pieces, from those of all rows."""
    answers = np.concatenate([piece.row * hidden.shape[1] + piece.answers() for piece in pieces])
    return hidden.flatten(0, 1)[torch.from_numpy(answers).to(hidden.device)]


def _weighed(each: Tensor, goals: Sequence[Goal]) -> tuple[Tensor, float]:
    """The sum of the losses of all elements that count, and how much they count, both weighted as their documents are."""
    counts = torch.stack([goal.where.sum() for goal in goals])
    weights = torch.tensor([goal.weight * goal.stands_for for goal in goals]).repeat_interleave(counts)
    return (each * weights.to(each)).sum(), float(weights.sum())


def _extra_loss(extra: Extra, number: int, learned: Learned, hidden: Tensor) -> tuple[Tensor, float]:
    """An auxiliary loss, the `number`th of its port, from the hidden states at its observation point."""
    pieces, goals = zip(*learned, strict=True)
    each = extra.loss(_answering(pieces, hidden), [goal.shown[number] for goal in goals])
    return _weighed(each[torch.cat([goal.where for goal in goals]).to(each.device)], goals)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Every part in eval mode, and afterwards each in the mode it was in."""
    learning = [part for part in module.modules() if part.training]
    if learning:
        module.eval()
    try:
        yield
    finally:
        for part in learning:
            part.training = True
