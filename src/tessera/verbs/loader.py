"""The loader: batches made ready ahead of time, in a thread beside the training step."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from tessera.data import Schedule, Source
from tessera.draws import Draw
from tessera.drops import now_and_then
from tessera.pieces import Later
from tessera.stages import Stage
from tessera.system import System

AHEAD = 2  # batches
SWITCH = 1e-4  # seconds until a waiting thread gets the interpreter: the step asks for it after every operation


@contextmanager
def beside() -> Iterator[ThreadPoolExecutor]:
    """A thread of its own, which works alone: a second team of threads would stand in the step's way.

    torch sets that for the thread, and for all that are begun later: one that is begun behind it sets it back for those.
    """
    teams = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(1, "loader", torch.set_num_threads, (1,)) as pool:
            yield pool
    finally:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(torch.set_num_threads, teams).result()


@contextmanager
def quick_switches() -> Iterator[None]:
    """Threads hand over the interpreter after SWITCH seconds, not 5 ms: on two cores 368 documents/s instead of 327."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Loader:
    """Arranged batches of one stage, from document `first` on. Document k is the same whoever asks and however often.

    Where a stage trains a codec, batches are arranged when they are looked at, with its weights as they are then.
    """

    def __init__(self, system: System, stage: Stage, source: Source, schedule: Schedule, *, seed: int, number: int, first: int = 0):
        self.learner = stage.learner or system
        self.late = isinstance(self.learner, System) and self.learner.encodes_with(stage.train)
        drop = system.drop if stage.learner is None else None
        self.transforms = [one for one in (stage.transform, drop and partial(now_and_then, drop)) if one]
        self.stage, self.source, self.schedule, self.first = stage, source, schedule, first
        self.key = (seed, number)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """(documents seen behind this batch, the batch) until the stage is over."""
        starts = range(self.first, self.stage.documents, self.stage.batch)
        with quick_switches(), beside() as pool:
            ready = [pool.submit(self.prepare, start) for start in starts[:AHEAD]]
            for i in range(len(starts)):
                batch = ready.pop(0).result()
                if i + AHEAD < len(starts):
                    ready.append(pool.submit(self.prepare, starts[i + AHEAD]))
                yield min(starts[i] + self.stage.batch, self.stage.documents), batch

    @torch.no_grad()
    def prepare(self, start: int) -> Any:
        """Documents `start` and on, encoded, laid out and corrupted."""
        stop = min(start + self.stage.batch, self.stage.documents)
        draws = [Draw(*self.key, k, progress=k / self.stage.documents) for k in range(start, stop)]
        documents = [self.source.document(*self.schedule[k]) for k in range(start, stop)]
        for transform in self.transforms:
            documents = [transform(document, draw) for document, draw in zip(documents, draws, strict=True)]
        emphasis = self.stage.emphasis
        documents = [replace(d, weight=d.weight * emphasis[d.task]) if d.task and d.task in emphasis else d for d in documents]
        arrange = partial(self.learner.arrange, documents, draws)
        return Later(arrange, len(documents)) if self.late else arrange()
