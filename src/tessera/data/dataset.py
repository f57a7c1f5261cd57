"""A data set on disk as a source: its rows again and again, each pass in an order of its own."""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np
from torch import Tensor

from tessera.data.images import decode
from tessera.data.rows import BadRow, Row, Span
from tessera.data.source import listed
from tessera.document import Document, Task

BATCH = 256  # rows whose pictures are checked together

Tick = Callable[[int, int], None]


class Dataset:
    """The source over a data set: endless, each pass over the rows in an order of its own.

    Pictures have `size`, (height, width), or with None their own; they are read and decoded when a document is asked for. `bad` lists
    the rows that were left out.
    """

    def __init__(self, rows: Sequence[Row], size: tuple[int, int] | None, seed: int = 0, bad: Sequence[BadRow] = ()):
        self.size, self.seed, self.bad = size, seed, list(bad)
        self._count = len(rows)
        self._rows: dict[Task, list[Row]] = {}
        for row in rows:
            for task in row.tasks:
                self._rows.setdefault(task, []).append(row)

    def __len__(self) -> int:
        return self._count

    @property
    def counts(self) -> dict[Task, int]:
        """How many rows there are of each task; a row may be of several."""
        return {task: len(rows) for task, rows in self._rows.items()}

    def idle(self, tasks: Collection[Task]) -> int:
        """How many rows are of none of these tasks."""
        return self._count - len({id(row) for task in tasks for row in self._rows.get(task, ())})

    @property
    def tasks(self) -> frozenset[Task]:
        return frozenset(self._rows)

    def document(self, task: Task, index: int) -> Document:
        """Document `index` of this task. Raises ValueError where a picture is no longer what it was when opened."""
        if task not in self._rows:
            raise ValueError(f"data: no document of task {task.value}; these rows offer {listed(self._rows)}; ask for one of these")
        rows = self._rows[task]
        epoch, step = divmod(index, len(rows))
        row = rows[permutation(len(rows), self.seed, epoch)[step]]
        try:
            segments = row.segments(task, self._see)
        except (OSError, ValueError) as fault:
            raise ValueError(complaint(BadRow(row.file, row.where, str(fault)))) from fault
        return Document(segments, task=task, id=f"{row.file.name}, {row.where}")

    def _see(self, span: Span) -> Tensor:
        return decode(span.read(), self.size)


@lru_cache(maxsize=8)
def permutation(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of n rows in one pass: the same on every machine, as the raw Philox stream and stable sorting are."""
    bits = np.random.Philox(key=np.array([seed % 2**64, epoch], dtype=np.uint64))
    return np.argsort(bits.random_raw(n), kind="stable")


def sift(found: Iterable[Row | BadRow], size: tuple[int, int] | None, skip_bad: bool, tick: Tick | None) -> tuple[list[Row], list[BadRow]]:
    """Good and bad rows, after decoding every picture once on all cores, so that faults show before training.

    Stops at the first bad row with ValueError unless `skip_bad`. `tick(done, total)` is called after each row.
    """
    found = list(found)
    good: list[Row] = []
    bad: list[BadRow] = []
    faults: dict[Span, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(found), BATCH):
            batch = found[start : start + BATCH]
            fresh = {span for row in batch if not isinstance(row, BadRow) for span in row.pictures} - faults.keys()
            faults.update(zip(fresh, pool.map(partial(fault_of, size=size), fresh), strict=True))
            for done, row in enumerate(batch, start + 1):
                row = checked(row, faults)
                if not isinstance(row, BadRow):
                    good.append(row)
                elif skip_bad:
                    bad.append(row)
                else:
                    raise ValueError(complaint(row))
                if tick:
                    tick(done, len(found))
    return good, bad


def checked(row: Row | BadRow, faults: dict[Span, str]) -> Row | BadRow:
    """The row, or, where one of its pictures has a fault, a bad row that says so."""
    if isinstance(row, BadRow):
        return row
    reasons = [faults[span] for span in row.pictures if faults[span]]
    return BadRow(row.file, row.where, reasons[0]) if reasons else row


def fault_of(span: Span, size: tuple[int, int] | None) -> str:
    """Why this picture cannot be read; nothing where it can."""
    try:
        decode(span.read(), size)
    except (OSError, ValueError) as fault:
        return str(fault)
    return ""


def complaint(bad: BadRow) -> str:
    """What a user is told of a bad row."""
    return f"data: {bad}; mend or remove the row, or leave bad rows out with skip_bad=True (--skip-bad)"
