"""Generate: the one loop that writes, for rows in any state side by side."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor

from tessera.document import Document, Segment, Text
from tessera.draws import Streams, seed_of
from tessera.grouping import alike
from tessera.laws.base import Drawn, Sampling, Weighing
from tessera.orders.base import Seen, Weigh
from tessera.system import System, evaluating
from tessera.verbs.events import Event
from tessera.verbs.passes import Passes, Watch, passes_of
from tessera.verbs.writing import Author, Finish, Request, Requests, Roll, Step, Written


def roll(system: System, rolls: Sequence[Roll]) -> list[Drawn | Tensor]:
    """All that laws shall draw or say, each law once per group of rows that ask alike."""
    answers: dict[int, Drawn | Tensor] = {}
    for numbers in alike(rolls, lambda one: (one.port.number, type(one.wish), len(one.wish.seen.hidden), one.sampling)):
        mine = [rolls[i] for i in numbers]
        counts = [one.wish.seen.hidden.shape[1] for one in mine]
        hidden = torch.cat([one.wish.seen.hidden for one in mine], 1)
        asides = [one.wish.seen.aside for one in mine if one.wish.seen.aside is not None]
        seen = Seen(hidden, torch.cat(asides, 1) if asides else None)
        port, sampling = mine[0].port, mine[0].sampling
        if isinstance(mine[0].wish, Weigh):
            answers.update(zip(numbers, cast(Weighing, port.law).entropy(port.writer, seen, sampling).split(counts), strict=True))
            continue
        value, confidence = port.law.draw(port.writer, seen, sampling, Streams([one.draw.rng for one in mine], counts, hidden))
        if not value.is_floating_point():
            value = value.cpu()  # ids steer the loop: one transfer for all rows
        answers.update(zip(numbers, map(Drawn, value.split(counts), confidence.split(counts)), strict=True))
    return [answers[i] for i in range(len(rolls))]


def finish(finishes: Sequence[Finish]) -> list[tuple[Tensor, Any]]:
    """Clean elements and raw segment of all that are done, each codec once."""
    found: dict[int, tuple[Tensor, Any]] = {}
    for numbers in alike(finishes, lambda one: one.port.number):
        with torch.inference_mode(False):  # what was written may be learned from later
            cleans = [finishes[i].clean.clone() for i in numbers]
            raws = finishes[numbers[0]].port.codec.decode(cleans, [finishes[i].draw for i in numbers])
        found.update(zip(numbers, zip(cleans, raws, strict=True), strict=True))
    return [found[i] for i in range(len(finishes))]


def advance(system: System, authors: Iterable[Author], passes: Passes, rows: int) -> Iterator[tuple[int, Event | Written]]:
    """Run authors, `rows` of them side by side: all draws and decodings that are due, then one pass for all that wait.

    Who is done makes room for the next one.
    """
    queue = enumerate(authors)
    at_work: dict[int, tuple[Author, Requests]] = {}
    answers: dict[int, Any] = {}
    waiting: dict[int, list[Step]] = {}

    def begin(n: int) -> None:
        for i, author in islice(queue, n):
            at_work[i], answers[i] = (author, author.run()), None

    begin(rows)
    while answers or waiting:
        rolls: dict[int, Roll] = {}
        finishes: dict[int, Finish] = {}
        while answers:
            i = next(iter(answers))
            author, loop = at_work[i]
            try:
                request = loop.send(answers.pop(i))
            except StopIteration as stop:
                yield from news(i, author)
                yield i, stop.value
                del at_work[i]
                begin(1)
                continue
            if isinstance(request, Roll):
                rolls[i] = request
            elif isinstance(request, Finish):
                finishes[i] = request
            else:
                waiting[i] = request
        answers = dict(zip(rolls, roll(system, list(rolls.values())), strict=True))
        answers |= zip(finishes, finish(list(finishes.values())), strict=True)
        if answers or not waiting:
            continue
        for i in waiting:
            yield from news(i, at_work[i][0])
        hidden = iter(passes.run([step for steps in waiting.values() for step in steps]))
        answers = {i: [next(hidden) for _ in steps] for i, steps in waiting.items()}
        waiting = {}


def news(row: int, author: Author) -> Iterator[tuple[int, Event]]:
    """What has happened to a row since somebody last asked."""
    for event in author.events:
        yield row, replace(event, row=row)
    author.events.clear()


@torch.inference_mode()
def stream(
    system: System, requests: Sequence[Request], *, watched: bool = True, rows: int = 64, watch: Watch | None = None
) -> Iterator[tuple[int, Event | Written]]:
    """Events of each request as they happen, and at its end what was Written; `rows` requests run side by side.

    A request's result depends on its own seed only, not on what runs beside it.
    """
    with evaluating(system):
        passes = passes_of(system, 2 * min(rows, len(requests)), watch=watch)
        authors = (Author(system, request, passes, watched=watched) for request in requests)
        for i, what in advance(system, authors, passes, rows):
            yield i, what if isinstance(what, Written) else replace(what, row=i)


def write(
    system: System,
    requests: Sequence[Request],
    *,
    rows: int = 64,
    watch: Watch | None = None,
    tick: Callable[[int, int], None] | None = None,
) -> list[Written]:
    """What the system writes for each request, in their order. `tick` is told how many of how many are done."""
    done: dict[int, Written] = {}
    for i, what in stream(system, requests, watched=False, rows=rows, watch=watch):
        if isinstance(what, Written):
            done[i] = what
            if tick:
                tick(len(done), len(requests))
    return [done[i] for i in range(len(requests))]


def generate(
    system: System,
    prompt: Sequence[Segment] | Document | str,
    *,
    want: type[Segment] | Sequence[type[Segment]] = (),
    sampling: Mapping[type[Segment], Sampling] | None = None,
    seed: int = 0,
    longest: int = 64,
    more: int = 0,
) -> Written:
    """One document: the prompt, with its blank learned segments written, and then one segment of each kind wanted.

    `generate(system, [Text("a red circle")], want=Image)` draws; `want=(Text, Image, Text)` interleaves; a prompt may
    itself hold blanks, `Image(learn=True)`. `sampling` overrides how segments of a kind are written; `longest` bounds
    each text, in ids. `more` is how many segments the model may add by its own decision: with
    `want=Image, more=3` it goes on in words and, if it wants to, with a second picture.
    """
    wanted = [want] if isinstance(want, type) else list(want)
    given = [Text(prompt)] if isinstance(prompt, str) else prompt
    blanks = tuple(kind(learn=True) for kind in wanted)
    document = replace(given, segments=(*given, *blanks)) if isinstance(given, Document) else Document((*given, *blanks))
    if not any(segment.learn for segment in document):
        raise ValueError(
            f"generate: {len(document)} given segments and nothing to write; a blank segment or `want` is needed; say want=Image, say"
        )
    return write(system, [Request(document, seed, sampling or {}, longest, more)])[0]


def requests_for(
    documents: Sequence[Document], *, seed: int, sampling: Mapping[type[Segment], Sampling] | None = None, longest: int = 64
) -> list[Request]:
    """One request per document, each with a seed of its own, and what is to be learned left blank."""
    blank = [
        replace(d, segments=tuple(replace(s, content=None) if s.learn and getattr(s, "keep", None) is None else s for s in d))
        for d in documents
    ]
    return [Request(document, seed_of(seed, i), sampling or {}, longest) for i, document in enumerate(blank)]
